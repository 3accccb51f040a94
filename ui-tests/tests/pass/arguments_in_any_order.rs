#![deny(warnings)]
use brubeck::Method;
use brubeck::prelude::*;
use std::collections::HashMap;

type Name = String;

#[post(r"^/(?<a>\d+)/(?<b>[a-z]+)(?:/(?<c>x))?$")]
async fn mixed(
    Json(body): Json<HashMap<String, u8>>,
    c: Option<char>,
    message: Message,
    mut b: Name,
    method: Method,
    headers: Headers,
    a: u64,
    token: Option<Arg<String>>,
    checked: Result<Query<HashMap<String, String>>, Rejection>,
) -> impl IntoReply + use<> {
    b.push('!');
    drop((body, message, method, headers, token, checked));
    format!("{a}{b}{c:?}")
}

#[get("^/$")]
async fn wide(_: Message, Text(_text): Text) -> (){}

const ROUTES: Routes<()> = routes![mixed, wide];

fn main() {
    assert_eq!(ROUTES.specs().next().unwrap().captures, ["a", "b", "c"]);
    assert_eq!(ROUTES.specs().next().unwrap().example, "/1/a");
}

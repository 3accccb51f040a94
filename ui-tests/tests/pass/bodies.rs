//! Arguments that can read the same body.

use brubeck::prelude::*;

#[post("^/a$")]
async fn twice(json: Json<u8>, again: Json<u16>, text: Text, count: Arg<u8>) -> String {
    format!("{} {} {} {}", *json, *again, text.len(), *count)
}

#[post("^/b$")]
async fn either(json: Option<Json<u8>>, form: Result<Form<Vec<(String, String)>>, Rejection>) -> String {
    format!("{} {}", json.is_some(), form.is_ok())
}

#[post("^/c$")]
async fn streamed(upload: Upload, title: Arg<String>, headers: Headers) -> String {
    format!("{upload:?} {} {}", *title, headers.len())
}

const ROUTES: Routes<()> = routes![twice, either, streamed];

fn main() {
    let _ = ROUTES;
}

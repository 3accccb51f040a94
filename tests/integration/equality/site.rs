//! An application with many kinds of extractors and replies.

use brubeck::Method;
use brubeck::prelude::*;
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Smaller than some of the generated bodies.
pub const BODY_LIMIT: usize = 2000;

#[derive(Deserialize, Serialize)]
struct Order {
    dish: String,
    count: Option<u8>,
    #[serde(default)]
    extra: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Cart {
    items: Vec<Item>,
}

#[derive(Deserialize, Serialize)]
struct Item {
    price: u32,
}

#[derive(Template)]
#[template("demo/success.html")]
struct Shown {
    name: String,
}

/// Describes a request as its handler sees it, without the headers that depend on the front end.
fn describe(method: Method, uri: &http::Uri, from: RemoteAddr, headers: &Headers, body: &[u8]) -> String {
    const FRONT_END_HEADERS: &[&str] = &[
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "x-forwarded-for",
    ];
    let mut text = format!("{method} {uri} from {from}\n");
    let mut named: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !FRONT_END_HEADERS.contains(&name.as_str()))
        .collect();
    named.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in named {
        writeln!(text, "{name}: {}", value.as_bytes().escape_ascii()).expect("a string");
    }
    text + &body.escape_ascii().to_string()
}

macro_rules! echo {
    ($($name:ident $attribute:ident),*) => { $(
        #[$attribute("^/echo(?<rest>/.*)?$")]
        async fn $name(rest: Option<String>, method: Method, uri: http::Uri, from: RemoteAddr, headers: Headers, body: Bytes) -> String {
            format!("{rest:?} {}", describe(method, &uri, from, &headers, &body))
        }
    )* };
}

echo!(echo_get get, echo_post post, echo_put put, echo_patch patch, echo_delete delete);

#[get("^/query$")]
async fn query(order: Query<Order>) -> Json<Order> {
    Json(order.0)
}

#[post("^/form$")]
async fn form(order: Form<Order>) -> Json<Order> {
    Json(order.0)
}

#[post("^/json$")]
async fn json(cart: Json<Cart>) -> Json<Cart> {
    cart
}

#[post("^/text$")]
async fn text(text: Text) -> String {
    text.to_uppercase()
}

#[post("^/argument$")]
async fn argument(name: Arg<String>, count: Option<Arg<u8>>) -> String {
    format!("{} {:?}", name.0, count.map(|count| count.0))
}

#[post("^/upload$")]
async fn upload(form: Multipart) -> Result<String, Rejection> {
    let file = form.file("file")?;
    Ok(format!(
        "{:?} {:?} {}",
        form.text("title"),
        file.file_name(),
        file.bytes().len()
    ))
}

#[get("^/header$")]
async fn header(x_count: Header<u32>, x_a: Option<Header<String>>) -> String {
    format!("{} {:?}", *x_count, x_a.map(|value| value.0))
}

#[get("^/cookies$")]
async fn cookies(cookies: Cookies) -> String {
    let sent: Vec<_> = cookies
        .sent()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    cookies.set(Cookie::new("a", "1; é"));
    cookies.set(Cookie::new("b", "2").path("/b"));
    sent.join("\n")
}

#[post("^/nothing$")]
async fn nothing() {}

#[get("^/redirect$")]
async fn redirect(to: Arg<String>) -> Redirect {
    Redirect::to(to.0)
}

#[get("^/status/(?<code>\\d+)$")]
async fn status(code: u16) -> Status {
    Status::new(i32::from(code))
}

#[get("^/headers$")]
async fn headers() -> ([(&'static str, &'static str); 4], Vec<u8>) {
    let headers = [("x-b", "2"), ("x-a", "1"), ("x-b", "3"), ("content-length", "7")];
    (headers, vec![0, 255, 10, 13])
}

#[get("^/page$")]
async fn page(name: Arg<String>) -> Page<Shown> {
    Page(Shown { name: name.0 })
}

#[get("^/problem$")]
async fn problem() -> Problem {
    Problem::new(409, "there is not enough")
        .invalid("amount", "too much <b>")
        .with("balance", 50)
}

#[get("^/file$")]
async fn file() -> File {
    File::new(concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-MIT"))
}

/// Returns a stream of `count` chunks, of which the first is empty.
fn chunks(count: usize) -> Body {
    Body::from_stream(stream::iter(
        (0..count).map(|n| Ok::<_, std::io::Error>(vec![n as u8; n * 31 % 71])),
    ))
}

#[get("^/stream/(?<count>\\d)$")]
async fn streamed(count: usize) -> Body {
    chunks(count)
}

/// A stream with a content length.
#[post("^/stream/known$")]
async fn known() -> ([(&'static str, &'static str); 2], Body) {
    ([("content-length", "115"), ("x-a", "1")], chunks(4))
}

/// A stream with a status that forbids a body.
#[get("^/stream/none$")]
async fn none() -> (Status, Body) {
    (Status::NO_CONTENT, chunks(3))
}

#[get("^/events$")]
async fn events() -> Events {
    Events::new(stream::iter(
        (0..3).map(|n| Event::data(format!("event {n}\nof three"))),
    ))
}

const ROUTES: Routes<()> = routes![
    echo_get,
    echo_post,
    echo_put,
    echo_patch,
    echo_delete,
    query,
    form,
    json,
    text,
    argument,
    upload,
    header,
    cookies,
    nothing,
    redirect,
    status,
    headers,
    page,
    problem,
    file,
    streamed,
    known,
    none,
    events
];

/// An axum router to mount, so it runs behind every front end.
fn mounted() -> axum::Router {
    use axum::routing::{get, post};
    async fn uri(uri: http::Uri) -> String {
        uri.to_string()
    }
    axum::Router::new()
        .route("/uri", get(uri))
        .route("/echo", post(|body: axum::body::Bytes| async { body }))
}

pub fn app() -> App<()> {
    App::new(ROUTES, ())
        .body_limit(BODY_LIMIT)
        .mount("/axum", mounted())
        .files("/static", concat!(env!("CARGO_MANIFEST_DIR"), "/templates"))
}

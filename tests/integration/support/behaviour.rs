//! Behaviour of the front ends: an application, and checks that run against it over HTTP.
//!
//! The check of chunked requests runs only on the embedded server. `mongrel2::uploads` sends them to Mongrel2.

use super::{Gate, ServedApp, WebResponse};
use brubeck::prelude::*;
use bytes::Bytes;

#[get("^/hello$")]
async fn hello() -> &'static str {
    "hello"
}

#[get("^/slow/(?<name>[a-z]+)$")]
async fn slow(name: String, gate: State<Gate>) -> String {
    gate.pass().await;
    name
}

#[post("^/echo$")]
async fn echo(body: Bytes) -> Bytes {
    body
}

#[get("^/query$")]
async fn query(name: Arg<String>, age: Option<Arg<u8>>) -> String {
    format!("{} {:?}", name.0, age.map(|age| age.0))
}

#[get("^/odd$")]
async fn odd(headers: Headers) -> Option<Vec<u8>> {
    Some(headers.get("x-odd")?.as_bytes().to_vec())
}

#[get("^/panic$")]
async fn panics() -> &'static str {
    panic!("on purpose")
}

#[delete("^/nothing$")]
async fn nothing() {}

const ROUTES: Routes<Gate> = routes![hello, slow, echo, query, odd, panics, nothing];

pub fn app(gate: &Gate) -> App<Gate> {
    App::new(ROUTES, gate.clone())
}

pub fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

#[track_caller]
fn assert_response(response: &WebResponse, status: u16, text: &str) {
    assert_eq!((response.status, response.text()), (status, text), "{response:?}");
}

pub async fn keep_alive_serves_many_requests_on_one_connection(site: &ServedApp) {
    let mut browser = site.browser().await;
    for _ in 0..20 {
        let response = browser.get("/hello").await;
        assert_response(&response, 200, "hello");
        assert_eq!(response.line, "HTTP/1.1 200 OK");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(
            response.header("date").is_some_and(|date| date.ends_with(" GMT")),
            "{response:?}"
        );
    }
}

pub async fn connection_close_and_http_1_0_close_the_connection(site: &ServedApp) {
    for request in [
        "GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: localhost\r\nConnection: Close\r\n\r\n",
        "GET /hello HTTP/1.0\r\n\r\n",
        "GET /hello HTTP/1.0\r\nhost: localhost\r\n\r\n",
    ] {
        let mut browser = site.browser().await;
        browser.send(request).await;
        assert_response(&browser.read_response().await, 200, "hello");
        assert_eq!(browser.read_to_close().await, b"", "{request}");
    }
}

pub async fn head_is_answered_like_get_without_body(site: &ServedApp) {
    let mut browser = site.browser().await;
    let get = browser.get("/hello").await;
    browser
        .send("HEAD /hello HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let head = browser.read_head_response().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    // If the response to HEAD had a body, it would be read as the start of this response.
    assert_response(&browser.get("/hello").await, 200, "hello");
}

pub async fn pipelined_requests_are_answered_in_order(site: &ServedApp, gate: &Gate) {
    let mut browser = site.browser().await;
    let requests = [
        request("/slow/first"),
        request("/hello"),
        request("/none"),
        request("/hello"),
    ];
    browser.send(requests.concat()).await;
    gate.wait_for_arrivals(1).await;
    gate.open(1);
    assert_response(&browser.read_response().await, 200, "first");
    assert_response(&browser.read_response().await, 200, "hello");
    assert_response(&browser.read_response().await, 404, "Not Found");
    assert_response(&browser.read_response().await, 200, "hello");
}

pub async fn request_body_arrives_unchanged(site: &ServedApp) {
    let mut browser = site.browser().await;
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    for body in [
        &b""[..],
        b"a=1",
        &[0, 255, 13, 10, 128],
        &large[..100_000],
        &large[..],
    ] {
        let response = browser.post("/echo", body).await;
        assert_eq!(response.status, 200, "{}", response.line);
        assert!(
            response.body == body,
            "sent {} bytes, received {}",
            body.len(),
            response.body.len()
        );
    }
}

pub async fn chunked_request_body_arrives_unchanged(site: &ServedApp) {
    let mut browser = site.browser().await;
    browser
        .send("POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    browser
        .send("5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n")
        .await;
    assert_response(&browser.read_response().await, 200, "hello world");
    assert_response(&browser.get("/hello").await, 200, "hello");
}

pub async fn body_over_the_limit_is_413(site: &ServedApp) {
    let mut browser = site.browser().await;
    browser
        .send("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000000\r\n\r\n")
        .await;
    assert_eq!(browser.read_response().await.status, 413);
}

pub async fn unknown_path_is_404_and_wrong_method_is_405_with_allow(site: &ServedApp) {
    let mut browser = site.browser().await;
    assert_response(&browser.get("/none").await, 404, "Not Found");
    assert_response(&browser.get("/").await, 404, "Not Found");
    let response = browser.post("/hello", b"").await;
    assert_response(&response, 405, "Method Not Allowed");
    assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
    let response = browser.get("/echo").await;
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("POST, OPTIONS"))
    );
}

pub async fn options_is_204_with_allow(site: &ServedApp) {
    let mut browser = site.browser().await;
    browser
        .send("OPTIONS /hello HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let response = browser.read_response().await;
    assert_eq!(
        (response.status, response.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
}

pub async fn panic_is_500_and_does_not_affect_other_requests(site: &ServedApp, gate: &Gate) {
    let mut other = site.browser().await;
    other.send(request("/slow/other")).await;
    gate.wait_for_arrivals(1).await;
    let mut browser = site.browser().await;
    assert_response(&browser.get("/panic").await, 500, "Internal Server Error");
    assert_response(&browser.get("/hello").await, 200, "hello");
    gate.open(1);
    assert_response(&other.read_response().await, 200, "other");
}

pub async fn query_string_is_decoded(site: &ServedApp) {
    let mut browser = site.browser().await;
    assert_response(
        &browser.get("/query?name=J%C3%BCrgen+a&age=7").await,
        200,
        "Jürgen a Some(7)",
    );
    assert_response(&browser.get("/query?name=").await, 200, " None");
}

pub async fn missing_argument_is_400(site: &ServedApp) {
    let mut browser = site.browser().await;
    assert_response(
        &browser.get("/query?nam=1").await,
        400,
        "the argument `name` is missing",
    );
}

pub async fn header_value_bytes_arrive_unchanged(site: &ServedApp) {
    let mut browser = site.browser().await;
    for value in [
        &b"caf\xc3\xa9"[..],
        b"caf\xe9",
        b"a \"quote\" \\ and a / {}[],:",
        b"\xff\xfe",
    ] {
        let head = [
            b"GET /odd HTTP/1.1\r\nhost: localhost\r\nx-odd: ",
            value,
            b"\r\n\r\n",
        ]
        .concat();
        browser.send(head).await;
        let response = browser.read_response().await;
        assert_eq!(
            (response.status, &response.body[..]),
            (200, value),
            "{}",
            value.escape_ascii()
        );
    }
}

pub async fn unit_reply_is_204_without_content_length(site: &ServedApp) {
    let mut browser = site.browser().await;
    browser
        .send("DELETE /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let response = browser.read_response().await;
    assert_eq!((response.status, response.header("content-length")), (204, None));
    assert_response(&browser.get("/hello").await, 200, "hello");
}

pub async fn client_disconnect_cancels_the_handler(site: &ServedApp, gate: &Gate) {
    let mut browser = site.browser().await;
    browser.send(request("/slow/gone")).await;
    gate.wait_for_arrivals(1).await;
    drop(browser);
    gate.wait_for_exits(1).await;
}

/// Runs 200 handlers that all wait until the last one has started.
pub async fn slow_requests_run_concurrently(site: &ServedApp, gate: &Gate) {
    let mut browsers = Vec::new();
    for _ in 0..200 {
        let mut browser = site.browser().await;
        browser.send(request("/slow/one")).await;
        browsers.push(browser);
    }
    gate.wait_for_arrivals(200).await;
    gate.open(200);
    for browser in &mut browsers {
        assert_response(&browser.read_response().await, 200, "one");
    }
}

/// Returns [`app`] with a handler timeout of 100 ms.
pub fn with_short_timeout(gate: &Gate) -> App<Gate> {
    app(gate).timeout(std::time::Duration::from_millis(100))
}

pub async fn handler_timeout_is_504(site: &ServedApp, gate: &Gate) {
    let mut browser = site.browser().await;
    browser
        .send("GET /slow/late HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\r\n")
        .await;
    // The handler is cancelled while it waits at the gate.
    gate.wait_for_exits(1).await;
    let response = browser.read_response().await;
    assert_eq!(response.status, 504);
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    // The connection can still be used.
    assert_response(&browser.get("/hello").await, 200, "hello");
}

pub async fn graceful_shutdown_drains_accepted_requests(site: ServedApp, gate: &Gate) {
    let mut browser = site.browser().await;
    browser.send(request("/slow/last")).await;
    gate.wait_for_arrivals(1).await;
    let stopping = tokio::spawn(super::with_timeout(site.running.stop()));
    gate.open(1);
    assert_response(&browser.read_response().await, 200, "last");
    stopping
        .await
        .expect("no panic")
        .expect("a shutdown within the drain limit");
}

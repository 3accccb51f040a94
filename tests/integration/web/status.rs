//! The status, the content, the headers and the media type of a reply survive wherever the reply comes from.

use crate::support::served_app::Protocol;
use crate::support::{ServedApp, WebResponse, requirements};
use brubeck::prelude::*;
use brubeck::{Body, IntoReply};
use futures_util::stream;
use serde_json::json;

const KINDS: [&str; 5] = ["text", "json", "page", "file", "stream"];
const CODES: [u16; 4] = [200, 201, 404, 410];

#[derive(Template)]
#[template("demo/success.html")]
struct Shown {
    name: String,
}

/// Returns a reply of a kind, with a header of its own.
fn reply(kind: &str, code: u16) -> Response {
    let reply = match kind {
        "text" => "hello".into_reply(),
        "json" => Json(json!({ "a": 1 })).into_reply(),
        "page" => Page(Shown { name: "<b>".into() }).into_reply(),
        "file" => File::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clippy.toml")).into_reply(),
        "stream" => Body::from_stream(stream::iter(["a", "b"].map(Ok::<_, std::io::Error>))).into_reply(),
        other => panic!("no reply of the kind {other}"),
    };
    reply.with_status(code).with_header("x-kind", kind)
}

#[track_caller]
fn assert_reply(what: &str, response: &WebResponse, kind: &str, code: u16) {
    let (media_type, content) = match kind {
        "text" => ("text/plain; charset=utf-8", "hello"),
        "json" => ("application/json", r#"{"a":1}"#),
        "page" => ("text/html; charset=utf-8", "&lt;b&gt;"),
        "file" => (
            "text/x-toml; charset=utf-8",
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/clippy.toml")),
        ),
        _ => ("application/octet-stream", "ab"),
    };
    assert_eq!(response.status, code, "{what}: {response:?}");
    assert_eq!(
        response.header("content-type"),
        Some(media_type),
        "{what}: {response:?}"
    );
    assert_eq!(response.header("x-kind"), Some(kind), "{what}: {response:?}");
    assert!(response.text().contains(content), "{what}: {response:?}");
    assert!(
        kind == "page" || response.text() == content,
        "{what}: {response:?}"
    );
}

#[get(r"^/handler/(?<kind>\w+)/(?<code>\d+)$")]
async fn handler(kind: String, code: u16) -> Response {
    reply(&kind, code)
}

/// An error without a body, for a catcher.
#[get(r"^/error/(?<code>\d+)$")]
async fn error(code: u16) -> Status {
    Status::from(code)
}

#[get("^/hello$")]
async fn hello() -> &'static str {
    "hello"
}

/// Returns the reply that a header of the request asks for.
fn asked(headers: &Headers, name: &str) -> Option<Response> {
    let (kind, code) = headers.text(name)?.split_once(' ')?;
    Some(reply(kind, code.parse().ok()?))
}

async fn before(headers: Headers) -> Result<(), Response> {
    asked(&headers, "x-before").map_or(Ok(()), Err)
}

async fn fallback(headers: Headers) -> Response {
    asked(&headers, "x-fallback").unwrap_or_else(|| Status::NOT_FOUND.into_reply())
}

async fn caught(headers: Headers) -> Response {
    asked(&headers, "x-catch").unwrap_or_else(|| Status::NOT_FOUND.into_reply())
}

const ROUTES: Routes<()> = routes![handler, error, hello];

fn app() -> App<()> {
    App::new(ROUTES, ())
        .before(before)
        .fallback(fallback)
        .catch(404, caught)
        .catch(410, caught)
        .after(|message, response| {
            let asked = message
                .headers()
                .get("x-after")
                .and_then(|value| value.to_str().ok());
            match asked.and_then(|asked| asked.split_once(' ')) {
                Some((kind, code)) => reply(kind, code.parse::<u16>().expect("a code")),
                None => response,
            }
        })
}

async fn check(site: &ServedApp) {
    let mut browser = site.browser().await;
    let mut cells = 0;
    for kind in KINDS {
        for code in CODES {
            let by_header = |name: &str, path: &str| {
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{name}: {kind} {code}\r\n\r\n")
            };
            let requests = [
                (
                    format!("GET /handler/{kind}/{code} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
                    code,
                ),
                (by_header("x-before", "/hello"), code),
                (by_header("x-after", "/hello"), code),
                (by_header("x-fallback", "/none"), code),
                // A catcher renders the page of an error, and need not repeat its status.
                (
                    by_header("x-catch", "/error/404"),
                    if code < 400 { 404 } else { code },
                ),
                (
                    by_header("x-catch", "/error/410"),
                    if code < 400 { 410 } else { code },
                ),
            ];
            for (request, expected) in requests {
                browser.send(&request).await;
                let response = browser.read_response().await;
                assert_reply(&request, &response, kind, expected);
                cells += 1;
            }
            // Conditions and ranges apply to a file only if its status is 200.
            if kind == "file" && code != 200 {
                for field in [
                    "if-modified-since: Fri, 01 Jan 2100 00:00:00 GMT",
                    "if-none-match: *",
                    "if-match: \"x\"",
                    "range: bytes=0-1",
                    "range: bytes=99999-",
                ] {
                    let request =
                        format!("GET /handler/file/{code} HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n");
                    browser.send(&request).await;
                    assert_reply(&request, &browser.read_response().await, kind, code);
                }
            }
        }
    }
    assert_eq!(cells, 5 * 4 * 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_survives_on_the_embedded_server() {
    let site = ServedApp::http(app()).await;
    check(&site).await;
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_survives_behind_mongrel2() {
    if !requirements::mongrel2() {
        return;
    }
    let site = ServedApp::mongrel2(app(), Protocol::Json).await;
    check(&site).await;
    site.stop().await;
}

#[tokio::test]
async fn catcher_whose_file_is_missing_leaves_the_default_page() {
    async fn missing() -> File {
        File::new("/none/at/all.html")
    }
    let client = brubeck::testing::TestClient::new(App::new(routes![], ()).catch(404, missing));
    client.get("/x").await.assert_status(404).assert_text("Not Found");
}

#[tokio::test]
async fn head_of_a_caught_error_has_no_body() {
    async fn page() -> File {
        File::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clippy.toml"))
    }
    let client = brubeck::testing::TestClient::new(App::new(routes![], ()).catch(404, page));
    let length = client.get("/x").await.bytes().len();
    client
        .head("/x")
        .await
        .assert_status(404)
        .assert_header("content-length", &length.to_string())
        .assert_text("");
}

//! Replies of handlers.

use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Body, File, SameSite};
use futures_util::stream;
use http_body_util::BodyExt;
use std::time::Duration;

#[get("^/redirect/(?<code>[a-z]+)$")]
async fn redirect(code: String) -> Option<Redirect> {
    Some(match code.as_str() {
        "to" => Redirect::to("/there"),
        "found" => Redirect::found("/there"),
        "temporary" => Redirect::temporary("/there"),
        "permanent" => Redirect::permanent("/there"),
        _ => return None,
    })
}

#[get("^/tuple$")]
async fn tuple() -> (Status, ([(&'static str, &'static str); 2], Json<u8>)) {
    (Status::new(201), ([("location", "/7"), ("x-a", "b")], Json(7)))
}

#[get("^/http$")]
async fn plain_http() -> http::Response<String> {
    http::Response::builder()
        .status(418)
        .header("content-type", "text/teapot")
        .body("short".into())
        .unwrap()
}

#[get("^/stream$")]
async fn streamed() -> Body {
    Body::from_stream(stream::iter(["hel", "lo"].map(Ok::<_, std::io::Error>)))
}

#[get("^/broken-stream$")]
async fn broken_stream() -> Body {
    Body::from_stream(stream::iter([Ok("hel"), Err(std::io::Error::other("gone"))]))
}

#[get("^/events$")]
async fn events() -> Events {
    Events::new(stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Event::json(&n).unwrap().name("tick"), n + 1))
    }))
}

#[get("^/file/(?<name>[a-z.]+)$")]
async fn file(name: String) -> File {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    match name.as_str() {
        "toml" => File::new(folder.join("Cargo.toml")),
        "saved" => File::new(folder.join("Cargo.toml")).download("the \"best\".toml"),
        "below" => File::new(folder.join("Cargo.toml").join("below-a-file")),
        _ => File::new(folder.join("no-such-file")),
    }
}

#[get("^/cookie$")]
async fn cookie() -> Response {
    "x".into_reply()
        .with_cookie(Cookie::new("a", "1"))
        .with_cookie(Cookie::new("b", "2").same_site(SameSite::Strict))
}

#[get("^/problem$")]
async fn problem() -> Problem {
    Problem::new(409, "there is not enough")
        .invalid("amount", "too much")
        .with("balance", 50)
}

#[get("^/missing$")]
async fn missing() -> Problem {
    Status::NOT_FOUND.into()
}

const ROUTES: Routes<()> = routes![
    redirect,
    tuple,
    plain_http,
    streamed,
    broken_stream,
    events,
    file,
    cookie,
    problem,
    missing
];

fn client() -> TestClient {
    TestClient::new(App::new(ROUTES, ()))
}

#[tokio::test]
async fn redirects_set_status_and_location() {
    let client = client();
    for (name, code) in [
        ("to", 303),
        ("found", 302),
        ("temporary", 307),
        ("permanent", 308),
    ] {
        let response = client.get(&format!("/redirect/{name}")).await;
        response
            .assert_status(code)
            .assert_redirect("/there")
            .assert_text("");
    }
    client.get("/redirect/none").await.assert_status(404);
}

#[tokio::test]
async fn tuple_replies_set_status_and_headers() {
    let client = client();
    client
        .get("/tuple")
        .await
        .assert_status(201)
        .assert_header("location", "/7")
        .assert_json(7);
}

#[tokio::test]
async fn http_response_is_a_reply() {
    let client = client();
    let teapot = client.get("/http").await;
    teapot
        .assert_status(418)
        .assert_header("content-type", "text/teapot")
        .assert_header("content-length", "5");
}

#[tokio::test]
async fn each_cookie_of_a_reply_is_a_header() {
    let cookies = client().get("/cookie").await;
    assert_eq!(cookies.headers().get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn stream_reply_has_no_content_length() {
    let client = client();
    client
        .get("/stream")
        .await
        .assert_text("hello")
        .assert_no_header("content-length");
}

#[tokio::test]
async fn failed_stream_ends_the_body_with_an_error() {
    let mut response = client().get("/broken-stream").stream().await;
    assert_eq!(
        response
            .body_mut()
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        "hel"
    );
    assert!(response.body_mut().frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn server_sent_events_are_sent_one_by_one() {
    let client = client();
    let mut response = client.get("/events").stream().await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    for n in 0..3 {
        let event = response
            .body_mut()
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert_eq!(event, format!("event: tick\ndata: {n}\n\n"));
    }
}

#[tokio::test]
async fn file_reply_supports_ranges_and_conditional_requests() {
    let client = client();
    let whole = client.get("/file/toml").await;
    whole.assert_status(200).assert_contains("[package]");
    let (tag, size) = (whole.header("etag").unwrap(), whole.bytes().len());
    client
        .get("/file/toml")
        .header("if-none-match", tag)
        .await
        .assert_status(304)
        .assert_text("");
    let part = client.get("/file/toml").header("range", "bytes=0-10").await;
    part.assert_status(206)
        .assert_text("[workspace]")
        .assert_header("content-range", &format!("bytes 0-10/{size}"));
    client
        .get("/file/toml")
        .header("range", "bytes=9999999-")
        .await
        .assert_status(416);
    // HEAD has the length of GET.
    let head = client.head("/file/toml").await;
    head.assert_status(200)
        .assert_text("")
        .assert_header("content-length", &size.to_string());
}

#[tokio::test]
async fn download_encodes_the_file_name() {
    let download = client().get("/file/saved").await;
    download.assert_header(
        "content-disposition",
        "attachment; filename*=UTF-8''the%20%22best%22%2Etoml",
    );
}

#[tokio::test]
async fn missing_file_is_404() {
    let client = client();
    client.get("/file/none").await.assert_status(404);
    client.get("/file/below").await.assert_status(404);
}

#[tokio::test]
async fn problem_is_rendered_by_the_accept_header() {
    let client = client();
    client
        .get("/problem")
        .await
        .assert_status(409)
        .assert_text("there is not enough\namount: too much");
    client.get("/problem").accept("application/json").await.assert_json(serde_json::json!({
        "type": "about:blank", "title": "Conflict", "status": 409, "detail": "there is not enough", "balance": 50,
        "errors": [{ "field": "amount", "reason": "too much" }],
    }));
    let page = client.get("/problem").accept("text/html").await;
    page.assert_status(409)
        .assert_contains("<h1>409 Conflict</h1>")
        .assert_contains("<code>amount</code>");
}

#[tokio::test]
async fn not_found_reply_is_404() {
    client()
        .get("/missing")
        .await
        .assert_status(404)
        .assert_text("Not Found");
}

//! Hooks before and after handlers, and the limits of routes.

use crate::support::Gate;
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[get("^/$")]
async fn index() -> &'static str {
    "index"
}

#[get("^/panic$")]
async fn panics() -> &'static str {
    panic!("on purpose")
}

#[post("^/upload$")]
async fn upload(body: bytes::Bytes) -> String {
    body.len().to_string()
}

#[post("^/small$")]
async fn small(body: bytes::Bytes) -> String {
    body.len().to_string()
}

#[get("^/slow$")]
async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(60)).await;
    "at last"
}

#[get("^/gate$")]
async fn gate(gate: State<Gate>) -> &'static str {
    gate.pass().await;
    "through"
}

const ROUTES: Routes<Gate> = routes![index, panics, upload, small, slow, gate];

fn app() -> App<Gate> {
    App::new(ROUTES, Gate::new())
}

#[tokio::test]
async fn before_hooks_may_respond_and_after_hooks_see_every_response() {
    async fn only_members(headers: Headers) -> Result<(), Status> {
        headers.text("x-member").map(drop).ok_or(Status::FORBIDDEN)
    }
    async fn redirect_dave(headers: Headers) -> Result<(), Redirect> {
        match headers.text("x-member") {
            Some("dave") => Err(Redirect::to("/dave")),
            _ => Ok(()),
        }
    }
    let finished = Arc::new(AtomicU32::new(0));
    let count = finished.clone();
    let app = app()
        .before(only_members)
        .before(redirect_dave)
        .after(move |message, response| {
            count.fetch_add(1, Ordering::Relaxed);
            response.with_header("x-path", message.path())
        });
    let client = TestClient::new(app);
    client
        .get("/")
        .await
        .assert_status(403)
        .assert_header("x-path", "/");
    client
        .get("/")
        .header("x-member", "dave")
        .await
        .assert_redirect("/dave");
    client
        .get("/")
        .header("x-member", "ann")
        .await
        .assert_status(200)
        .assert_text("index");
    client
        .get("/panic")
        .header("x-member", "ann")
        .await
        .assert_status(500)
        .assert_header("x-path", "/panic");
    assert_eq!(finished.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn unmatched_path_runs_no_hooks() {
    let app = app()
        .before(|| async { Err::<(), _>(Status::FORBIDDEN) })
        .after(|message, response| response.with_header("x-path", message.path()));
    TestClient::new(app)
        .get("/nowhere")
        .await
        .assert_status(404)
        .assert_no_header("x-path");
}

#[tokio::test(start_paused = true)]
async fn route_limits_override_body_limit_and_timeout() {
    let limits = Limits::new();
    let app = app()
        .body_limit(10)
        .limit::<upload>(limits.clone().body_limit(20))
        .limit::<slow>(limits.timeout(Duration::from_secs(5)));
    let client = TestClient::new(app);
    client
        .post("/upload")
        .body("x".repeat(20))
        .await
        .assert_text("20");
    client
        .post("/upload")
        .body("x".repeat(21))
        .await
        .assert_status(413);
    client
        .post("/small")
        .body("x".repeat(11))
        .await
        .assert_status(413);
    client.post("/small").body("x".repeat(10)).await.assert_text("10");
    client
        .get("/slow")
        .await
        .assert_status(504)
        .assert_text("the handler did not respond in time");
}

#[tokio::test]
async fn full_route_is_503_with_retry_after() {
    let held = Gate::new();
    let app = App::new(ROUTES, held.clone()).limit::<gate>(Limits::new().concurrency(1));
    let client = Arc::new(TestClient::new(app));
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.get("/gate").await.status() }
    });
    held.wait_for_arrivals(1).await;
    client
        .get("/gate")
        .await
        .assert_status(503)
        .assert_header("retry-after", "1");
    client.get("/").await.assert_status(200);
    held.open(1);
    assert_eq!(first.await.unwrap(), 200);
    held.open(1);
    client.get("/gate").await.assert_status(200);
}

#[tokio::test]
async fn limits_of_an_unlisted_handler_are_an_error() {
    const WITHOUT: Routes<Gate> = routes![index];
    let app = App::new(WITHOUT, Gate::new()).limit::<upload>(Limits::new());
    let error = app.into_service().unwrap_err();
    assert!(
        error.to_string().contains("`upload`") && error.to_string().contains("hooks.rs"),
        "{error}"
    );
}

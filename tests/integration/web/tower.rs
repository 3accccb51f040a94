//! Tower layers around the application, axum routers mounted in it, and the application nested in axum.

use axum::Router;
use axum::routing::{get as axum_get, post as axum_post};
use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Axum, Body, Cookie};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::services::ServeDir;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_sessions::{MemoryStore, SessionManagerLayer};

#[get("^/$")]
async fn index() -> &'static str {
    "index"
}

#[post("^/echo$")]
async fn echo(text: Text) -> String {
    text.0
}

#[get("^/long$")]
async fn long() -> Html<String> {
    Html("brubeck ".repeat(1000))
}

#[get("^/slow$")]
async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(60)).await;
    "at last"
}

#[get("^/id$")]
async fn id(id: Extension<RequestId>) -> String {
    id.0.header_value().to_str().unwrap().to_owned()
}

#[get("^/visits$")]
async fn visits(session: Axum<tower_sessions::Session>) -> Result<String, Status> {
    let visits = session.get::<u32>("visits").await.ok().flatten().unwrap_or(0) + 1;
    session
        .insert("visits", visits)
        .await
        .map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
    Ok(visits.to_string())
}

const ROUTES: Routes<()> = routes![index, echo, long, slow, id, visits];

fn app() -> App<()> {
    App::new(ROUTES, ())
}

fn router() -> Router {
    Router::new()
        .route("/hello", axum_get(|| async { "hello from axum" }))
        .route("/echo", axum_post(|text: String| async { text }))
        .route(
            "/uri",
            axum_get(|uri: axum::http::Uri| async move { uri.to_string() }),
        )
}

#[tokio::test]
async fn trace_layer_sees_requests() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let spans = seen.clone();
    let layer = TraceLayer::new_for_http().make_span_with(move |request: &http::Request<Body>| {
        spans.lock().unwrap().push(request.uri().to_string());
        tracing::Span::none()
    });
    TestClient::new(app().layer(layer))
        .get("/?a")
        .await
        .assert_text("index");
    assert_eq!(*seen.lock().unwrap(), ["/?a"]);
}

#[tokio::test(start_paused = true)]
async fn timeout_layer_responds_to_slow_handlers_with_504() {
    let layer = TimeoutLayer::with_status_code(http::StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1));
    let client = TestClient::new(app().layer(layer));
    client.get("/slow").await.assert_status(504);
    client.get("/").await.assert_status(200);
}

#[tokio::test(start_paused = true)]
async fn layer_error_is_503() {
    #[derive(Clone)]
    struct Failing<S>(S);

    impl<S> tower::Service<http::Request<Body>> for Failing<S>
    where
        S: tower::Service<http::Request<Body>>,
    {
        type Response = http::Response<Body>;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<http::Response<Body>, std::io::Error>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), std::io::Error>> {
            std::task::Poll::Ready(Err(std::io::Error::other("on purpose")))
        }

        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            std::future::ready(Err(std::io::Error::other("on purpose")))
        }
    }

    let client = TestClient::new(app().layer(tower::layer::layer_fn(Failing)));
    client.get("/").await.assert_status(503);
}

#[tokio::test]
async fn body_limit_layer_rejects_large_bodies_with_413() {
    let client = TestClient::new(app().layer(RequestBodyLimitLayer::new(4)));
    client.post("/echo").body("four").await.assert_text("four");
    client.post("/echo").body("fiver").await.assert_status(413);
}

#[tokio::test]
async fn cors_layer_answers_preflight() {
    let client = TestClient::new(app().layer(CorsLayer::permissive()));
    let response = client.get("/").header("origin", "https://example.org").await;
    response.assert_header("access-control-allow-origin", "*");
    let preflight = client.options("/echo").header("origin", "https://example.org");
    let preflight = preflight.header("access-control-request-method", "POST").await;
    preflight
        .assert_status(200)
        .assert_header("access-control-allow-methods", "*");
}

#[tokio::test]
async fn compression_layer_compresses_responses() {
    let client = TestClient::new(app().layer(CompressionLayer::new()));
    let compressed = client.get("/long").header("accept-encoding", "gzip").await;
    compressed
        .assert_header("content-encoding", "gzip")
        .assert_no_header("content-length");
    assert!(compressed.bytes().len() < 200 && compressed.bytes().starts_with(&[0x1f, 0x8b]));
    client
        .get("/long")
        .await
        .assert_no_header("content-encoding")
        .assert_header("content-length", "8000");
}

#[tokio::test]
async fn panic_in_a_mounted_router_is_500_with_and_without_layer() {
    let panicking = || {
        Router::new().route(
            "/panic",
            axum_get(|| async {
                if true {
                    panic!("on purpose")
                }
            }),
        )
    };
    let caught = app()
        .mount("/ax", panicking())
        .layer(CatchPanicLayer::custom(|_| {
            http::Response::builder()
                .status(500)
                .body("caught by the layer".to_owned())
                .unwrap()
        }));
    TestClient::new(caught)
        .get("/ax/panic")
        .await
        .assert_status(500)
        .assert_text("caught by the layer");
    let client = TestClient::new(app().mount("/ax", panicking()));
    client
        .get("/ax/panic")
        .await
        .assert_status(500)
        .assert_text("Internal Server Error");
}

#[tokio::test]
async fn request_id_layer_sets_and_propagates() {
    let layer = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id());
    let client = TestClient::new(app().layer(layer));
    let response = client.get("/id").await;
    assert_eq!(response.header("x-request-id"), Some(response.text()));
    client
        .get("/id")
        .header("x-request-id", "mine")
        .await
        .assert_text("mine")
        .assert_header("x-request-id", "mine");
}

#[tokio::test]
async fn tower_sessions_layer_keeps_sessions() {
    let layer = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    let client = TestClient::new(app().layer(layer));
    client.get("/visits").await.assert_text("1");
    client.get("/visits").await.assert_text("2");
    client.forget_cookies();
    client.get("/visits").await.assert_text("1");
}

#[tokio::test]
async fn last_layer_is_outermost() {
    let stamp = |name: &'static str| {
        tower_http::set_header::SetResponseHeaderLayer::appending(
            http::HeaderName::from_static("x-layer"),
            http::HeaderValue::from_static(name),
        )
    };
    let client = TestClient::new(app().layer(stamp("inner")).layer(stamp("outer")));
    let response = client.get("/").await;
    let layers: Vec<_> = response.headers().get_all("x-layer").iter().collect();
    assert_eq!(layers, ["inner", "outer"]);
}

#[tokio::test]
async fn several_tower_http_layers_combine() {
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(10),
        ));
    TestClient::new(app().layer(layers))
        .get("/")
        .await
        .assert_status(200)
        .assert_text("index");
}

#[tokio::test]
async fn axum_router_can_be_mounted() {
    let client = TestClient::new(app().mount("/ax", router()));
    client.get("/ax/hello").await.assert_text("hello from axum");
    client.post("/ax/echo").body("back").await.assert_text("back");
    client.get("/ax/uri?a=1").await.assert_text("/uri?a=1");
    client.get("/ax").await.assert_status(404);
    client
        .get("/axe")
        .await
        .assert_status(404)
        .assert_text("Not Found");
    client.get("/").await.assert_text("index");
    client
        .head("/ax/hello")
        .await
        .assert_status(200)
        .assert_text("")
        .assert_header("content-length", "15");
}

/// The default body limit of an application is 1 MiB.
#[tokio::test]
async fn body_limit_applies_to_mounted_routers() {
    TestClient::new(app().mount("/ax", router()))
        .post("/ax/echo")
        .body("x".repeat(2 << 20))
        .await
        .assert_status(413);
}

#[tokio::test]
async fn mounts_match_the_longest_prefix() {
    let say = |text: &'static str| Router::new().fallback(move || async move { text });
    let app = app()
        .mount("/a", say("a"))
        .mount("/a/b/", say("b"))
        .mount("/", say("rest"));
    let client = TestClient::new(app);
    client.get("/a/x").await.assert_text("a");
    client.get("/a/b?x").await.assert_text("b");
    client.get("/a/b/c").await.assert_text("b");
    client.get("/elsewhere").await.assert_text("rest");
    // A route takes precedence over mounts, even for methods that it does not serve.
    client.get("/").await.assert_text("index");
    client.post("/").await.assert_status(405);
}

#[tokio::test]
async fn mount_prefix_without_a_slash_is_an_error() {
    let error = App::new(ROUTES, ())
        .mount("ax", router())
        .into_service()
        .unwrap_err();
    assert!(error.to_string().contains("`ax`"), "{error}");
}

#[tokio::test]
async fn application_nests_in_axum() {
    let app = app().into_service().unwrap();
    let router = router().nest_service("/b", app.clone()).fallback_service(app);
    let get = async |target: &str| {
        let request = http::Request::get(target)
            .body(axum::body::Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    assert_eq!(get("/b/").await, "index");
    assert_eq!(get("/").await, "index");
    assert_eq!(get("/hello").await, "hello from axum");
    assert_eq!(get("/b/nowhere").await, "Not Found");
}

#[tokio::test]
async fn service_accepts_other_body_types() {
    let app = app().into_service().unwrap();
    let full = http_body_util::Full::new(bytes::Bytes::from("hello"));
    let response = app
        .clone()
        .oneshot(http::Request::post("/echo").body(full).unwrap())
        .await
        .unwrap();
    assert_eq!(response.into_body().collect(10).await.unwrap(), "hello");
    let empty = http_body_util::Empty::<bytes::Bytes>::new();
    let response = app
        .oneshot(http::Request::get("/").body(empty).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn mounted_serve_dir_and_files_serve_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.css"), "body {}").unwrap();
    let client = TestClient::new(
        app()
            .mount("/dir", ServeDir::new(folder.path()))
            .files("/files", folder.path()),
    );
    for prefix in ["/dir", "/files"] {
        let style = client.get(&format!("{prefix}/a.css")).await;
        style.assert_text("body {}").assert_header("content-length", "7");
        let tag = style.header("etag").unwrap();
        client
            .get(&format!("{prefix}/a.css"))
            .header("if-none-match", tag)
            .await
            .assert_status(304);
        client.get(&format!("{prefix}/none.css")).await.assert_status(404);
        client
            .head(&format!("{prefix}/a.css"))
            .await
            .assert_header("content-length", "7")
            .assert_text("");
    }
}

#[tokio::test]
async fn cookies_pass_through_layers() {
    async fn stamped(cookies: Cookies) {
        cookies.set(Cookie::new("a", "1"));
    }
    let client = TestClient::new(app().before(stamped).layer(CompressionLayer::new()));
    client
        .get("/long")
        .header("accept-encoding", "gzip")
        .await
        .assert_status(200);
    assert_eq!(client.cookie("a").as_deref(), Some("1"));
}

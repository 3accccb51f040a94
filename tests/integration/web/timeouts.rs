//! Handler timeouts, and the deadlines of the calls that handlers make. The clock is paused.

use brubeck::prelude::*;
use brubeck::testing::TestClient;
use brubeck::{Deadline, Service, ServiceAddress, TestSite};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SECRET: &str = "my_shared_secret";
const FAR: &str = "tcp://far.example:9000";

/// Counts dropped handlers.
#[derive(Clone, Default)]
struct DropCounter(Arc<AtomicUsize>);

struct Guard(DropCounter);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, SeqCst);
    }
}

#[get("^/never$")]
async fn never(dropped: State<DropCounter>) {
    let _guard = Guard(dropped.0.clone());
    std::future::pending().await
}

/// A long poll that takes five minutes.
#[get("^/poll$")]
async fn poll() -> &'static str {
    sleep(Duration::from_secs(300)).await;
    "news"
}

#[get("^/left$")]
async fn left(deadline: Deadline) -> String {
    format!("{:?}", deadline.remaining())
}

/// Streams a line each minute. The deadline exists before the response head is sent, and not after it.
#[get("^/lines$")]
async fn lines(deadline: Deadline) -> Response {
    assert!(deadline.remaining().is_some());
    let lines = stream::iter(0..3).then(move |n| {
        let deadline = deadline.clone();
        async move {
            sleep(Duration::from_secs(60)).await;
            Ok::<_, std::io::Error>(format!("{n} {:?}\n", deadline.remaining()))
        }
    });
    Response::stream(Status::OK, "text/plain", Body::from_stream(lines))
}

/// Reads the upload, sleeps, and returns the size of the upload.
#[post("^/upload/(?<seconds>[0-9]+)$")]
async fn upload(mut upload: Upload, seconds: u64) -> Result<String, UploadError> {
    let mut size = 0;
    while let Some(piece) = upload.chunk().await? {
        size += piece.len();
    }
    sleep(Duration::from_secs(seconds)).await;
    Ok(size.to_string())
}

#[post("^/piped$")]
async fn piped(upload: Upload) -> Result<String, Status> {
    let all = upload.into_body().collect(100).await;
    all.map(|all| all.len().to_string())
        .map_err(|_| Status::BAD_REQUEST)
}

const ROUTES: Routes<DropCounter> = routes![never, poll, left, lines, upload, piped];

fn client(app: impl FnOnce(App<DropCounter>) -> App<DropCounter>) -> (TestClient, DropCounter) {
    let dropped = DropCounter::default();
    (TestClient::new(app(App::new(ROUTES, dropped.clone()))), dropped)
}

#[tokio::test(start_paused = true)]
async fn handler_timeout_is_504_and_drops_the_handler() {
    for (limit, seconds) in [(None, 60), (Some(5), 5)] {
        let (client, dropped) = client(|app| match limit {
            Some(limit) => app.timeout(Duration::from_secs(limit)),
            None => app,
        });
        let began = Instant::now();
        let response = client.get("/never").accept("application/json").await;
        response
            .assert_status(504)
            .assert_header("content-type", "application/problem+json")
            .assert_json(serde_json::json!({
                "type": "about:blank", "title": "Gateway Timeout", "status": 504, "detail": "the handler did not respond in time"
            }));
        assert_eq!(began.elapsed(), Duration::from_secs(seconds));
        assert_eq!(dropped.0.load(SeqCst), 1, "the handler was not dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_can_be_disabled_per_route_and_per_application() {
    let (client, _) = client(|app| app.limit::<poll>(Limits::new().timeout(None)));
    client.get("/poll").await.assert_text("news");
    let (client, _) = self::client(|app| app.timeout(None));
    client.get("/poll").await.assert_text("news");
    client.get("/left").await.assert_text("None");
    let (client, _) = self::client(|app| app);
    client.get("/poll").await.assert_status(504);
    client.get("/left").await.assert_text("Some(60s)");
}

#[tokio::test(start_paused = true)]
async fn timeout_covers_hooks_and_fallback() {
    async fn slow_hook() {
        sleep(Duration::from_secs(3)).await
    }
    async fn never_ready() {
        std::future::pending().await
    }
    let (client, _) = client(|app| {
        app.before(slow_hook)
            .fallback(never_ready)
            .timeout(Duration::from_secs(5))
            .after(|_, response| response.with_header("x-seen", "yes"))
    });
    client.get("/left").await.assert_text("Some(2s)");
    let began = Instant::now();
    client
        .get("/never")
        .await
        .assert_status(504)
        .assert_header("x-seen", "yes");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    client.get("/nowhere").await.assert_status(504);
}

#[tokio::test(start_paused = true)]
async fn timeout_does_not_limit_response_streams() {
    let (client, _) = client(|app| app.timeout(Duration::from_secs(1)));
    let body = client.get("/lines").stream().await.into_body();
    let text = BodyExt::collect(body).await.unwrap().to_bytes();
    assert_eq!(text, "0 None\n1 None\n2 None\n");
}

/// The time in which a slow client sends its body does not count.
#[tokio::test(start_paused = true)]
async fn timeout_starts_after_the_upload_is_read() {
    let (client, _) = client(|app| app.timeout(Duration::from_secs(5)));
    let slow = || {
        Body::from_stream(stream::iter(0..10).then(|_| async {
            sleep(Duration::from_secs(3)).await;
            Ok::<_, std::io::Error>("ab")
        }))
    };
    client.post("/upload/4").body(slow()).await.assert_text("20");
    client.post("/piped").body(slow()).await.assert_text("20");
    let began = Instant::now();
    client.post("/upload/60").body(slow()).await.assert_status(504);
    assert_eq!(began.elapsed(), Duration::from_secs(35));
}

/// Returns the seconds until the deadline of the call, rounded.
#[service_handler(path = "^/remaining", method = "request")]
async fn remaining(deadline: Deadline) -> Json<Option<u64>> {
    let left = deadline.remaining();
    Json(left.map(|left| left.as_secs_f64().round() as u64))
}

#[get("^/call$")]
async fn call(services: Services) -> Result<String, CallError> {
    sleep(Duration::from_secs(2)).await;
    let far = services.register(FAR, SECRET)?;
    let call = far.request("/remaining").timeout(Duration::from_secs(3600));
    Ok(call.await?.body.to_string())
}

/// Makes its call after the response head was sent.
#[get("^/call-later$")]
async fn call_later(services: Services) -> Response {
    let response = stream::once(async move {
        sleep(Duration::from_secs(10)).await;
        let far = services.register(FAR, SECRET).map_err(std::io::Error::other)?;
        let call = far.request("/remaining").timeout(Duration::from_secs(30));
        call.await
            .map(|response| response.body.to_string())
            .map_err(std::io::Error::other)
    });
    Response::stream(Status::OK, "text/plain", Body::from_stream(response))
}

#[tokio::test(start_paused = true)]
async fn call_deadline_is_capped_by_the_handler_deadline() {
    let app = App::new(routes![call, call_later], ()).timeout(Duration::from_secs(5));
    let site = TestSite::of(app)
        .service(Service::bind(FAR, SECRET), App::new(routes![remaining], ()))
        .start()
        .await
        .unwrap();
    // A call outside of a handler has only its own timeout.
    let client = site.client(&ServiceAddress::new(FAR, SECRET)).unwrap();
    let response = client
        .request("/remaining")
        .timeout(Duration::from_secs(3600))
        .await;
    assert_eq!(response.unwrap().body, 3600);
    // The handler has slept for 2 of its 5 seconds.
    site.browser().get("/call").await.assert_text("3");
    // The handler timeout does not limit response streams.
    let body = site.browser().get("/call-later").stream().await.into_body();
    let text = BodyExt::collect(body).await.unwrap().to_bytes();
    assert_eq!(text, "30");
    site.stop().await;
}

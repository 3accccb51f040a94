//! Server-sent events of `TestClient`, one by one.

use brubeck::prelude::*;
use brubeck::testing::TestClient;
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

#[get("^/hours$")]
async fn hours(last_event_id: Option<Header<u32>>, dropped: State<Arc<Notify>>) -> Events {
    /// Notifies when the stream is dropped.
    struct Guard(Arc<Notify>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let guard = Guard(dropped.0.clone());
    let first = last_event_id.map_or(1, |id| *id + 1);
    Events::new(stream::iter(first..=3).then(move |n| {
        let _ = &guard;
        async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            match n {
                1 => Event::data("one\ntwo").name("hour").id("1").comment("first"),
                2 => Event::new().id("2"),
                _ => Event::json(&[n]).unwrap_or_default(),
            }
        }
    }))
}

#[get("^/broken$")]
async fn broken() -> Events {
    Events::new(stream::iter(1..=3).map(|n| {
        assert!(n < 3, "the third event fails");
        Event::data(n.to_string())
    }))
}

const ROUTES: Routes<Arc<Notify>> = routes![hours, broken];

#[tokio::test(start_paused = true)]
async fn events_arrive_one_by_one() {
    let client = TestClient::new(App::new(ROUTES, Arc::default()));
    let mut events = client.get("/hours").events().await;
    events.response().assert_header("cache-control", "no-cache");
    events.assert_silent(Duration::from_secs(3599)).await;
    let first = events.recv().await.expect("an event");
    assert_eq!(
        (first.name(), first.data(), first.id()),
        ("hour", "one\ntwo", "1")
    );
    // The second one has no data, so a browser fires the third one.
    let third = events.recv().await.expect("an event");
    assert_eq!((third.name(), third.json(), third.id()), ("message", [3], "2"));
    assert_eq!(events.recv().await, None);

    let mut events = client.get("/hours").header("last-event-id", "2").events().await;
    events.assert_event("message", "[3]").await;
}

#[tokio::test(start_paused = true)]
async fn dropped_events_are_a_client_that_disconnects() {
    let dropped = Arc::new(Notify::new());
    let client = TestClient::new(App::new(ROUTES, dropped.clone()));
    let mut events = client.get("/hours").events().await;
    events.assert_silent(Duration::from_secs(60)).await;
    drop(events);
    dropped.notified().await;
}

#[tokio::test(start_paused = true)]
async fn broken_stream_is_not_an_end() {
    let client = TestClient::new(App::new(ROUTES, Arc::default()));
    let mut events = client.get("/broken").events().await;
    events.assert_event("message", "1").await;
    events.assert_event("message", "2").await;
    events.assert_broken().await;
    let panicked = AssertUnwindSafe(client.get("/missing").events())
        .catch_unwind()
        .await;
    let message = panicked
        .err()
        .and_then(|panicked| panicked.downcast::<String>().ok())
        .expect("a text");
    assert!(
        message.starts_with("the response is not a stream of events, at tests/integration"),
        "{message}"
    );
    assert!(message.contains("404 Not Found"), "{message}");
}

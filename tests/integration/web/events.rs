//! Server-sent events, on both front ends.

use crate::support::test_bed::{TestBed, default_settings};
use brubeck::prelude::*;
use brubeck::{Event, Events};
use futures_util::stream::{self, StreamExt};

#[get("^/resume$")]
async fn resume(last_event_id: Option<Header<String>>, headers: Headers) -> String {
    format!(
        "{:?} {:?}",
        last_event_id.as_deref(),
        headers.text("last-event-id")
    )
}

#[get("^/events$")]
async fn events() -> Events {
    Events::new(stream::iter([Event::data("x").id("naïve-7")]))
}

#[get("^/panics$")]
async fn panics() -> Events {
    let two = stream::iter([Event::data("one"), Event::data("two")]);
    Events::new(two.chain(stream::once(async { panic!("on purpose") })))
}

#[get("^/fails$")]
async fn fails() -> Response {
    let chunks = [Ok("one"), Ok("two"), Err(std::io::Error::other("on purpose"))];
    Response::stream(Status::OK, "text/plain", Body::from_stream(stream::iter(chunks)))
}

const ROUTES: Routes<()> = routes![resume, events, panics, fails];

async fn on_both_front_ends(test: impl AsyncFn(&TestBed)) {
    let embedded = TestBed::embedded(App::new(ROUTES, ())).await;
    let mongrel2 = TestBed::mongrel2(App::new(ROUTES, ()), default_settings).await;
    for test_bed in [Some(embedded), mongrel2].into_iter().flatten() {
        test(&test_bed).await;
        test_bed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_resumes_after_an_id_that_is_not_ascii() {
    on_both_front_ends(async |test_bed| {
        let mut browser = test_bed.browser().await;
        let response = browser.get("/events").await;
        assert_eq!(response.text(), "id: naïve-7\ndata: x\n\n");
        for (value, expected) in [
            (&b"na\xc3\xafve-7"[..], r#"Some("naïve-7") Some("naïve-7")"#),
            (b"7", r#"Some("7") Some("7")"#),
            (b"\xe6\x97\xa5\xe6\x9c\xac", r#"Some("日本") Some("日本")"#),
        ] {
            let request = [
                &b"GET /resume HTTP/1.1\r\nhost: h\r\nlast-event-id: "[..],
                value,
                b"\r\n\r\n",
            ];
            browser.send(request.concat()).await;
            assert_eq!(browser.read_response().await.text(), expected);
        }
        // Not UTF-8: refused, instead of starting from the beginning.
        browser
            .send(b"GET /resume HTTP/1.1\r\nhost: h\r\nlast-event-id: \xe9\r\n\r\n")
            .await;
        assert_eq!(browser.read_response().await.status, 400);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_has_yielded_is_sent_before_the_connection_breaks() {
    on_both_front_ends(async |test_bed| {
        for (path, parts) in [
            ("/panics", ["data: one\n\n", "data: two\n\n"]),
            ("/fails", ["one", "two"]),
        ] {
            let mut browser = test_bed.browser().await;
            browser
                .send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n"))
                .await;
            let received = String::from_utf8(browser.read_to_close().await).expect("a text");
            assert!(received.starts_with("HTTP/1.1 200 "), "{path}: {received}");
            for part in parts {
                assert!(received.contains(part), "{path}: {received}");
            }
            // No last chunk: the client sees that the response is incomplete.
            assert!(!received.ends_with("0\r\n\r\n"), "{path}: {received}");
        }
    })
    .await;
}

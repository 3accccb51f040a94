//! Long polls and server-sent events.

use crate::support::test_bed::{Configure, TestBed, default_settings};
use crate::support::{Gate, behaviour, with_timeout};
use brubeck::prelude::*;
use futures_util::stream;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Sends an event at each of the first three passes of the gate, and ends at the fourth.
#[get("^/events$")]
async fn events(gate: State<Gate>) -> Events {
    let gate = gate.0.clone();
    Events::new(stream::unfold(1, move |n| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            (n <= 3).then(|| (Event::data(format!("event {n}")), n + 1))
        }
    }))
}

const ROUTES: Routes<Gate> = routes![events];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_sent_when_they_happen() {
    let gate = Gate::new();
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, gate.clone()), default_settings).await else {
        return;
    };
    let stream = TcpStream::connect(test_bed.address).await.expect("a server");
    let mut stream = BufReader::new(stream);
    with_timeout(stream.write_all(behaviour::request("/events").as_bytes()))
        .await
        .expect("an open connection");
    for n in 1..=3 {
        gate.wait_for_arrivals(1).await;
        gate.open(1);
        let wanted = format!("data: event {n}\n");
        let mut line = String::new();
        while line != wanted {
            line.clear();
            assert_ne!(
                with_timeout(stream.read_line(&mut line))
                    .await
                    .expect("an open connection"),
                0
            );
        }
    }
    // Closing the connection cancels the stream.
    drop(stream);
    gate.wait_for_arrivals(1).await;
    gate.wait_for_exits(4).await;
    test_bed.stop().await;
}

/// Mongrel2 closes an idle connection unless the application sends keep-alives for it. The limit is 3 seconds here
/// instead of the default of 10 minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alive_protects_a_long_poll_from_the_idle_limit() {
    let gate = Gate::new();
    let configure: Configure = |config, link, _| {
        let config = config
            .idle_limit(Duration::from_secs(3))
            .setting("limits.tick_timer", "1")
            .setting("limits.kill_limit", "0");
        let config = config
            .setting("limits.min_read_rate", "0")
            .setting("limits.min_write_rate", "0");
        (config, link.keep_alive(Duration::from_secs(1)))
    };
    let Some(test_bed) = TestBed::mongrel2(behaviour::app(&gate), configure).await else {
        return;
    };
    let mut waiting = test_bed.browser().await;
    waiting.send(behaviour::request("/slow/poll")).await;
    gate.wait_for_arrivals(1).await;
    // A connection without a pending request is closed, although it was opened later.
    let mut idle = test_bed.browser().await;
    assert_eq!(idle.get("/hello").await.text(), "hello");
    assert_eq!(idle.read_to_close().await, b"");
    gate.open(1);
    assert_eq!(waiting.read_response().await.text(), "poll");
    test_bed.stop().await;
}

//! Requests that wait: long polls, and streams of events.

use crate::support::laboratory::{Laboratory, Setting, plain};
use crate::support::{Gate, behaviour, within};
use brubeck::prelude::*;
use futures_util::stream;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One event each time the gate is opened.
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
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, gate.clone()), plain).await else {
        return;
    };
    let stream = TcpStream::connect(laboratory.address).await.expect("a server");
    let mut stream = BufReader::new(stream);
    within(stream.write_all(behaviour::request("/events").as_bytes()))
        .await
        .expect("an open connection");
    for n in 1..=3 {
        gate.arrived(1).await;
        gate.open(1);
        let wanted = format!("data: event {n}\n");
        let mut line = String::new();
        while line != wanted {
            line.clear();
            assert_ne!(
                within(stream.read_line(&mut line))
                    .await
                    .expect("an open connection"),
                0
            );
        }
    }
    // And a page that is left ends them.
    drop(stream);
    gate.arrived(1).await;
    gate.left(4).await;
    laboratory.stop().await;
}

/// Mongrel2 closes what is quiet, unless it is told that somebody waits. Here after a second instead of two minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keep_alive_protects_a_long_poll_from_the_idle_limit() {
    let gate = Gate::new();
    let set: Setting = |config, link, _| {
        let config = config
            .idle_limit(Duration::from_secs(3))
            .setting("limits.tick_timer", "1")
            .setting("limits.kill_limit", "0");
        let config = config
            .setting("limits.min_read_rate", "0")
            .setting("limits.min_write_rate", "0");
        (config, link.keep_alive(Duration::from_secs(1)))
    };
    let Some(laboratory) = Laboratory::new(behaviour::app(&gate), set).await else {
        return;
    };
    let mut waiting = laboratory.browser().await;
    waiting.send(behaviour::request("/slow/patient")).await;
    gate.arrived(1).await;
    // One that waits for nothing, after it, is closed before.
    let mut idle = laboratory.browser().await;
    assert_eq!(idle.get("/hello").await.text(), "hello");
    assert_eq!(idle.rest().await, b"");
    gate.open(1);
    assert_eq!(waiting.answer().await.text(), "patient");
    laboratory.stop().await;
}

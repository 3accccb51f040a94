//! The control port, and what only it can tell.

use crate::support::laboratory::{Laboratory, Setting, plain, until};
use crate::support::websocket::Wire;
use crate::support::{Gate, behaviour, within};
use brubeck::prelude::*;
use brubeck::{Mongrel2ConnectionKind, Mongrel2Control};
use std::time::Duration;

#[websocket("^/watched$")]
async fn watched(mut socket: WebSocket, gate: State<Gate>) {
    gate.knock();
    while socket.recv().await.is_some() {}
    gate.open(1);
    gate.pass().await;
}

const ROUTES: Routes<Gate> = routes![watched];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_port_lists_kills_and_reloads() {
    let gate = Gate::new();
    let Some(laboratory) = Laboratory::new(behaviour::app(&gate), plain).await else {
        return;
    };
    let control = Mongrel2Control::connect(laboratory.control()).expect("an endpoint");
    assert!(within(control.uuid()).await.expect("a name").starts_with("m2-"));
    let mut browser = laboratory.browser().await;
    assert_eq!(browser.get("/hello").await.text(), "hello");
    let all = within(control.connections()).await.expect("connections");
    let one = all.iter().find(|known| known.id >= 0).expect("a connection");
    assert_eq!(one.kind, Mongrel2ConnectionKind::Http);
    assert!(one.bytes_read > 30 && one.bytes_written > 100, "{one:?}");
    within(control.kill(one.id)).await.expect("it is there");
    assert_eq!(browser.rest().await, b"");
    let error = within(control.kill(9999)).await.expect_err("nobody").to_string();
    assert!(error.contains("kill"), "{error}");
    within(control.reload()).await.expect("a reload");
    assert_eq!(laboratory.browser().await.get("/hello").await.text(), "hello");
    let nobody = Mongrel2Control::connect("ipc:///nowhere/control").expect("an endpoint");
    let error = within(nobody.connections())
        .await
        .expect_err("nobody")
        .to_string();
    assert!(error.contains("control_port"), "{error}");
    laboratory.stop().await;
}

/// Mongrel2 sends no notice when it drops a client by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_closed_without_notice_are_detected() {
    let gate = Gate::new();
    let set: Setting = |config, link, folder| {
        (
            config,
            link.control(format!("ipc://{folder}/control"))
                .keep_alive(Duration::from_secs(1)),
        )
    };
    let Some(laboratory) = Laboratory::new(App::new(ROUTES, gate.clone()), set).await else {
        return;
    };
    let control = Mongrel2Control::connect(laboratory.control()).expect("an endpoint");
    let mut wire = Wire::open(laboratory.address, "/watched").await;
    gate.arrived(1).await;
    let all = within(control.connections()).await.expect("connections");
    let one = all
        .iter()
        .find(|known| known.kind == Mongrel2ConnectionKind::WebSocket)
        .expect("a WebSocket");
    within(control.kill(one.id)).await.expect("it is there");
    assert_eq!(wire.next().await, None);
    gate.left(1).await;
    until(|| laboratory.counts.messages() > 0).await;
    laboratory.stop().await;
}

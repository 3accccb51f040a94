//! The control port, and connections whose end only the control port reports.

use crate::support::test_bed::{Configure, TestBed, default_settings};
use crate::support::websocket::WebSocketClient;
use crate::support::{Gate, behaviour, with_timeout};
use brubeck::prelude::*;
use brubeck::{Mongrel2ConnectionKind, Mongrel2Control};
use std::time::Duration;

/// Signals its start as an arrival at the gate, and the end of its client as an arrival and an exit.
#[websocket("^/watched$")]
async fn watched(mut socket: WebSocket, gate: State<Gate>) {
    gate.signal_arrival();
    while socket.recv().await.is_some() {}
    // The test only counts, so the handler admits itself.
    gate.open(1);
    gate.pass().await;
}

const ROUTES: Routes<Gate> = routes![watched];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_port_lists_kills_and_reloads() {
    let gate = Gate::new();
    let Some(test_bed) = TestBed::mongrel2(behaviour::app(&gate), default_settings).await else {
        return;
    };
    let control = Mongrel2Control::connect(test_bed.control()).expect("an endpoint");
    assert!(
        with_timeout(control.uuid())
            .await
            .expect("a uuid")
            .starts_with("m2-")
    );
    let mut browser = test_bed.browser().await;
    assert_eq!(browser.get("/hello").await.text(), "hello");
    let all = with_timeout(control.connections()).await.expect("connections");
    // A connection has the id -1 until Mongrel2 has sent a request of it to a handler.
    let connection = all.iter().find(|known| known.id >= 0).expect("a connection");
    assert_eq!(connection.kind, Mongrel2ConnectionKind::Http);
    assert!(
        connection.bytes_read > 30 && connection.bytes_written > 100,
        "{connection:?}"
    );
    with_timeout(control.kill(connection.id))
        .await
        .expect("an open connection");
    assert_eq!(browser.read_to_close().await, b"");
    let error = with_timeout(control.kill(9999))
        .await
        .expect_err("there is no connection 9999")
        .to_string();
    assert!(error.contains("kill"), "{error}");
    with_timeout(control.reload()).await.expect("a reload");
    assert_eq!(test_bed.browser().await.get("/hello").await.text(), "hello");
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_control_port_is_an_error() {
    let unavailable = Mongrel2Control::connect("ipc:///nowhere/control").expect("an endpoint");
    let error = with_timeout(unavailable.connections())
        .await
        .expect_err("no Mongrel2 listens there")
        .to_string();
    assert!(error.contains("control_port"), "{error}");
}

/// Mongrel2 sends no notice if it closes a connection itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_closed_without_notice_are_detected() {
    let gate = Gate::new();
    let configure: Configure = |config, link, folder| {
        (
            config,
            link.control(format!("ipc://{folder}/control"))
                .keep_alive(Duration::from_secs(1)),
        )
    };
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, gate.clone()), configure).await else {
        return;
    };
    let control = Mongrel2Control::connect(test_bed.control()).expect("an endpoint");
    let mut wire = WebSocketClient::open(test_bed.address, "/watched").await;
    gate.wait_for_arrivals(1).await;
    let all = with_timeout(control.connections()).await.expect("connections");
    let connection = all
        .iter()
        .find(|known| known.kind == Mongrel2ConnectionKind::WebSocket)
        .expect("a WebSocket");
    with_timeout(control.kill(connection.id))
        .await
        .expect("an open connection");
    assert_eq!(wire.recv_frame().await, None);
    gate.wait_for_exits(1).await;
    test_bed.stop().await;
}

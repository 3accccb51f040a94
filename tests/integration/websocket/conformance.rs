//! Conformance with RFC 6455 on both front ends.

use super::cases::{Case, Expected, cases};
use crate::support::test_bed::{TestBed, default_settings};
use crate::support::websocket::{Frame, WebSocketClient};
use brubeck::prelude::*;

#[websocket("^/echo$")]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

const ROUTES: Routes<()> = routes![echo];

/// Runs a case, and returns the reason if it fails.
async fn run(test_bed: &TestBed, case: Case) -> Option<String> {
    let mut wire = WebSocketClient::open(test_bed.address, "/echo").await;
    wire.send_raw(&case.input).await;
    let (frames, code) = match case.expected {
        Expected::Frames(frames) => (frames, None),
        Expected::Closes(frames, code) => (frames, Some((code, false))),
        // Mongrel2 parses frames itself, and ends the connection without a close frame if one is invalid.
        Expected::Fails(code) => (vec![], Some((code, test_bed.server.is_some()))),
    };
    for frame in frames {
        let seen = wire.recv_frame().await;
        if seen.as_ref() != Some(&frame) {
            // Without the payloads, which may be a mebibyte long.
            let describe = |frame: &Frame| format!("{:#04x} with {} bytes", frame.first, frame.payload.len());
            let (expected, seen) = (describe(&frame), seen.as_ref().map(describe));
            return Some(format!("{}: received {seen:?}, not {expected}", case.name));
        }
    }
    let Some((code, may_drop)) = code else {
        wire.send_text("still open").await;
        let seen = wire.recv_frame().await;
        return (seen != Some(Frame::text("still open")))
            .then(|| format!("{}: received {seen:?} instead of the last echo", case.name));
    };
    match wire.recv_close().await {
        Some(seen) if seen == code => {}
        None if may_drop => {}
        seen => return Some(format!("{}: closed with {seen:?}, not {code}", case.name)),
    }
    wire.recv_frame()
        .await
        .map(|frame| format!("{}: {frame:?} after the close", case.name))
}

async fn assert_conforms(test_bed: TestBed) {
    let mut failed = Vec::new();
    let mut total = 0;
    for case in cases() {
        total += 1;
        failed.extend(run(&test_bed, case).await);
    }
    assert!(
        failed.is_empty(),
        "{} of {total} cases failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    println!("{total} WebSocket cases passed");
    assert!(total > 100);
    // The server still accepts connections.
    let mut wire = WebSocketClient::open(test_bed.address, "/echo").await;
    wire.send_text("hello").await;
    assert_eq!(wire.recv_text().await, "hello");
    drop(wire);
    test_bed.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc_6455_conformance_behind_mongrel2() {
    let Some(test_bed) = TestBed::mongrel2(App::new(ROUTES, ()), default_settings).await else {
        return;
    };
    assert_conforms(test_bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc_6455_conformance_on_the_embedded_server() {
    assert_conforms(TestBed::embedded(App::new(ROUTES, ())).await).await;
}

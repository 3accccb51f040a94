//! Conformance with RFC 6455 on both front ends, and in memory.

use super::cases::{Case, Expected, cases};
use crate::support::test_bed::{TestBed, default_settings};
use crate::support::websocket::{Frame, WebSocketClient};
use brubeck::prelude::*;
use brubeck::testing::TestClient;

#[websocket("^/echo$")]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

const ROUTES: Routes<()> = routes![echo];

/// Runs a case, and returns the reason if it fails.
async fn run(mut wire: WebSocketClient, case: Case, is_behind_mongrel2: bool) -> Option<String> {
    wire.send_raw(&case.input).await;
    let (frames, code) = match case.expected {
        Expected::Frames(frames) => (frames, None),
        Expected::Closes(frames, code) => (frames, Some((code, false))),
        // Mongrel2 parses frames itself, and ends the connection without a close frame if one is invalid.
        Expected::Fails(code) => (vec![], Some((code, is_behind_mongrel2))),
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

/// Runs all cases, each on a connection that `open` opens.
async fn assert_all_conform<F: Future<Output = WebSocketClient>>(
    open: impl Fn() -> F,
    is_behind_mongrel2: bool,
) {
    let mut failed = Vec::new();
    let mut total = 0;
    for case in cases() {
        total += 1;
        failed.extend(run(open().await, case, is_behind_mongrel2).await);
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
    let mut wire = open().await;
    wire.send_text("hello").await;
    assert_eq!(wire.recv_text().await, "hello");
}

async fn assert_conforms(test_bed: TestBed) {
    let is_behind_mongrel2 = test_bed.server.is_some();
    assert_all_conform(
        || WebSocketClient::open(test_bed.address, "/echo"),
        is_behind_mongrel2,
    )
    .await;
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

/// The frames of a test client's connection are those of the embedded server.
#[tokio::test(start_paused = true)]
async fn rfc_6455_conformance_in_memory() {
    let client = TestClient::new(App::new(ROUTES, ()));
    let open = async || WebSocketClient::over(client.websocket("/echo").stream().await);
    assert_all_conform(open, false).await;
}

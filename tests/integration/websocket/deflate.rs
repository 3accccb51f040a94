//! Compressed messages (RFC 7692) on both front ends.

use crate::support::Gate;
use crate::support::test_bed::{TestBed, default_settings, wait_until};
use crate::support::websocket::{Frame, WebSocketClient};
use brubeck::prelude::*;
use brubeck_runtime::wire::deflate::{MAX_WINDOW_BITS, deflate, inflate};

#[derive(AppState)]
struct Rooms {
    all: Broadcast,
    gate: Gate,
}

#[websocket("^/echo$")]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Signals its start and its end to the test, and checks the close code.
#[websocket("^/ended$")]
async fn ended(mut socket: WebSocket, room: State<Broadcast>, gate: State<Gate>) {
    let _member = room.join(&socket);
    gate.signal_arrival();
    while socket.recv().await.is_some() {}
    assert!(socket.recv().await.is_none(), "a message after the end");
    let code = socket.ended().map(Close::code);
    assert!(matches!(code, Some(1002 | 1007 | 1009)), "{code:?}");
    gate.signal_arrival();
}

#[websocket("^/chat$")]
async fn chat(mut socket: WebSocket, room: State<Broadcast>, gate: State<Gate>) {
    let _member = room.join(&socket);
    gate.signal_arrival();
    while let Some(message) = socket.recv().await {
        room.send(message).await;
    }
}

const ROUTES: Routes<Rooms> = routes![echo, ended, chat];
const OFFER: &str = "sec-websocket-version: 13\r\nsec-websocket-extensions: permessage-deflate\r\n";
const AGREED: &str = "\r\nsec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
const DEFLATED_TEXT: u8 = 0xc1;

async fn open(test_bed: &TestBed, path: &str) -> WebSocketClient {
    let wire = WebSocketClient::handshake(test_bed.address, path, OFFER)
        .await
        .expect("a WebSocket");
    assert!(wire.head.contains(AGREED), "{}", wire.head);
    wire
}

/// Runs a test on the embedded server, and behind Mongrel2 if it is installed.
async fn on_both_front_ends(test: impl AsyncFn(&TestBed, &Gate)) {
    let app = || {
        let gate = Gate::new();
        let all = Broadcast::new();
        let rooms = Rooms {
            all,
            gate: gate.clone(),
        };
        (App::new(ROUTES, rooms).message_limit(100_000), gate)
    };
    let (embedded_app, gate) = app();
    let embedded = TestBed::embedded(embedded_app).await;
    test(&embedded, &gate).await;
    embedded.stop().await;
    let (mongrel2_app, gate) = app();
    let Some(behind) = TestBed::mongrel2(mongrel2_app, default_settings).await else {
        return;
    };
    test(&behind, &gate).await;
    behind.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_compressed_if_negotiated() {
    on_both_front_ends(async |test_bed, _| {
        let mut wire = open(test_bed, "/echo").await;
        // RFC 7692, 7.2.3.1: "Hello", in one frame and in fragments. The echo is too small to be compressed.
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        wire.send(DEFLATED_TEXT, &hello).await;
        assert_eq!(wire.recv_text().await, "Hello");
        wire.send(0x41, &hello[..3]).await;
        wire.send(0x89, b"still there?").await;
        wire.send(0x80, &hello[3..]).await;
        assert_eq!(wire.recv_frame().await.map(|frame| frame.first), Some(0x8a));
        assert_eq!(wire.recv_text().await, "Hello");
        // An uncompressed message is valid, too.
        wire.send_text("plain").await;
        assert_eq!(wire.recv_text().await, "plain");
        let text = "all work and no play makes ".repeat(3000);
        for first in [0x81, 0x82] {
            wire.send(first, text.as_bytes()).await;
            let frame = wire.recv_frame().await.expect("an echo");
            assert_eq!(frame.first, first | 0x40);
            assert!(frame.payload.len() < text.len() / 50, "{}", frame.payload.len());
            assert_eq!(inflate(&frame.payload, text.len()).unwrap(), text.as_bytes());
        }
        // A message that does not become smaller may be sent uncompressed.
        let noise: Vec<u8> = (0..5000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        wire.send(0x82, &noise).await;
        let frame = wire.recv_frame().await.expect("an echo");
        let back = match frame.first {
            0xc2 => inflate(&frame.payload, noise.len()).unwrap(),
            _ => frame.payload,
        };
        assert_eq!(back, noise);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsupported_or_invalid_offers_leave_messages_uncompressed() {
    on_both_front_ends(async |test_bed, _| {
        for offer in [
            "permessage-deflate; server_max_window_bits=7",
            "x-webkit-deflate-frame",
            "\"",
        ] {
            let headers = format!("sec-websocket-version: 13\r\nsec-websocket-extensions: {offer}\r\n");
            let mut wire = WebSocketClient::handshake(test_bed.address, "/echo", &headers)
                .await
                .expect("a WebSocket");
            assert!(!wire.head.contains("extensions"), "{}", wire.head);
            let text = "x".repeat(1000);
            wire.send_text(&text).await;
            assert_eq!(wire.recv_text().await, text);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_or_unnegotiated_compression_closes_the_connection() {
    on_both_front_ends(async |test_bed, gate| {
        // The client has not offered compression.
        let mut wire = WebSocketClient::open(test_bed.address, "/echo").await;
        assert!(!wire.head.contains("extensions"), "{}", wire.head);
        wire.send(DEFLATED_TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])
            .await;
        assert_eq!(wire.recv_close().await, Some(1002));
        let inflated = |bytes: &[u8]| deflate(bytes, MAX_WINDOW_BITS).expect("a smaller payload");
        let bad: [(&str, u8, Vec<u8>, u16); 8] = [
            ("a ping", 0xc9, b"".to_vec(), 1002),
            ("a close", 0xc8, b"\x03\xe8".to_vec(), 1002),
            ("another bit", 0xe1, b"".to_vec(), 1002),
            ("not deflate", DEFLATED_TEXT, vec![0xff; 300], 1007),
            ("an empty payload", DEFLATED_TEXT, vec![], 1007),
            (
                "a distance before the start",
                DEFLATED_TEXT,
                vec![0xf2, 0x00, 0x11, 0x00, 0x00],
                1007,
            ),
            ("not UTF-8", DEFLATED_TEXT, inflated(&[0xff; 1000]), 1007),
            ("a bomb", 0xc2, inflated(&vec![0; 64 << 20]), 1009),
        ];
        for (name, first, payload, code) in bad {
            let mut wire = open(test_bed, "/ended").await;
            gate.wait_for_arrivals(1).await;
            wire.send(first, &payload).await;
            // Messages after the invalid one are dropped.
            wire.send_text("more").await;
            let seen = wire.recv_close().await;
            assert_eq!(seen, Some(code), "{name}");
            wire.send(0x88, b"").await;
            gate.wait_for_arrivals(1).await;
        }
        // RSV1 on a continuation frame. Mongrel2 does not report that bit.
        if test_bed.server.is_none() {
            let mut wire = open(test_bed, "/echo").await;
            wire.send(0x41, &[0xf2, 0x48, 0xcd]).await;
            wire.send(0xc0, &[0xc9, 0xc9, 0x07, 0x00]).await;
            assert_eq!(wire.recv_close().await, Some(1002));
        }
    })
    .await;
}

/// A message of exactly the limit is accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_limit_applies_to_the_decompressed_message() {
    on_both_front_ends(async |test_bed, _| {
        for (size, fits) in [(100_000, true), (100_001, false)] {
            let mut wire = open(test_bed, "/echo").await;
            wire.send(0xc2, &deflate(&vec![7; size], MAX_WINDOW_BITS).unwrap())
                .await;
            if fits {
                let frame = wire.recv_frame().await.expect("an echo");
                assert_eq!(inflate(&frame.payload, size).unwrap().len(), size);
            } else {
                assert_eq!(wire.recv_close().await, Some(1009));
            }
        }
    })
    .await;
}

/// Members that negotiated the default window get the compressed message, all others the plain one. Mongrel2 gets one
/// message for each format.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_takes_one_message_for_each_format() {
    on_both_front_ends(async |test_bed, gate| {
        let small = "sec-websocket-version: 13\r\nsec-websocket-extensions: permessage-deflate; server_max_window_bits=9\r\n";
        let mut members = Vec::new();
        for n in 0..12 {
            members.push(match n % 3 {
                0 => open(test_bed, "/chat").await,
                1 => WebSocketClient::open(test_bed.address, "/chat").await,
                _ => WebSocketClient::handshake(test_bed.address, "/chat", small).await.expect("a WebSocket"),
            });
        }
        gate.wait_for_arrivals(12).await;
        let text = "the same to all of you, ".repeat(100);
        if test_bed.server.is_some() {
            // The last handshake is counted shortly after it was sent.
            wait_until(|| test_bed.counts.messages() >= 12).await;
        }
        let before = test_bed.counts.messages();
        members[1].send_text(&text).await;
        for (n, member) in members.iter_mut().enumerate() {
            let frame = member.recv_frame().await.expect("a message");
            if n % 3 == 0 {
                assert_eq!(frame.first, DEFLATED_TEXT);
                assert_eq!(inflate(&frame.payload, text.len()).unwrap(), text.as_bytes());
            } else {
                assert_eq!(frame, Frame::text(&text));
            }
        }
        if test_bed.server.is_some() {
            wait_until(|| test_bed.counts.messages() >= before + 2).await;
            assert_eq!(test_bed.counts.messages(), before + 2);
        }
    })
    .await;
}

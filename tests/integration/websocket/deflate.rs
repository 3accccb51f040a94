//! Deflated messages (RFC 7692), on both front ends.

use crate::support::Gate;
use crate::support::laboratory::{Laboratory, plain, until};
use crate::support::websocket::{Frame, Wire};
use brubeck::prelude::*;
use brubeck::wire::deflate::{MAX_WINDOW_BITS, deflate, inflate};

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

/// Tells the test when it has ended, with the reason.
#[websocket("^/ended$")]
async fn ended(mut socket: WebSocket, room: State<Broadcast>, gate: State<Gate>) {
    let _member = room.join(&socket);
    gate.knock();
    while socket.recv().await.is_some() {}
    assert!(socket.recv().await.is_none(), "a message after the last");
    let code = socket.ended().map(Close::code);
    assert!(matches!(code, Some(1002 | 1007 | 1009)), "{code:?}");
    gate.knock();
}

#[websocket("^/chat$")]
async fn chat(mut socket: WebSocket, room: State<Broadcast>, gate: State<Gate>) {
    let _member = room.join(&socket);
    gate.knock();
    while let Some(message) = socket.recv().await {
        room.send(message).await;
    }
}

const ROUTES: Routes<Rooms> = routes![echo, ended, chat];
const OFFER: &str = "sec-websocket-version: 13\r\nsec-websocket-extensions: permessage-deflate\r\n";
const AGREED: &str = "\r\nsec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
const DEFLATED_TEXT: u8 = 0xc1;

async fn open(laboratory: &Laboratory, path: &str) -> Wire {
    let wire = Wire::ask(laboratory.address, path, OFFER)
        .await
        .expect("a WebSocket");
    assert!(wire.head.contains(AGREED), "{}", wire.head);
    wire
}

async fn both(test: impl AsyncFn(&Laboratory, &Gate)) {
    let app = || {
        let gate = Gate::new();
        let all = Broadcast::new();
        let rooms = Rooms {
            all,
            gate: gate.clone(),
        };
        (App::new(ROUTES, rooms).body_limit(100_000), gate)
    };
    let (embedded, gate) = app();
    let embedded = Laboratory::embedded(embedded).await;
    test(&embedded, &gate).await;
    embedded.stop().await;
    let (behind, gate) = app();
    let Some(behind) = Laboratory::new(behind, plain).await else {
        return;
    };
    test(&behind, &gate).await;
    behind.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_compressed_if_negotiated() {
    both(async |laboratory, _| {
        let mut wire = open(laboratory, "/echo").await;
        // RFC 7692, 7.2.3.1: "Hello", whole and in fragments. Too small to be deflated on its way back.
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        wire.send(DEFLATED_TEXT, &hello).await;
        assert_eq!(wire.heard().await, "Hello");
        wire.send(0x41, &hello[..3]).await;
        wire.send(0x89, b"still there?").await;
        wire.send(0x80, &hello[3..]).await;
        assert_eq!(wire.next().await.map(|frame| frame.first), Some(0x8a));
        assert_eq!(wire.heard().await, "Hello");
        // One that is not deflated is well, too.
        wire.say("plain").await;
        assert_eq!(wire.heard().await, "plain");
        let text = "all work and no play makes ".repeat(3000);
        for first in [0x81, 0x82] {
            wire.send(first, text.as_bytes()).await;
            let frame = wire.next().await.expect("an echo");
            assert_eq!(frame.first, first | 0x40);
            assert!(frame.payload.len() < text.len() / 50, "{}", frame.payload.len());
            assert_eq!(inflate(&frame.payload, text.len()).unwrap(), text.as_bytes());
        }
        // What does not become smaller is sent as it is.
        let noise: Vec<u8> = (0..5000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        wire.send(0x82, &noise).await;
        let frame = wire.next().await.expect("an echo");
        let back = match frame.first {
            0xc2 => inflate(&frame.payload, noise.len()).unwrap(),
            _ => frame.payload,
        };
        assert_eq!(back, noise);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_or_unnegotiated_compression_closes_the_connection() {
    both(async |laboratory, gate| {
        // Nobody offered it.
        let mut wire = Wire::open(laboratory.address, "/echo").await;
        assert!(!wire.head.contains("extensions"), "{}", wire.head);
        wire.send(DEFLATED_TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])
            .await;
        assert_eq!(wire.end().await, Some(1002));
        // An offer that cannot be kept is declined, and what cannot be an offer is none.
        for offer in [
            "permessage-deflate; server_max_window_bits=7",
            "x-webkit-deflate-frame",
            "\"",
        ] {
            let asked = format!("sec-websocket-version: 13\r\nsec-websocket-extensions: {offer}\r\n");
            let mut wire = Wire::ask(laboratory.address, "/echo", &asked)
                .await
                .expect("a WebSocket");
            assert!(!wire.head.contains("extensions"), "{}", wire.head);
            let text = "x".repeat(1000);
            wire.say(&text).await;
            assert_eq!(wire.heard().await, text);
        }
        let inflated = |bytes: &[u8]| deflate(bytes, MAX_WINDOW_BITS).expect("a smaller one");
        let bad: [(&str, u8, Vec<u8>, u16); 8] = [
            ("a ping", 0xc9, b"".to_vec(), 1002),
            ("a close", 0xc8, b"\x03\xe8".to_vec(), 1002),
            ("another bit", 0xe1, b"".to_vec(), 1002),
            ("no deflate", DEFLATED_TEXT, vec![0xff; 300], 1007),
            ("nothing", DEFLATED_TEXT, vec![], 1007),
            (
                "a look back into nothing",
                DEFLATED_TEXT,
                vec![0xf2, 0x00, 0x11, 0x00, 0x00],
                1007,
            ),
            ("no UTF-8", DEFLATED_TEXT, inflated(&[0xff; 1000]), 1007),
            ("a bomb", 0xc2, inflated(&vec![0; 64 << 20]), 1009),
        ];
        for (name, first, payload, code) in bad {
            let mut wire = open(laboratory, "/ended").await;
            gate.arrived(1).await;
            wire.send(first, &payload).await;
            // What comes after it is lost.
            wire.say("more").await;
            let seen = wire.end().await;
            assert_eq!(seen, Some(code), "{name}");
            wire.send(0x88, b"").await;
            gate.arrived(1).await;
        }
        // A bit on a fragment. Mongrel2 does not tell of that.
        if laboratory.server.is_none() {
            let mut wire = open(laboratory, "/echo").await;
            wire.send(0x41, &[0xf2, 0x48, 0xcd]).await;
            wire.send(0xc0, &[0xc9, 0xc9, 0x07, 0x00]).await;
            assert_eq!(wire.end().await, Some(1002));
        }
    })
    .await;
}

/// Up to the limit, and not a byte beyond it, however small it was on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_limit_applies_to_the_decompressed_message() {
    both(async |laboratory, _| {
        for (size, fits) in [(100_000, true), (100_001, false)] {
            let mut wire = open(laboratory, "/echo").await;
            wire.send(0xc2, &deflate(&vec![7; size], MAX_WINDOW_BITS).unwrap())
                .await;
            match fits {
                true => {
                    let frame = wire.next().await.expect("an echo");
                    assert_eq!(inflate(&frame.payload, size).unwrap().len(), size);
                }
                false => assert_eq!(wire.end().await, Some(1009)),
            }
        }
    })
    .await;
}

/// Some of a room deflate, and some do not: each gets what it understands, and Mongrel2 two messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcast_is_compressed_once() {
    both(async |laboratory, gate| {
        let small = "sec-websocket-version: 13\r\nsec-websocket-extensions: permessage-deflate; server_max_window_bits=9\r\n";
        let mut members = Vec::new();
        for n in 0..12 {
            members.push(match n % 3 {
                0 => open(laboratory, "/chat").await,
                1 => Wire::open(laboratory.address, "/chat").await,
                _ => Wire::ask(laboratory.address, "/chat", small).await.expect("a WebSocket"),
            });
        }
        gate.arrived(12).await;
        let text = "the same to all of you, ".repeat(100);
        if laboratory.server.is_some() {
            // The last handshake is counted just after it was sent.
            until(|| laboratory.counts.messages() >= 12).await;
        }
        let before = laboratory.counts.messages();
        members[1].say(&text).await;
        for (n, member) in members.iter_mut().enumerate() {
            let frame = member.next().await.expect("a message");
            if n % 3 == 0 {
                assert_eq!(frame.first, DEFLATED_TEXT);
                assert_eq!(inflate(&frame.payload, text.len()).unwrap(), text.as_bytes());
            } else {
                assert_eq!(frame, Frame::text(&text));
            }
        }
        if laboratory.server.is_some() {
            until(|| laboratory.counts.messages() >= before + 2).await;
            assert_eq!(laboratory.counts.messages(), before + 2);
        }
    })
    .await;
}

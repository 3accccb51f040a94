//! Slow peers, slow users, and floods of messages.

use std::time::Duration;

use crate::common::{answered, asked, connect, endpoint, frames, handshake, serve, soon, up};
use brubeck_zmtp::{Endpoint, RoutingId, ServerEvent, ServerLimits, Transport, Zmtp};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

#[tokio::test]
async fn full_event_queue_applies_backpressure_without_loss() {
    let limits = ServerLimits {
        inbound_messages: 2,
        ..ServerLimits::default()
    };
    let mut server = Zmtp.server(endpoint("tcp://127.0.0.1:0"), limits).await.unwrap();
    let mut client = connect(&server.local).await;
    up(&mut client).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    for n in 0..5000 {
        client
            .outbound
            .send_by(frames(&[&n.to_string()]), deadline)
            .await
            .unwrap();
    }
    for n in 0..5000 {
        assert_eq!(asked(&mut server).await.1, frames(&[&n.to_string()]));
    }
}

#[tokio::test]
async fn burst_of_small_messages_arrives_in_order() {
    let limits = ServerLimits {
        inbound_messages: 4,
        ..ServerLimits::default()
    };
    let mut server = Zmtp.server(endpoint("tcp://127.0.0.1:0"), limits).await.unwrap();
    let Endpoint::Tcp { port, .. } = server.local else {
        panic!()
    };
    let mut peer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    handshake(&mut peer, "DEALER", "busy").await;
    let numbers = 0..10_000_u16;
    let all: Vec<u8> = numbers
        .clone()
        .flat_map(|n| [[0, 2], n.to_be_bytes()].concat())
        .collect();
    let sent = tokio::spawn(async move {
        peer.write_all(&all).await.unwrap();
        peer
    });
    for number in numbers {
        let (_, frames) = asked(&mut server).await;
        assert_eq!(frames[0][..], number.to_be_bytes());
    }
    drop(sent.await.unwrap());
    let gone = soon("the disconnect", server.inbound.recv()).await;
    assert_eq!(
        gone,
        Some(ServerEvent::Disconnected {
            peer: RoutingId::new("busy")
        })
    );
}

#[tokio::test]
async fn stalled_peer_is_disconnected_while_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut server = serve(&format!("ipc://{}", path.display())).await;
    let mut good = connect(&server.local).await;
    up(&mut good).await;
    let mut stalled = UnixStream::connect(&path).await.unwrap();
    handshake(&mut stalled, "DEALER", "stalled").await;
    stalled.write_all(b"\0\x05hello").await.unwrap();
    let mut stalled = Some(stalled);
    assert_eq!(
        asked(&mut server).await,
        (RoutingId::new("stalled"), frames(&["hello"]))
    );

    while server.outbound.counts().stalled == 0 {
        server
            .outbound
            .send(RoutingId::new("stalled"), frames(&["x"]))
            .await
            .unwrap();
    }
    for round in 0..20 {
        if round == 10 {
            // The peer disconnects while messages to it are queued. This must not block the others.
            stalled.take();
        }
        good.outbound.try_send(frames(&["?"])).unwrap();
        let (peer, request) = asked(&mut server).await;
        server.outbound.send(peer, request).await.unwrap();
        assert_eq!(answered(&mut good).await, frames(&["?"]));
    }
    drop(stalled);
    assert!(
        server.shutdown(Duration::from_secs(10)).await,
        "the messages to the stalled peer are dropped when it disconnects"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loop_of_sends_does_not_starve_other_tasks() {
    let limits = ServerLimits {
        peer_queue_messages: usize::MAX,
        ..ServerLimits::default()
    };
    let mut server = Zmtp.server(endpoint("tcp://127.0.0.1:0"), limits).await.unwrap();
    let mut client = connect(&server.local).await;
    up(&mut client).await;
    client.outbound.try_send(frames(&["x"])).unwrap();
    let (peer, _) = asked(&mut server).await;
    let outbound = server.outbound.clone();
    let flood =
        tokio::spawn(async move { while outbound.send(peer.clone(), frames(&["drop"])).await.is_ok() {} });
    for _ in 0..10_000 {
        assert_eq!(answered(&mut client).await, frames(&["drop"]));
    }
    assert!(!flood.is_finished(), "the flood must continue during the test");
    flood.abort();
}

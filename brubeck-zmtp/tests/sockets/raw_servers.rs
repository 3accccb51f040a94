//! Clients whose server violates the protocol, stalls or disconnects. The client reconnects each time.

use std::time::Duration;

use crate::common::{answered, endpoint, frames, handshake, soon, up};
use brubeck_zmtp::{ClientEvent, DealerClient, LinkConfig, Transport, Zmtp};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A client, and a listener whose connections the test drives byte by byte.
struct Setup {
    listener: TcpListener,
    client: DealerClient,
}

impl Setup {
    async fn new(config: LinkConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Zmtp
            .client(endpoint(&format!("tcp://127.0.0.1:{port}")), config)
            .unwrap();
        Self { listener, client }
    }

    async fn accept(&self) -> TcpStream {
        soon("the client", self.listener.accept()).await.unwrap().0
    }

    /// Accepts a connection and completes its handshake as a `ROUTER`.
    async fn connected(&mut self) -> TcpStream {
        let mut stream = self.accept().await;
        handshake(&mut stream, "ROUTER", "").await;
        up(&mut self.client).await;
        stream
    }

    async fn lost(&mut self) -> String {
        match soon("the loss", self.client.inbound.recv()).await {
            Some(ClientEvent::Down { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn answers_heartbeats_between_messages_and_between_frames() {
    let mut setup = Setup::new(LinkConfig::default()).await;
    let mut stream = setup.connected().await;
    for _ in 0..100 {
        stream.write_all(b"\x04\x0a\x04PING\0\x0aabc").await.unwrap();
        let mut answer = [0; 10];
        soon("a pong", stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"\x04\x08\x04PONGabc");
    }
    stream.write_all(b"\x01\x01a\x04\x07\x04PI").await.unwrap();
    stream.write_all(b"NG\0\x0a\0\x01b").await.unwrap();
    assert_eq!(answered(&mut setup.client).await, frames(&["a", "b"]));
}

#[tokio::test]
async fn burst_of_messages_arrives_in_order() {
    let mut setup = Setup::new(LinkConfig::default()).await;
    let mut stream = setup.connected().await;
    let mut bytes = Vec::new();
    for number in 0..1000_u16 {
        bytes.extend_from_slice(b"\0\x02");
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    stream.write_all(&bytes).await.unwrap();
    for number in 0..1000_u16 {
        let number = Bytes::copy_from_slice(&number.to_be_bytes());
        assert_eq!(answered(&mut setup.client).await, [number]);
    }
}

#[tokio::test]
async fn reconnects_after_a_server_breaks_the_protocol_or_a_limit() {
    let config = LinkConfig {
        max_message_bytes: 1000,
        ..LinkConfig::default()
    };
    let mut setup = Setup::new(config).await;
    for (bytes, expected) in [
        (&b"\x80\x00"[..], "unknown flags"),
        (b"\x02\0\0\x40\0\0\0\0\0", "and `max_message_bytes` is 1000"),
        (b"\x04\x03PIN", "command that is malformed"),
        (&b"\x01\0".repeat(17), "more frames than"),
        (b"", "closed the connection"),
    ] {
        let mut stream = setup.connected().await;
        stream.write_all(b"\0\x01x").await.unwrap();
        assert_eq!(answered(&mut setup.client).await, frames(&["x"]));
        stream.write_all(bytes).await.unwrap();
        if bytes.is_empty() {
            stream.shutdown().await.unwrap();
        }
        let reason = setup.lost().await;
        assert!(reason.contains(expected), "{reason}, not {expected}");
    }
}

#[tokio::test]
async fn reconnects_after_failed_handshakes() {
    let mut setup = Setup::new(LinkConfig::default()).await;
    let mut rest = Vec::new();
    for _ in 0..2 {
        let mut stream = setup.accept().await;
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let _ = soon("the end", stream.read_to_end(&mut rest)).await;
    }
    let mut stream = setup.accept().await;
    handshake(&mut stream, "PUB", "").await;
    let _ = soon("the end", stream.read_to_end(&mut rest)).await;
    setup.connected().await;
}

#[tokio::test]
async fn reconnects_after_the_write_stall_timeout() {
    let config = LinkConfig {
        write_stall_timeout: Duration::from_millis(200),
        ..LinkConfig::default()
    };
    let mut setup = Setup::new(config).await;
    let stream = setup.connected().await;
    let large = Bytes::from(vec![7; 1 << 20]);
    // More than fits into the socket buffers.
    for _ in 0..64 {
        setup.client.outbound.try_send(vec![large.clone()]).unwrap();
    }
    let reason = setup.lost().await;
    assert!(reason.contains("does not read"), "{reason}");
    assert_eq!(setup.client.outbound.counts().stalled, 1);
    drop(stream);
    setup.connected().await;
}

#[tokio::test]
async fn reconnects_after_the_connect_timeout() {
    let config = LinkConfig {
        connect_timeout: Duration::from_millis(200),
        ..LinkConfig::default()
    };
    let mut setup = Setup::new(config).await;
    let mut silent = setup.accept().await;
    let mut greeting = Vec::new();
    let _ = soon("the end", silent.read_to_end(&mut greeting)).await;
    assert_eq!(greeting.len(), 64, "the greeting, and nothing more");
    setup.connected().await;
}

//! Servers with raw peers that violate the protocol or a limit, while another client is served.

use std::time::Duration;

use crate::common::{
    answered, asked, connect, echo, endpoint, frames, greeting, handshake, ready, serve, soon, until, up,
};
use brubeck_zmtp::codec::{SocketType, encode_ready};
use brubeck_zmtp::{
    DealerClient, Endpoint, RoutingId, ServerLimits, ServerSender, ShutdownHandle, Transport, Zmtp,
};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A frame header that announces 2^46 bytes.
const OVERSIZED: [u8; 9] = [2, 0, 0, 0x40, 0, 0, 0, 0, 0];

/// A server, and a client that must be served at all times.
struct Setup {
    server: Endpoint,
    outbound: ServerSender,
    client: DealerClient,
    _closing: ShutdownHandle,
}

impl Setup {
    async fn new(limits: ServerLimits) -> Self {
        let server = Zmtp.server(endpoint("tcp://127.0.0.1:0"), limits).await.unwrap();
        let (local, outbound) = (server.local.clone(), server.outbound.clone());
        let (shutdown, _) = echo(server);
        let mut client = connect(&local).await;
        up(&mut client).await;
        let mut setup = Self {
            server: local,
            outbound,
            client,
            _closing: shutdown,
        };
        setup.check_client_is_served().await;
        setup
    }

    async fn check_client_is_served(&mut self) {
        let request = frames(&["two", "frames"]);
        self.client.outbound.try_send(request.clone()).unwrap();
        assert_eq!(answered(&mut self.client).await, request);
    }

    /// Waits until the peer `stalled` is disconnected.
    async fn stalled_is_disconnected(&self) {
        soon("the end of its connection", async {
            while self.outbound.counts().dropped == 0 {
                let said = self.outbound.send(RoutingId::new("stalled"), frames(&["x"]));
                said.await.unwrap();
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn raw_stream(&self) -> TcpStream {
        let Endpoint::Tcp { host, port } = &self.server else {
            panic!()
        };
        TcpStream::connect((host.as_str(), *port)).await.unwrap()
    }

    /// Connects a raw peer and completes the handshake.
    async fn peer(&self, identity: &str) -> TcpStream {
        let mut peer = self.raw_stream().await;
        handshake(&mut peer, "DEALER", identity).await;
        peer
    }
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset counts as closed, too.
    let _ = soon("the end of the connection", stream.read_to_end(&mut rest)).await;
}

async fn expect_bytes(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    soon("an answer", stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(
        bytes.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[tokio::test]
async fn raw_peer_is_served() {
    let setup = Setup::new(ServerLimits::default()).await;
    let mut peer = setup.peer("me").await;
    peer.write_all(b"\x01\x00\x00\x01x").await.unwrap();
    expect_bytes(&mut peer, b"\x01\x00\x00\x01x").await;
}

#[tokio::test]
async fn oversized_frame_before_ready_closes_the_connection() {
    let mut setup = Setup::new(ServerLimits::default()).await;
    for flags in [0, 2, 4, 6] {
        let mut stream = setup.raw_stream().await;
        let mut header = OVERSIZED;
        header[0] = flags;
        stream
            .write_all(&[&greeting()[..], &header, &[0; 64]].concat())
            .await
            .unwrap();
        closed(&mut stream).await;
    }
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn oversized_frame_after_ready_closes_the_connection() {
    let mut setup = Setup::new(ServerLimits::default()).await;
    for flags in [2, 3] {
        let mut peer = setup.peer("stream").await;
        let mut header = OVERSIZED;
        header[0] = flags;
        peer.write_all(&header).await.unwrap();
        closed(&mut peer).await;
    }
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn invalid_greeting_closes_the_connection_immediately() {
    let mut setup = Setup::new(ServerLimits {
        handshake_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    })
    .await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64]] {
        let mut stream = setup.raw_stream().await;
        stream.write_all(garbage).await.unwrap();
        closed(&mut stream).await;
    }
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn incomplete_handshake_is_closed_after_the_timeout() {
    let limits = ServerLimits {
        handshake_timeout: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    let mut setup = Setup::new(limits).await;
    let before = Instant::now();
    let mut silent = setup.raw_stream().await;
    let mut half = setup.raw_stream().await;
    half.write_all(&greeting()[..30]).await.unwrap();
    let mut greeted = setup.raw_stream().await;
    greeted.write_all(&greeting()).await.unwrap();
    for stream in [&mut silent, &mut half, &mut greeted] {
        closed(stream).await;
    }
    assert!(before.elapsed() >= Duration::from_millis(200), "closed too early");
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn ping_is_answered_and_the_connection_stays_open() {
    let mut setup = Setup::new(ServerLimits::default()).await;
    let mut peer = setup.peer("pinging").await;
    for _ in 0..100 {
        peer.write_all(b"\x04\x0a\x04PING\0\x0aabc").await.unwrap();
        expect_bytes(&mut peer, b"\x04\x08\x04PONGabc").await;
    }
    // In the middle of a message, and cut in two.
    peer.write_all(b"\x01\x01a\x04\x07\x04PI").await.unwrap();
    peer.write_all(b"NG\0\x0a\0\x01b").await.unwrap();
    let mut answer = [0; 13];
    soon("an answer", peer.read_exact(&mut answer)).await.unwrap();
    assert!(
        &answer == b"\x04\x05\x04PONG\x01\x01a\0\x01b" || &answer == b"\x01\x01a\0\x01b\x04\x05\x04PONG",
        "{}",
        answer.escape_ascii()
    );
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn pongs_are_sent_between_messages_only() {
    let setup = Setup::new(ServerLimits::default()).await;
    let peer = setup.peer("both").await;
    let (mut read, mut write) = peer.into_split();
    const ROUNDS: usize = 300;
    let page = vec![7; 100_000];
    let writing = tokio::spawn(async move {
        for _ in 0..ROUNDS {
            let header = [&[2][..], &(page.len() as u64).to_be_bytes()].concat();
            let message = [&header[..], &page, b"\x04\x0a\x04PING\0\x0aabc"].concat();
            write.write_all(&message).await.unwrap();
        }
        write
    });
    let (mut pages, mut pongs) = (0, 0);
    while pages + pongs < 2 * ROUNDS {
        match soon("a frame", read.read_u8()).await.unwrap() {
            2 => {
                let length = read.read_u64().await.unwrap();
                assert_eq!(length, 100_000);
                let mut body = vec![0; length as usize];
                soon("a body", read.read_exact(&mut body)).await.unwrap();
                assert!(body.iter().all(|byte| *byte == 7));
                pages += 1;
            }
            4 => {
                let mut body = [0; 9];
                soon("a pong", read.read_exact(&mut body)).await.unwrap();
                assert_eq!(&body, b"\x08\x04PONGabc");
                pongs += 1;
            }
            other => panic!("a frame with flags {other}"),
        }
    }
    assert_eq!((pages, pongs), (ROUNDS, ROUNDS));
    writing.await.unwrap();
}

#[tokio::test]
async fn message_beyond_the_limits_closes_the_connection() {
    let mut setup = Setup::new(ServerLimits::default()).await;
    let mut many = setup.peer("many").await;
    many.write_all(&b"\x01\x01x".repeat(17)).await.unwrap();
    closed(&mut many).await;

    let mut large = setup.peer("large").await;
    let mut part = vec![3, 0, 0, 0, 0, 0, 0x10, 0, 0];
    part.resize(9 + (1 << 20), 0);
    for _ in 0..9 {
        if large.write_all(&part).await.is_err() {
            break;
        }
    }
    closed(&mut large).await;

    let mut largest = setup.peer("largest").await;
    let message = [b"\x01\x01x".repeat(15), b"\0\x01x".to_vec()].concat();
    largest.write_all(&message).await.unwrap();
    expect_bytes(&mut largest, &message).await;
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn identity_in_use_is_refused() {
    let mut setup = Setup::new(ServerLimits::default()).await;
    let mut first = setup.peer("same").await;
    for _ in 0..3 {
        let mut second = setup.raw_stream().await;
        second
            .write_all(&[greeting(), ready("DEALER", "same")].concat())
            .await
            .unwrap();
        closed(&mut second).await;
    }
    first.write_all(b"\0\x05still").await.unwrap();
    expect_bytes(&mut first, b"\0\x05still").await;
    first.shutdown().await.unwrap();
    closed(&mut first).await;
    // `closed` above ensures that the server has released the identity.
    let mut next = setup.peer("same").await;
    next.write_all(b"\0\x04next").await.unwrap();
    expect_bytes(&mut next, b"\0\x04next").await;
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn connections_are_limited_by_address() {
    let limits = ServerLimits {
        max_connections_per_address: 3,
        ..ServerLimits::default()
    };
    let mut setup = Setup::new(limits).await;
    let first = setup.peer("1").await;
    let _second = setup.peer("2").await;
    closed(&mut setup.raw_stream().await).await;
    drop(first);
    // The slot is released as soon as the server detects the disconnect.
    soon("a slot", async {
        loop {
            let mut peer = setup.raw_stream().await;
            let _ = peer.write_all(&[greeting(), ready("DEALER", "3")].concat()).await;
            if peer.read_exact(&mut [0; 66]).await.is_ok() {
                break;
            }
        }
    })
    .await;
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn newcomer_takes_the_place_of_the_oldest_handshake() {
    let limits = ServerLimits {
        max_handshakes: 2,
        handshake_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    let mut setup = Setup::new(limits).await;
    let mut silent = [setup.raw_stream().await, setup.raw_stream().await];
    for stream in &mut silent {
        soon("the greeting", stream.read_exact(&mut [0; 64]))
            .await
            .unwrap();
    }
    let _newcomer = setup.raw_stream().await;
    let [mut oldest, mut next] = silent;
    closed(&mut oldest).await;
    // The other one keeps its place, and completes its handshake.
    next.write_all(&[greeting(), ready("DEALER", "next")].concat())
        .await
        .unwrap();
    expect_bytes(&mut next, &encode_ready(SocketType::Router, b"")).await;
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn stalled_peer_is_disconnected_at_the_queue_limit() {
    let limits = ServerLimits {
        peer_queue_bytes: 4 << 20,
        write_stall_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    let mut setup = Setup::new(limits).await;
    let _stalled = setup.peer("stalled").await;
    let page = Bytes::from(vec![1; 1 << 20]);
    let before = setup.outbound.counts().sent;
    let mut sent = 0;
    while setup.outbound.counts().stalled == 0 {
        setup
            .outbound
            .send(RoutingId::new("stalled"), vec![page.clone()])
            .await
            .unwrap();
        sent += 1;
        until("the message to be counted", || {
            let counts = setup.outbound.counts();
            counts.sent + counts.stalled == before + sent
        })
        .await;
    }
    // The socket buffers hold some messages in addition to the queue.
    assert!(sent < 40, "disconnected only after {sent} MiB");
    // Further messages to the peer are dropped.
    setup.stalled_is_disconnected().await;
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn stalled_peer_is_disconnected_at_the_write_stall_timeout() {
    let limits = ServerLimits {
        write_stall_timeout: Duration::from_millis(200),
        peer_queue_bytes: usize::MAX >> 8,
        ..ServerLimits::default()
    };
    let mut setup = Setup::new(limits).await;
    let _stalled = setup.peer("stalled").await;
    let page = Bytes::from(vec![1; 64 << 20]);
    setup
        .outbound
        .send(RoutingId::new("stalled"), vec![page])
        .await
        .unwrap();
    until("the stall to be counted", || setup.outbound.counts().stalled == 1).await;
    setup.stalled_is_disconnected().await;
    setup.check_client_is_served().await;
}

#[tokio::test]
async fn peer_without_identity_is_assigned_one() {
    let mut server = serve("tcp://127.0.0.1:0").await;
    let Endpoint::Tcp { port, .. } = server.local else {
        panic!()
    };
    let mut peer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let hello = [greeting(), ready("DEALER", ""), b"\0\x01x".to_vec()].concat();
    peer.write_all(&hello).await.unwrap();
    let (peer, received) = asked(&mut server).await;
    assert_eq!(received, frames(&["x"]));
    assert_eq!(peer.identity().len(), 32, "{peer:?}");
}

#[tokio::test]
async fn shutdown_disconnects_all_peers() {
    let setup = Setup::new(ServerLimits::default()).await;
    let mut peer = setup.peer("idle").await;
    let mut silent = setup.raw_stream().await;
    let Setup {
        _closing: shutdown,
        client,
        ..
    } = setup;
    drop(client);
    let shutdown = tokio::spawn(shutdown.shutdown(Duration::from_secs(10)));
    closed(&mut peer).await;
    drop(peer);
    silent.shutdown().await.unwrap();
    closed(&mut silent).await;
    assert!(soon("the end", shutdown).await.unwrap());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_incomplete_handshakes() {
    let setup = Setup::new(ServerLimits {
        handshake_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    })
    .await;
    let mut silent = setup.raw_stream().await;
    soon("the greeting", silent.read_exact(&mut [0; 64]))
        .await
        .unwrap();
    let shutdown = setup._closing.shutdown(Duration::from_secs(3600));
    assert!(soon("the end", shutdown).await);
    closed(&mut silent).await;
}

#[tokio::test]
async fn ipc_server_checks_frame_headers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut server = serve(&format!("ipc://{}", path.display())).await;
    let mut client = connect(&server.local).await;
    up(&mut client).await;
    client.outbound.try_send(frames(&["x"])).unwrap();
    let (peer, received) = asked(&mut server).await;
    server.outbound.send(peer, received).await.unwrap();
    assert_eq!(answered(&mut client).await, frames(&["x"]));

    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(&[&greeting()[..], &OVERSIZED].concat())
        .await
        .unwrap();
    let _ = soon("the end of the connection", stream.read_to_end(&mut Vec::new())).await;

    assert!(server.shutdown(Duration::from_secs(5)).await);
    assert!(!path.exists());
}

//! Servers against strangers that misbehave, while a good client is served.

use std::time::Duration;

use crate::common::{
    answered, asked, connect, echo, endpoint, frames, greeting, handshake, ready, serve, soon, until, up,
};
use brubeck_zmtp::{
    DealerClient, Endpoint, RoutingId, ServerLimits, ServerSender, ShutdownHandle, Transport, Zmtp,
};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A frame header that announces 2^46 bytes.
const HUGE: [u8; 9] = [2, 0, 0, 0x40, 0, 0, 0, 0, 0];

/// A server with a good client, which must always be served.
struct Scene {
    server: Endpoint,
    outbound: ServerSender,
    good: DealerClient,
    _closing: ShutdownHandle,
}

impl Scene {
    async fn set(limits: ServerLimits) -> Self {
        let server = Zmtp.server(endpoint("tcp://127.0.0.1:0"), limits).await.unwrap();
        let (local, outbound) = (server.local.clone(), server.outbound.clone());
        let (shutdown, _) = echo(server);
        let mut good = connect(&local).await;
        up(&mut good).await;
        let mut scene = Self {
            server: local,
            outbound,
            good,
            _closing: shutdown,
        };
        scene.good_is_served().await;
        scene
    }

    async fn good_is_served(&mut self) {
        let question = frames(&["good", "question"]);
        self.good.outbound.try_send(question.clone()).unwrap();
        assert_eq!(answered(&mut self.good).await, question);
    }

    /// Waits until the peer `deaf` has been cut off.
    async fn deaf_is_gone(&self) {
        soon("the end of its connection", async {
            while self.outbound.counts().dropped == 0 {
                let said = self.outbound.send(RoutingId::new("deaf"), frames(&["x"]));
                said.await.unwrap();
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn stranger(&self) -> TcpStream {
        let Endpoint::Tcp { host, port } = &self.server else {
            panic!()
        };
        TcpStream::connect((host.as_str(), *port)).await.unwrap()
    }

    /// A stranger that has completed the handshake.
    async fn peer(&self, identity: &str) -> TcpStream {
        let mut peer = self.stranger().await;
        handshake(&mut peer, "DEALER", identity).await;
        peer
    }
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is as good as an end.
    let _ = soon("the end of the connection", stream.read_to_end(&mut rest)).await;
}

async fn says(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    soon("an answer", stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(
        bytes.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[tokio::test]
async fn a_raw_peer_is_served() {
    let scene = Scene::set(ServerLimits::default()).await;
    let mut peer = scene.peer("me").await;
    peer.write_all(b"\x01\x00\x00\x01x").await.unwrap();
    says(&mut peer, b"\x01\x00\x00\x01x").await;
}

#[tokio::test]
async fn a_huge_frame_before_ready_closes_the_connection() {
    let mut scene = Scene::set(ServerLimits::default()).await;
    for flags in [0, 2, 4, 6] {
        let mut stranger = scene.stranger().await;
        let mut header = HUGE;
        header[0] = flags;
        stranger
            .write_all(&[&greeting()[..], &header, &[0; 64]].concat())
            .await
            .unwrap();
        closed(&mut stranger).await;
    }
    scene.good_is_served().await;
}

#[tokio::test]
async fn a_huge_frame_after_ready_closes_the_connection() {
    let mut scene = Scene::set(ServerLimits::default()).await;
    for flags in [2, 3] {
        let mut peer = scene.peer("stranger").await;
        let mut header = HUGE;
        header[0] = flags;
        peer.write_all(&header).await.unwrap();
        closed(&mut peer).await;
    }
    scene.good_is_served().await;
}

#[tokio::test]
async fn garbage_closes_the_connection_at_once() {
    let mut scene = Scene::set(ServerLimits {
        handshake_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    })
    .await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64]] {
        let mut stranger = scene.stranger().await;
        stranger.write_all(garbage).await.unwrap();
        closed(&mut stranger).await;
    }
    scene.good_is_served().await;
}

#[tokio::test]
async fn a_silent_peer_is_closed_at_the_handshake_timeout() {
    let limits = ServerLimits {
        handshake_timeout: Duration::from_millis(200),
        ..ServerLimits::default()
    };
    let mut scene = Scene::set(limits).await;
    let before = Instant::now();
    let mut silent = scene.stranger().await;
    let mut half = scene.stranger().await;
    half.write_all(&greeting()[..30]).await.unwrap();
    let mut greeted = scene.stranger().await;
    greeted.write_all(&greeting()).await.unwrap();
    for stranger in [&mut silent, &mut half, &mut greeted] {
        closed(stranger).await;
    }
    assert!(before.elapsed() >= Duration::from_millis(200), "not before");
    scene.good_is_served().await;
}

#[tokio::test]
async fn ping_gives_pong_and_the_link_lives() {
    let mut scene = Scene::set(ServerLimits::default()).await;
    let mut peer = scene.peer("beating").await;
    for _ in 0..100 {
        peer.write_all(b"\x04\x0a\x04PING\0\x0aabc").await.unwrap();
        says(&mut peer, b"\x04\x08\x04PONGabc").await;
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
    scene.good_is_served().await;
}

#[tokio::test]
async fn pongs_never_tear_a_message() {
    let scene = Scene::set(ServerLimits::default()).await;
    let peer = scene.peer("both").await;
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
async fn endless_multipart_closes_the_connection() {
    let mut scene = Scene::set(ServerLimits::default()).await;
    let mut many = scene.peer("many").await;
    many.write_all(&b"\x01\x01x".repeat(17)).await.unwrap();
    closed(&mut many).await;

    let mut fat = scene.peer("fat").await;
    let mut part = vec![3, 0, 0, 0, 0, 0, 0x10, 0, 0];
    part.resize(9 + (1 << 20), 0);
    for _ in 0..9 {
        if fat.write_all(&part).await.is_err() {
            break;
        }
    }
    closed(&mut fat).await;

    let mut most = scene.peer("most").await;
    let message = [b"\x01\x01x".repeat(15), b"\0\x01x".to_vec()].concat();
    most.write_all(&message).await.unwrap();
    says(&mut most, &message).await;
    scene.good_is_served().await;
}

#[tokio::test]
async fn an_identity_in_use_is_refused() {
    let mut scene = Scene::set(ServerLimits::default()).await;
    let mut first = scene.peer("same").await;
    for _ in 0..3 {
        let mut second = scene.stranger().await;
        second
            .write_all(&[greeting(), ready("DEALER", "same")].concat())
            .await
            .unwrap();
        closed(&mut second).await;
    }
    first.write_all(b"\0\x05still").await.unwrap();
    says(&mut first, b"\0\x05still").await;
    first.shutdown().await.unwrap();
    closed(&mut first).await;
    // Free again, but only once the server has seen the first one leave.
    let mut next = scene.peer("same").await;
    next.write_all(b"\0\x04next").await.unwrap();
    says(&mut next, b"\0\x04next").await;
    scene.good_is_served().await;
}

#[tokio::test]
async fn connections_are_limited_by_number_and_address() {
    let limits = ServerLimits {
        max_connections_per_address: 3,
        ..ServerLimits::default()
    };
    let mut scene = Scene::set(limits).await;
    let first = scene.peer("1").await;
    let _second = scene.peer("2").await;
    closed(&mut scene.stranger().await).await;
    drop(first);
    // Its place is free as soon as its end is noticed.
    soon("a place", async {
        loop {
            let mut peer = scene.stranger().await;
            let _ = peer.write_all(&[greeting(), ready("DEALER", "3")].concat()).await;
            if peer.read_exact(&mut [0; 66]).await.is_ok() {
                break;
            }
        }
    })
    .await;
    scene.good_is_served().await;
}

#[tokio::test]
async fn handshakes_are_limited() {
    let limits = ServerLimits {
        max_handshakes: 2,
        handshake_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    let mut scene = Scene::set(limits).await;
    let mut silent = [scene.stranger().await, scene.stranger().await];
    for stranger in &mut silent {
        soon("the greeting", stranger.read_exact(&mut [0; 64]))
            .await
            .unwrap();
    }
    closed(&mut scene.stranger().await).await;
    scene.good_is_served().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_disconnected_at_the_queue_limit() {
    let limits = ServerLimits {
        peer_queue_bytes: 4 << 20,
        write_stall_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    let mut scene = Scene::set(limits).await;
    let _deaf = scene.peer("deaf").await;
    let page = Bytes::from(vec![1; 1 << 20]);
    let before = scene.outbound.counts().sent;
    let mut handed_over = 0;
    while scene.outbound.counts().stalled == 0 {
        scene
            .outbound
            .send(RoutingId::new("deaf"), vec![page.clone()])
            .await
            .unwrap();
        handed_over += 1;
        until("its fate", || {
            let counts = scene.outbound.counts();
            counts.sent + counts.stalled == before + handed_over
        })
        .await;
    }
    // What the kernel holds for it comes on top of what is allowed to wait here.
    assert!(handed_over < 40, "cut off only after {handed_over} MiB");
    // Its account is closed, and what waited for it is dropped.
    scene.deaf_is_gone().await;
    scene.good_is_served().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_disconnected_at_the_write_stall_timeout() {
    let limits = ServerLimits {
        write_stall_timeout: Duration::from_millis(200),
        peer_queue_bytes: usize::MAX >> 8,
        ..ServerLimits::default()
    };
    let mut scene = Scene::set(limits).await;
    let _deaf = scene.peer("deaf").await;
    let page = Bytes::from(vec![1; 64 << 20]);
    scene
        .outbound
        .send(RoutingId::new("deaf"), vec![page])
        .await
        .unwrap();
    scene.deaf_is_gone().await;
    scene.good_is_served().await;
}

#[tokio::test]
async fn a_peer_without_identity_gets_one() {
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
async fn shutdown_closes_the_peers() {
    let scene = Scene::set(ServerLimits::default()).await;
    let mut peer = scene.peer("idle").await;
    let mut silent = scene.stranger().await;
    let Scene {
        _closing: shutdown,
        good,
        ..
    } = scene;
    drop(good);
    let shutdown = tokio::spawn(shutdown.shutdown(Duration::from_secs(10)));
    closed(&mut peer).await;
    drop(peer);
    silent.shutdown().await.unwrap();
    closed(&mut silent).await;
    assert!(soon("the end", shutdown).await.unwrap());
}

#[tokio::test]
async fn an_ipc_server_checks_headers_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut server = serve(&format!("ipc://{}", path.display())).await;
    let mut client = connect(&server.local).await;
    up(&mut client).await;
    client.outbound.try_send(frames(&["x"])).unwrap();
    let (peer, received) = asked(&mut server).await;
    server.outbound.send(peer, received).await.unwrap();
    assert_eq!(answered(&mut client).await, frames(&["x"]));

    let mut stranger = tokio::net::UnixStream::connect(&path).await.unwrap();
    stranger
        .write_all(&[&greeting()[..], &HUGE].concat())
        .await
        .unwrap();
    let _ = soon("the end of the connection", stranger.read_to_end(&mut Vec::new())).await;

    assert!(server.shutdown(Duration::from_secs(5)).await);
    assert!(!path.exists());
}

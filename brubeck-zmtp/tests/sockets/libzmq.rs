//! Our sockets with sockets of libzmq, which a Python process drives through pyzmq.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use brubeck_zmtp::codec::FrameLimits;
use brubeck_zmtp::{
    ClientEvent, ConnectionLimits, Endpoint, Role, RoutingId, ServerEvent, ServerLimits, SocketType, Traffic,
    Transport, Zmtp, ZmtpConnection, ZmtpListener,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::common::{answered, asked, connect, echo, endpoint, frames, serve, soon, up};

const ANY: &str = "tcp://127.0.0.1:0";

/// A Python process with one socket of libzmq.
struct Libzmq {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    endpoint: String,
}

impl Libzmq {
    /// Starts a peer. Prints a message and returns `None` if pyzmq is not installed.
    async fn start(socket_type: &str, how: &str, endpoint: &str, options: &[&str]) -> Option<Self> {
        let python = std::env::var_os("BRUBECK_PYTHON").unwrap_or("python3".into());
        let found = Command::new(&python).args(["-c", "import zmq"]).output().await;
        if !found.is_ok_and(|output| output.status.success()) {
            missing_pyzmq();
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sockets/peer.py");
        let mut child = Command::new(python)
            .args([script, socket_type, how, endpoint])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Self {
            child,
            stdin,
            stdout,
            endpoint: String::new(),
        };
        peer.endpoint = peer.answer().await.as_str().unwrap().to_owned();
        Some(peer)
    }

    async fn answer(&mut self) -> Value {
        let line = soon("an answer of the Python peer", self.stdout.next_line()).await;
        serde_json::from_str(&line.unwrap().expect("a running Python peer")).unwrap()
    }

    async fn begin(&mut self, command: &str, argument: Value) {
        let line = format!("{}\n", json!([command, argument]));
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    async fn run(&mut self, command: &str, argument: Value) -> Value {
        self.begin(command, argument).await;
        self.answer().await
    }

    async fn send(&mut self, parts: &[&str]) {
        let hex: Vec<String> = parts.iter().map(|part| hex(part.as_bytes())).collect();
        self.run("send", json!(hex)).await;
    }

    async fn recv(&mut self) -> Value {
        self.run("recv", Value::Null).await
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn missing_pyzmq() {
    let text = "pyzmq is missing; install it with: python3 -m pip install pyzmq";
    assert!(std::env::var_os("CI").is_none(), "{text}");
    // Not `eprintln!`, whose output is only shown for failed tests.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    writeln!(std::io::stderr(), "skipped {test}: {text}").expect("standard error");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message as [`Libzmq::recv`] returns it.
fn as_hex(parts: &[&str]) -> Value {
    parts.iter().map(|part| hex(part.as_bytes())).collect()
}

fn role(socket_type: SocketType, accepted: &'static [SocketType]) -> Role {
    Role {
        socket_type,
        accepted,
        limits: FrameLimits {
            max_message_bytes: 64 << 20,
            max_frames: 2000,
        },
        traffic: Traffic::Both,
    }
}

/// Accepts one connection.
async fn accept(listener: &ZmtpListener, role: Role) -> ZmtpConnection {
    let accepted = soon("the peer", listener.accept()).await;
    soon(
        "the handshake",
        ZmtpConnection::handshake(accepted.stream, &role, b""),
    )
    .await
    .unwrap()
}

async fn listen() -> ZmtpListener {
    let limits = ConnectionLimits {
        max_connections: 10,
        max_connections_per_address: 10,
        max_handshakes: 10,
    };
    ZmtpListener::bind(&endpoint(ANY), limits).await.unwrap()
}

#[tokio::test]
async fn router_serves_a_libzmq_dealer() {
    let mut server = serve(ANY).await;
    let at = server.local.to_string();
    let Some(mut dealer) = Libzmq::start("DEALER", "connect", &at, &["IDENTITY=me"]).await else {
        return;
    };
    dealer.send(&["", "text"]).await;
    let (peer, received) = asked(&mut server).await;
    assert_eq!(
        (&peer, &received),
        (&RoutingId::new("me"), &frames(&["", "text"]))
    );
    server.outbound.send(peer, received).await.unwrap();
    assert_eq!(dealer.recv().await, as_hex(&["", "text"]));

    dealer.kill().await;
    let gone = soon("the disconnect", server.inbound.recv()).await;
    let peer = RoutingId::new("me");
    assert_eq!(gone, Some(ServerEvent::Disconnected { peer }));
}

#[tokio::test]
async fn router_serves_a_libzmq_req() {
    let mut server = serve(ANY).await;
    let Some(mut req) = Libzmq::start("REQ", "connect", &server.local.to_string(), &[]).await else {
        return;
    };
    for round in 0..3 {
        let request = format!("request {round}");
        req.send(&[&request]).await;
        let (peer, received) = asked(&mut server).await;
        assert_eq!(received, frames(&["", &request]));
        server.outbound.send(peer, frames(&["", "answer"])).await.unwrap();
        assert_eq!(req.recv().await, as_hex(&["answer"]));
    }
}

#[tokio::test]
async fn dealer_exchanges_messages_with_a_libzmq_router() {
    let Some(mut router) = Libzmq::start("ROUTER", "bind", "tcp://127.0.0.1:*", &[]).await else {
        return;
    };
    let mut client = connect(&endpoint(&router.endpoint)).await;
    up(&mut client).await;
    for text in ["first", "second"] {
        router.begin("echo", json!(1)).await;
        client.outbound.try_send(frames(&["", text])).unwrap();
        assert_eq!(answered(&mut client).await, frames(&["", text]));
        router.answer().await;
    }
}

#[tokio::test]
async fn dealer_reconnects_after_a_libzmq_router_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let at = format!("ipc://{}/s", folder.path().display());
    let mut client = connect(&endpoint(&at)).await;
    for generation in 1..=3 {
        let Some(mut router) = Libzmq::start("ROUTER", "bind", &at, &[]).await else {
            return;
        };
        assert_eq!(up(&mut client).await, generation);
        router.begin("echo", json!(1)).await;
        client.outbound.try_send(frames(&["x"])).unwrap();
        assert_eq!(answered(&mut client).await, frames(&["x"]));
        router.kill().await;
        match soon("the loss", client.inbound.recv()).await {
            Some(ClientEvent::Down { generation: lost, .. }) => assert_eq!(lost, generation),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn libzmq_dealer_reconnects_to_a_restarted_router() {
    let mut server = serve(ANY).await;
    let local = server.local.clone();
    let Some(mut dealer) = Libzmq::start("DEALER", "connect", &local.to_string(), &[]).await else {
        return;
    };
    dealer.send(&["before"]).await;
    assert_eq!(asked(&mut server).await.1, frames(&["before"]));
    assert!(server.shutdown(Duration::from_secs(5)).await);
    let mut server = serve(&local.to_string()).await;
    // libzmq may lose messages while it reconnects, so the test sends until a message arrives.
    loop {
        dealer.send(&["after"]).await;
        tokio::select! {
            event = server.inbound.recv() => {
                if let Some(ServerEvent::Message { frames: received, .. }) = event {
                    assert_eq!(received, frames(&["after"]));
                    break;
                }
            }
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn pull_receives_from_a_libzmq_push() {
    let Some(mut push) = Libzmq::start("PUSH", "bind", "tcp://127.0.0.1:*", &[]).await else {
        return;
    };
    let role = role(SocketType::Pull, &[SocketType::Push]);
    let mut pull = ZmtpConnection::connect(&endpoint(&push.endpoint), &role)
        .await
        .unwrap();
    for text in ["first", "second"] {
        push.send(&[text]).await;
        assert_eq!(soon("a message", pull.recv()).await.unwrap(), frames(&[text]));
    }
}

#[tokio::test]
async fn push_sends_to_a_libzmq_pull() {
    let listener = listen().await;
    let at = listener.local_endpoint().to_string();
    let Some(mut pull) = Libzmq::start("PULL", "connect", &at, &[]).await else {
        return;
    };
    let mut push = accept(&listener, role(SocketType::Push, &[SocketType::Pull])).await;
    push.writer.push_frame("one".into());
    push.writer.push_message(frames(&["of", "two"]));
    push.writer.flush().await.unwrap();
    assert_eq!(pull.recv().await, as_hex(&["one"]));
    assert_eq!(pull.recv().await, as_hex(&["of", "two"]));
}

#[tokio::test]
async fn xpub_receives_the_subscriptions_of_a_libzmq_sub() {
    let listener = listen().await;
    let at = listener.local_endpoint().to_string();
    let Some(mut sub) = Libzmq::start("SUB", "connect", &at, &["SUBSCRIBE=topic"]).await else {
        return;
    };
    let mut xpub = accept(&listener, role(SocketType::XPub, &[SocketType::Sub])).await;
    assert_eq!(
        soon("a subscription", xpub.recv()).await.unwrap(),
        frames(&["\u{1}topic"])
    );
    xpub.writer.push_frame("topic and text".into());
    xpub.writer.flush().await.unwrap();
    assert_eq!(sub.recv().await, as_hex(&["topic and text"]));
    sub.run("unsubscribe", json!("topic")).await;
    assert_eq!(
        soon("the unsubscription", xpub.recv()).await.unwrap(),
        frames(&["\0topic"])
    );
}

#[tokio::test]
async fn exchanges_large_messages_and_many_frames() {
    let limits = ServerLimits {
        max_message_bytes: 64 << 20,
        max_frames: 2000,
        ..ServerLimits::default()
    };
    let server = Zmtp.server(endpoint(ANY), limits).await.unwrap();
    let at = server.local.to_string();
    let Some(mut dealer) = Libzmq::start("DEALER", "connect", &at, &[]).await else {
        return;
    };
    let (_shutdown, _served) = echo(server);
    let many = [vec![0; 999], vec![70_000, 1023, 1024, 255, 256]].concat();
    for sizes in [json!([32 << 20]), json!(many)] {
        dealer.run("send_zeros", sizes.clone()).await;
        assert_eq!(dealer.run("recv_sizes", Value::Null).await, sizes);
    }

    let Some(mut router) = Libzmq::start("ROUTER", "bind", "tcp://127.0.0.1:*", &[]).await else {
        return;
    };
    let mut client = connect(&endpoint(&router.endpoint)).await;
    up(&mut client).await;
    for message in [
        vec![Bytes::from(vec![7; 32 << 20])],
        (0..16)
            .map(|n| Bytes::from(vec![n; 300 * usize::from(n)]))
            .collect(),
    ] {
        router.begin("echo", json!(1)).await;
        client.outbound.try_send(message.clone()).unwrap();
        assert!(answered(&mut client).await == message);
        router.answer().await;
    }
}

/// Forwards one connection to `to`, and counts the `PONG`s of the server.
async fn count_pongs(to: Endpoint) -> (Endpoint, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = endpoint(&format!("tcp://{}", listener.local_addr().unwrap()));
    let pongs = Arc::new(AtomicUsize::new(0));
    let counted = pongs.clone();
    tokio::spawn(async move {
        let Endpoint::Tcp { host, port } = to else {
            panic!()
        };
        let (mut peer_read, mut peer_write) = listener.accept().await.unwrap().0.into_split();
        let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
        let (mut server_read, mut server_write) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut peer_read, &mut server_write).await });
        let mut bytes = vec![0; 4096];
        while let Ok(count @ 1..) = server_read.read(&mut bytes).await {
            let received = &bytes[..count];
            let found = received.windows(5).filter(|window| window == b"\x04PONG");
            counted.fetch_add(found.count(), Relaxed);
            peer_write.write_all(received).await.unwrap();
        }
    });
    (at, pongs)
}

#[tokio::test]
async fn heartbeats_of_libzmq_are_answered() {
    let mut server = serve(ANY).await;
    let (at, pongs) = count_pongs(server.local.clone()).await;
    let options = [
        "IDENTITY=pinging",
        "HEARTBEAT_IVL=20",
        "HEARTBEAT_TIMEOUT=10000",
        "HEARTBEAT_TTL=10000",
    ];
    let Some(mut dealer) = Libzmq::start("DEALER", "connect", &at.to_string(), &options).await else {
        return;
    };
    soon("ten pongs", async {
        while pongs.load(Relaxed) < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // This is still the first connection: the server has emitted no `Disconnected`.
    dealer.send(&["still connected"]).await;
    let (peer, received) = asked(&mut server).await;
    assert_eq!(
        (peer, received),
        (RoutingId::new("pinging"), frames(&["still connected"]))
    );
    assert_eq!(server.inbound.try_recv(), None);
}

#[tokio::test]
async fn invalid_peers_do_not_disturb_a_libzmq_peer() {
    let limits = ServerLimits {
        handshake_timeout: Duration::from_secs(3600),
        ..ServerLimits::default()
    };
    let mut server = Zmtp.server(endpoint(ANY), limits).await.unwrap();
    let Endpoint::Tcp { port, .. } = server.local else {
        panic!()
    };
    let at = server.local.to_string();
    let Some(mut dealer) = Libzmq::start("DEALER", "connect", &at, &[]).await else {
        return;
    };
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64]] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let _ = soon("the end", stream.read_to_end(&mut Vec::new())).await;
        dealer.send(&["x"]).await;
        let (peer, received) = asked(&mut server).await;
        server.outbound.send(peer, received).await.unwrap();
        assert_eq!(dealer.recv().await, as_hex(&["x"]));
    }
    // A socket of a type that is not accepted is refused, too.
    let Some(_pull) = Libzmq::start("PULL", "connect", &at, &[]).await else {
        return;
    };
    dealer.send(&["y"]).await;
    assert_eq!(asked(&mut server).await.1, frames(&["y"]));
}

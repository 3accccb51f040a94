//! The link to Mongrel2, against sockets that play it: a bound PUSH for requests and a bound SUB for replies.

use super::*;
use crate::tests::{endpoint, handshake, soon, until};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use zeromq::prelude::*;
use zeromq::{PushSocket, SubSocket, ZmqMessage};

const IDENT: &str = "34f9ceee-cd52-4b7f-b197-88bf2f0ec378";

/// One run of Mongrel2, on a thread of its own. It ends as a process does: all its connections at once.
struct Mongrel2 {
    requests: mpsc::UnboundedSender<String>,
    replies: mpsc::UnboundedReceiver<Bytes>,
    send_spec: Endpoint,
    recv_spec: Endpoint,
    thread: std::thread::JoinHandle<()>,
}

impl Mongrel2 {
    /// Starts at these endpoints, and at free ports if they say 0.
    async fn start(send_spec: &str, recv_spec: &str) -> Self {
        let (requests, to_send) = mpsc::unbounded_channel();
        let (received, replies) = mpsc::unbounded_channel();
        let (started, specs) = oneshot::channel();
        let (send_spec, recv_spec) = (send_spec.to_owned(), recv_spec.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(send_spec, recv_spec, started, to_send, received));
        });
        let (send_spec, recv_spec) = soon("the start of Mongrel2", specs).await.unwrap();
        Self {
            requests,
            replies,
            send_spec: endpoint(&send_spec),
            recv_spec: endpoint(&recv_spec),
            thread,
        }
    }

    async fn start_on_tcp() -> Self {
        Self::start("tcp://127.0.0.1:0", "tcp://127.0.0.1:0").await
    }

    fn request(&self, text: &str) {
        self.requests.send(text.to_owned()).unwrap();
    }

    async fn reply(&mut self) -> Bytes {
        soon("a reply", self.replies.recv()).await.unwrap()
    }

    async fn stop(self) {
        drop(self.requests);
        tokio::task::spawn_blocking(|| self.thread.join())
            .await
            .unwrap()
            .unwrap();
    }
}

async fn run(
    send_spec: String,
    recv_spec: String,
    started: oneshot::Sender<(String, String)>,
    mut requests: mpsc::UnboundedReceiver<String>,
    replies: mpsc::UnboundedSender<Bytes>,
) {
    for spec in [&send_spec, &recv_spec] {
        if let Some(path) = spec.strip_prefix("ipc://") {
            let _ = std::fs::remove_file(path);
        }
    }
    let (mut push, mut sub) = (PushSocket::new(), SubSocket::new());
    let send_spec = push.bind(&send_spec).await.unwrap().to_string();
    let recv_spec = sub.bind(&recv_spec).await.unwrap().to_string();
    sub.subscribe(IDENT).await.unwrap();
    started.send((send_spec, recv_spec)).unwrap();
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(request) = request else { return };
                // A PUSH without a handler refuses; the real one waits.
                while push.send(ZmqMessage::from(request.as_str())).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
            reply = sub.recv() => {
                if let Ok(reply) = reply {
                    assert_eq!(reply.len(), 1);
                    let _ = replies.send(reply.into_vec().remove(0));
                }
            }
        }
    }
}

async fn open_link(send_spec: &Endpoint, recv_spec: &Endpoint) -> ServerLink {
    driven(send_spec.clone(), recv_spec.clone(), SUBSCRIPTION_TIMEOUT)
}

fn driven(send_spec: Endpoint, recv_spec: Endpoint, subscription_timeout: Duration) -> ServerLink {
    let config = LinkConfig::default();
    let (link, driver) = open_with(send_spec, recv_spec, config, subscription_timeout).unwrap();
    tokio::spawn(driver);
    link
}

async fn linked(link: &mut ServerLink) -> Generation {
    match soon("the link", link.inbound.recv()).await {
        Some(LinkEvent::Up {
            generation,
            recv_ident,
        }) => {
            assert_eq!(recv_ident, IDENT);
            generation
        }
        other => panic!("expected the link to come up, got {other:?}"),
    }
}

async fn requested(link: &mut ServerLink) -> (Generation, Bytes) {
    match soon("a request", link.inbound.recv()).await {
        Some(LinkEvent::Message { generation, bytes }) => (generation, bytes),
        other => panic!("expected a request, got {other:?}"),
    }
}

async fn lost(link: &mut ServerLink) -> Generation {
    loop {
        match soon("the loss", link.inbound.recv()).await {
            Some(LinkEvent::Down { generation, .. }) => return generation,
            Some(LinkEvent::Message { .. }) => {}
            other => panic!("expected the loss of the link, got {other:?}"),
        }
    }
}

fn reply_to(request: &Bytes) -> Bytes {
    Bytes::from(format!("{IDENT} 1:7, reply to {}", request.escape_ascii()))
}

async fn first_replies(starts: usize, send_spec: &str, recv_spec: &str) {
    let mut mongrel2 = Mongrel2::start(send_spec, recv_spec).await;
    let (send_spec, recv_spec) = (mongrel2.send_spec.clone(), mongrel2.recv_spec.clone());
    for start in 0..starts {
        let mut link = open_link(&send_spec, &recv_spec).await;
        let generation = linked(&mut link).await;
        // Answered at once, as a fast handler does: the case in which a PUB loses the reply.
        let text = format!("request {start}");
        mongrel2.request(&text);
        let (of, request) = requested(&mut link).await;
        assert_eq!((of, &request[..]), (generation, text.as_bytes()));
        link.outbound.send(generation, reply_to(&request)).await.unwrap();
        assert_eq!(mongrel2.reply().await, reply_to(&request), "start {start}");
        assert!(link.shutdown(Duration::from_secs(5)).await);
        // The PUSH of the crate notices only by sending that a handler is gone, so each gets a new one.
        mongrel2.stop().await;
        mongrel2 = Mongrel2::start(&send_spec.to_string(), &recv_spec.to_string()).await;
    }
}

#[tokio::test]
async fn the_first_reply_of_200_starts_is_never_lost_over_tcp() {
    first_replies(200, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0").await;
}

#[tokio::test]
async fn the_first_reply_of_200_starts_is_never_lost_over_ipc() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("ipc://{}/{name}", folder.path().display());
    first_replies(200, &at("send"), &at("recv")).await;
}

#[tokio::test]
async fn a_restart_changes_the_generation_and_drops_the_old_reply() {
    let mut mongrel2 = Mongrel2::start_on_tcp().await;
    let (send_spec, recv_spec) = (mongrel2.send_spec.clone(), mongrel2.recv_spec.clone());
    let mut link = open_link(&send_spec, &recv_spec).await;
    assert_eq!(linked(&mut link).await, 1);
    for old in 1..=5 {
        mongrel2.request("slow");
        let (of, slow) = requested(&mut link).await;
        assert_eq!(of, old);

        mongrel2.stop().await;
        assert_eq!(lost(&mut link).await, old);
        assert_eq!(link.outbound.link.generation(), Err(SendError::LinkDown));
        let refused = link.outbound.send(old, reply_to(&slow)).await;
        assert_eq!(
            refused,
            Err(SendError::LinkDown),
            "nothing waits for a link that is down"
        );

        mongrel2 = Mongrel2::start(&send_spec.to_string(), &recv_spec.to_string()).await;
        assert_eq!(linked(&mut link).await, old + 1);
        assert_eq!(
            link.outbound.send(old, reply_to(&slow)).await,
            Err(SendError::LinkDown)
        );
        mongrel2.request("new");
        let (new, request) = requested(&mut link).await;
        assert_eq!(new, old + 1);
        link.outbound.send(new, reply_to(&request)).await.unwrap();
        assert_eq!(
            mongrel2.reply().await,
            reply_to(&request),
            "the old reply never arrives"
        );
    }
    until("every reply to be counted", || {
        let counts = link.outbound.link.counts();
        (counts.sent, counts.dropped) == (5, 10)
    })
    .await;
}

#[tokio::test]
async fn reconnects_after_losing_only_the_response_side() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec).await;
    for generation in 1..=3 {
        let [mut push, sub] = raw(&send, &recv).await;
        assert!(matches!(
            soon("the link", link.inbound.recv()).await,
            Some(LinkEvent::Up { .. })
        ));
        drop(sub);
        assert_eq!(lost(&mut link).await, generation);
        soon(
            "the other side to be closed as well",
            push.read_to_end(&mut Vec::new()),
        )
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn the_handler_may_start_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("ipc://{}/{name}", folder.path().display());
    let mut link = open_link(&endpoint(&at("send")), &endpoint(&at("recv"))).await;
    assert_eq!(
        link.outbound.try_send_noted(1, Bytes::from("x"), || {}),
        Err(SendError::LinkDown)
    );
    assert_eq!(link.outbound.link.counts().dropped, 1);
    let mongrel2 = Mongrel2::start(&at("send"), &at("recv")).await;
    assert_eq!(linked(&mut link).await, 1);
    mongrel2.request("x");
    assert_eq!(requested(&mut link).await, (1, Bytes::from("x")));
}

#[tokio::test]
async fn retries_until_mongrel2_subscribes() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let subscription_timeout = Duration::from_millis(50);
    let mut link = driven(send_spec, recv_spec, subscription_timeout);
    for attempt in 0..3 {
        let (mut sub, _) = soon("an attempt", recv.accept()).await.unwrap();
        handshake(&mut sub, "SUB", "").await;
        // A busy Mongrel2: connected, but its subscription does not come.
        let given_up = soon("the end of the attempt", sub.read_to_end(&mut Vec::new())).await;
        assert!(given_up.is_ok(), "attempt {attempt}");
        assert_eq!(link.outbound.link.generation(), Err(SendError::LinkDown));
    }
    assert_eq!(link.inbound.try_recv(), None);
    let _sockets = raw(&send, &recv).await;
    assert!(matches!(
        soon("the link", link.inbound.recv()).await,
        Some(LinkEvent::Up { generation: 1, .. })
    ));
}

/// Both connections of a link, on raw listeners.
async fn raw(send: &tokio::net::TcpListener, recv: &tokio::net::TcpListener) -> [tokio::net::TcpStream; 2] {
    let (mut sub, _) = soon("the reply side", recv.accept()).await.unwrap();
    handshake(&mut sub, "SUB", "").await;
    sub.write_all(b"\0\x01\x01").await.unwrap();
    let (mut push, _) = soon("the request side", send.accept()).await.unwrap();
    handshake(&mut push, "PUSH", "").await;
    [push, sub]
}

async fn raw_listener() -> (tokio::net::TcpListener, Endpoint) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = endpoint(&format!("tcp://{}", listener.local_addr().unwrap()));
    (listener, at)
}

#[tokio::test]
async fn a_waiting_response_never_blocks_requests() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec).await;
    let [mut push, mut sub] = raw(&send, &recv).await;
    match soon("the link", link.inbound.recv()).await {
        Some(LinkEvent::Up {
            generation: 1,
            recv_ident,
        }) => assert!(recv_ident.is_empty()),
        other => panic!("{other:?}"),
    }
    // Mongrel2 reads no reply now: a reply waits, the outbox fills up behind it.
    let page = Bytes::from(vec![b'x'; 16 << 20]);
    let mut accepted = 0;
    soon("the outbox to be full", async {
        while link.outbound.try_send_noted(1, page.clone(), || {}) != Err(SendError::Full) {
            accepted += 1;
            tokio::task::yield_now().await;
        }
    })
    .await;
    for n in 0..100u8 {
        push.write_all(&[0, 1, n]).await.unwrap();
        assert_eq!(requested(&mut link).await, (1, Bytes::from(vec![n])));
    }
    // It reads again: everything that was accepted arrives, in one piece.
    let reading = tokio::spawn(async move {
        let mut total = 0;
        let mut buffer = vec![0; 1 << 20];
        while total < 3 * (9 + (16 << 20)) {
            total += sub.read(&mut buffer).await.unwrap();
        }
        sub
    });
    let _sub = soon("the replies", reading).await.unwrap();
    assert!(accepted > 1000);
    drop(push);
    assert_eq!(lost(&mut link).await, 1);
    assert!(
        link.outbound.link.counts().dropped > 0,
        "what waited for the lost connection is dropped and counted"
    );
}

#[tokio::test]
async fn shutdown_closes_both_connections() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec).await;
    let [mut push, mut sub] = raw(&send, &recv).await;
    assert!(matches!(
        soon("the link", link.inbound.recv()).await,
        Some(LinkEvent::Up { .. })
    ));
    link.outbound.send(1, Bytes::from("last")).await.unwrap();
    assert!(link.shutdown(Duration::from_secs(5)).await);
    let mut rest = Vec::new();
    soon("the end of the reply side", sub.read_to_end(&mut rest))
        .await
        .unwrap();
    assert_eq!(rest, b"\0\x04last");
    rest.clear();
    soon("the end of the request side", push.read_to_end(&mut rest))
        .await
        .unwrap();
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn heartbeats_of_a_peer_are_answered() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec).await;
    let mut both = raw(&send, &recv).await;
    assert!(matches!(
        soon("the link", link.inbound.recv()).await,
        Some(LinkEvent::Up { .. })
    ));
    for socket in &mut both {
        socket.write_all(b"\x04\x09\x04PING\0\x0aab").await.unwrap();
        let mut answer = [0; 9];
        soon("the answer", socket.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"\x04\x07\x04PONGab");
    }
}

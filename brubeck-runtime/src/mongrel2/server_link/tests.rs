//! Tests of the link against a fake Mongrel2: a bound PUSH socket for requests and a bound SUB socket for responses, or TCP
//! listeners on which a test writes the bytes of these sockets itself.

use super::*;
use crate::tests::{endpoint, handshake, soon, until};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use zeromq::prelude::*;
use zeromq::{PushSocket, SubSocket, ZmqMessage};

const IDENT: &str = "34f9ceee-cd52-4b7f-b197-88bf2f0ec378";

/// A fake Mongrel2 on its own thread. When it stops, all its connections close at once, as those of a process do.
struct FakeMongrel2 {
    requests: mpsc::UnboundedSender<String>,
    responses: mpsc::UnboundedReceiver<Bytes>,
    send_spec: Endpoint,
    recv_spec: Endpoint,
    thread: std::thread::JoinHandle<()>,
}

impl FakeMongrel2 {
    /// Starts at these endpoints. Port 0 selects a free port.
    async fn start(send_spec: &str, recv_spec: &str) -> Self {
        let (requests, to_send) = mpsc::unbounded_channel();
        let (received, responses) = mpsc::unbounded_channel();
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
            responses,
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

    async fn response(&mut self) -> Bytes {
        soon("a response", self.responses.recv()).await.unwrap()
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
    responses: mpsc::UnboundedSender<Bytes>,
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
                // Without a handler, this PUSH returns an error. The real one waits.
                while push.send(ZmqMessage::from(request.as_str())).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
            response = sub.recv() => {
                if let Ok(response) = response {
                    assert_eq!(response.len(), 1);
                    let _ = responses.send(response.into_vec().remove(0));
                }
            }
        }
    }
}

fn open_link(send_spec: &Endpoint, recv_spec: &Endpoint) -> ServerLink {
    open_link_with(send_spec.clone(), recv_spec.clone(), SUBSCRIPTION_TIMEOUT)
}

/// Opens a link and spawns its driver.
fn open_link_with(send_spec: Endpoint, recv_spec: Endpoint, subscription_timeout: Duration) -> ServerLink {
    let config = LinkConfig::default();
    let (link, driver) = open_with(send_spec, recv_spec, config, subscription_timeout).unwrap();
    tokio::spawn(driver);
    link
}

async fn wait_for_up(link: &mut ServerLink) -> Generation {
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

async fn receive_request(link: &mut ServerLink) -> (Generation, Bytes) {
    match soon("a request", link.inbound.recv()).await {
        Some(LinkEvent::Message { generation, bytes }) => (generation, bytes),
        other => panic!("expected a request, got {other:?}"),
    }
}

async fn wait_for_down(link: &mut ServerLink) -> Generation {
    loop {
        match soon("the loss of the link", link.inbound.recv()).await {
            Some(LinkEvent::Down { generation, .. }) => return generation,
            Some(LinkEvent::Message { .. }) => {}
            other => panic!("expected the loss of the link, got {other:?}"),
        }
    }
}

fn response_to(request: &Bytes) -> Bytes {
    Bytes::from(format!("{IDENT} 1:7, response to {}", request.escape_ascii()))
}

async fn first_responses_arrive(starts: usize, send_spec: &str, recv_spec: &str) {
    let mut mongrel2 = FakeMongrel2::start(send_spec, recv_spec).await;
    let (send_spec, recv_spec) = (mongrel2.send_spec.clone(), mongrel2.recv_spec.clone());
    for start in 0..starts {
        let mut link = open_link(&send_spec, &recv_spec);
        let generation = wait_for_up(&mut link).await;
        // A response without delay: the case in which a PUB socket would lose it.
        let text = format!("request {start}");
        mongrel2.request(&text);
        let (of, request) = receive_request(&mut link).await;
        assert_eq!((of, &request[..]), (generation, text.as_bytes()));
        link.outbound
            .send(generation, response_to(&request))
            .await
            .unwrap();
        assert_eq!(mongrel2.response().await, response_to(&request), "start {start}");
        assert!(link.shutdown(Duration::from_secs(5)).await);
        // The PUSH of the zeromq crate detects a closed connection only when it sends, so each start gets a new one.
        mongrel2.stop().await;
        mongrel2 = FakeMongrel2::start(&send_spec.to_string(), &recv_spec.to_string()).await;
    }
}

#[tokio::test]
async fn first_response_is_not_lost_over_tcp() {
    first_responses_arrive(200, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0").await;
}

#[tokio::test]
async fn first_response_is_not_lost_over_ipc() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("ipc://{}/{name}", folder.path().display());
    first_responses_arrive(200, &at("send"), &at("recv")).await;
}

#[tokio::test]
async fn restart_increments_generation_and_drops_stale_response() {
    let mut mongrel2 = FakeMongrel2::start_on_tcp().await;
    let (send_spec, recv_spec) = (mongrel2.send_spec.clone(), mongrel2.recv_spec.clone());
    let mut link = open_link(&send_spec, &recv_spec);
    assert_eq!(wait_for_up(&mut link).await, 1);
    for old in 1..=5 {
        mongrel2.request("slow");
        let (of, slow) = receive_request(&mut link).await;
        assert_eq!(of, old);

        mongrel2.stop().await;
        assert_eq!(wait_for_down(&mut link).await, old);
        assert_eq!(link.outbound.link.generation(), Err(SendError::LinkDown));
        let refused = link.outbound.send(old, response_to(&slow)).await;
        assert_eq!(
            refused,
            Err(SendError::LinkDown),
            "a response must not be queued while the link is down"
        );

        mongrel2 = FakeMongrel2::start(&send_spec.to_string(), &recv_spec.to_string()).await;
        assert_eq!(wait_for_up(&mut link).await, old + 1);
        assert_eq!(
            link.outbound.send(old, response_to(&slow)).await,
            Err(SendError::LinkDown)
        );
        mongrel2.request("new");
        let (new, request) = receive_request(&mut link).await;
        assert_eq!(new, old + 1);
        link.outbound.send(new, response_to(&request)).await.unwrap();
        assert_eq!(
            mongrel2.response().await,
            response_to(&request),
            "the stale response must not arrive"
        );
    }
    until("the counters to include every response", || {
        let counts = link.outbound.link.counts();
        (counts.sent, counts.dropped) == (5, 10)
    })
    .await;
}

#[tokio::test]
async fn reconnects_after_losing_only_the_response_side() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec);
    for generation in 1..=3 {
        let [mut push, sub] = accept_link(&send, &recv).await;
        assert!(matches!(
            soon("the link", link.inbound.recv()).await,
            Some(LinkEvent::Up { .. })
        ));
        drop(sub);
        assert_eq!(wait_for_down(&mut link).await, generation);
        soon(
            "the request connection to be closed, too",
            push.read_to_end(&mut Vec::new()),
        )
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn connects_once_mongrel2_starts() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("ipc://{}/{name}", folder.path().display());
    let mut link = open_link(&endpoint(&at("send")), &endpoint(&at("recv")));
    assert_eq!(
        link.outbound.try_send_with(1, Bytes::from("x"), || {}),
        Err(SendError::LinkDown)
    );
    assert_eq!(link.outbound.link.counts().dropped, 1);
    let mongrel2 = FakeMongrel2::start(&at("send"), &at("recv")).await;
    assert_eq!(wait_for_up(&mut link).await, 1);
    mongrel2.request("x");
    assert_eq!(receive_request(&mut link).await, (1, Bytes::from("x")));
}

#[tokio::test]
async fn retries_until_mongrel2_subscribes() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let subscription_timeout = Duration::from_millis(50);
    let mut link = open_link_with(send_spec, recv_spec, subscription_timeout);
    for attempt in 0..3 {
        let (mut sub, _) = soon("an attempt", recv.accept()).await.unwrap();
        handshake(&mut sub, "SUB", "").await;
        // A busy Mongrel2 accepts the connection but does not subscribe.
        let closed = soon("the end of the attempt", sub.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "attempt {attempt}");
        assert_eq!(link.outbound.link.generation(), Err(SendError::LinkDown));
    }
    assert_eq!(link.inbound.try_recv(), None);
    let _sockets = accept_link(&send, &recv).await;
    assert!(matches!(
        soon("the link", link.inbound.recv()).await,
        Some(LinkEvent::Up { generation: 1, .. })
    ));
}

/// Accepts both connections of a link.
async fn accept_link(
    send: &tokio::net::TcpListener,
    recv: &tokio::net::TcpListener,
) -> [tokio::net::TcpStream; 2] {
    let (mut sub, _) = soon("the response connection", recv.accept()).await.unwrap();
    handshake(&mut sub, "SUB", "").await;
    sub.write_all(b"\0\x01\x01").await.unwrap();
    let (mut push, _) = soon("the request connection", send.accept()).await.unwrap();
    handshake(&mut push, "PUSH", "").await;
    [push, sub]
}

async fn raw_listener() -> (tokio::net::TcpListener, Endpoint) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = endpoint(&format!("tcp://{}", listener.local_addr().unwrap()));
    (listener, at)
}

#[tokio::test]
async fn receives_requests_while_a_response_waits() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec);
    let [mut push, mut sub] = accept_link(&send, &recv).await;
    match soon("the link", link.inbound.recv()).await {
        Some(LinkEvent::Up {
            generation: 1,
            recv_ident,
        }) => assert!(recv_ident.is_empty()),
        other => panic!("{other:?}"),
    }
    // Mongrel2 does not read now, so the send queue fills up.
    let page = Bytes::from(vec![b'x'; 16 << 20]);
    let mut accepted = 0;
    soon("the send queue to be full", async {
        while link.outbound.try_send_with(1, page.clone(), || {}) != Err(SendError::Full) {
            accepted += 1;
            tokio::task::yield_now().await;
        }
    })
    .await;
    for n in 0..100u8 {
        push.write_all(&[0, 1, n]).await.unwrap();
        assert_eq!(receive_request(&mut link).await, (1, Bytes::from(vec![n])));
    }
    // Mongrel2 reads again, and receives everything that was queued.
    let reading = tokio::spawn(async move {
        let mut total = 0;
        let mut buffer = vec![0; 1 << 20];
        while total < 3 * (9 + (16 << 20)) {
            total += sub.read(&mut buffer).await.unwrap();
        }
        sub
    });
    let _sub = soon("the responses", reading).await.unwrap();
    assert!(accepted > 1000);
    drop(push);
    assert_eq!(wait_for_down(&mut link).await, 1);
    assert!(
        link.outbound.link.counts().dropped > 0,
        "responses for the lost connection must be counted as dropped"
    );
}

#[tokio::test]
async fn shutdown_closes_both_connections() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec);
    let [mut push, mut sub] = accept_link(&send, &recv).await;
    assert!(matches!(
        soon("the link", link.inbound.recv()).await,
        Some(LinkEvent::Up { .. })
    ));
    link.outbound.send(1, Bytes::from("last")).await.unwrap();
    assert!(link.shutdown(Duration::from_secs(5)).await);
    let mut rest = Vec::new();
    soon("the end of the response connection", sub.read_to_end(&mut rest))
        .await
        .unwrap();
    assert_eq!(rest, b"\0\x04last");
    rest.clear();
    soon("the end of the request connection", push.read_to_end(&mut rest))
        .await
        .unwrap();
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn answers_heartbeats() {
    let (send, send_spec) = raw_listener().await;
    let (recv, recv_spec) = raw_listener().await;
    let mut link = open_link(&send_spec, &recv_spec);
    let mut both = accept_link(&send, &recv).await;
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

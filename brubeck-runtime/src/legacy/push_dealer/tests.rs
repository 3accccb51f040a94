//! `PushDealerClient` with `PullRouterService`, and with sockets of the `zeromq` crate.

use super::*;
use crate::legacy::pull_router::{self, PullRouterService, connect_pull_router};
use crate::tests::{endpoint, frames, soon};
use brubeck_zmtp::{LINGER, LinkState, RoutingId};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use tokio::time::{Instant, timeout_at};
use zeromq::prelude::*;
use zeromq::{PullSocket, RouterSocket};

const ANY: &str = "tcp://127.0.0.1:0";

/// A client with the handles that only tests use.
struct TestPushDealer {
    client: PushDealerClient,
    requests: Endpoint,
    responses: Endpoint,
    shutdown: ShutdownHandle,
}

impl Deref for TestPushDealer {
    type Target = PushDealerClient;

    fn deref(&self) -> &PushDealerClient {
        &self.client
    }
}

impl DerefMut for TestPushDealer {
    fn deref_mut(&mut self) -> &mut PushDealerClient {
        &mut self.client
    }
}

impl TestPushDealer {
    async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

fn bind(requests: &Endpoint, responses: &Endpoint) -> TestPushDealer {
    let (client, [requests, responses], shutdown) =
        open(requests, responses, &LinkConfig::default()).unwrap();
    TestPushDealer {
        client,
        requests,
        responses,
        shutdown,
    }
}

fn bind_any() -> TestPushDealer {
    bind(&endpoint(ANY), &endpoint(ANY))
}

fn connect_service(client: &TestPushDealer) -> PullRouterService {
    connect_pull_router(
        client.requests.clone(),
        client.responses.clone(),
        &LinkConfig::default(),
    )
    .unwrap()
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn reserve_by(sender: &PushDealerSender, deadline: Instant) -> Result<RequestPermit, SendError> {
    timeout_at(deadline, sender.reserve())
        .await
        .unwrap_or(Err(SendError::Deadline))
}

/// Sends a request. Returns the service that it is sent to.
async fn send_request(client: &TestPushDealer, request: impl Into<Bytes>) -> Generation {
    let permit = reserve_by(&client.outbound, deadline()).await.unwrap();
    let generation = permit.generation();
    permit.send(request.into()).unwrap();
    generation
}

async fn receive_request(service: &mut PullRouterService) -> Vec<Bytes> {
    soon("a request", service.inbound.recv())
        .await
        .expect("an open link")
}

async fn send_response(client: &TestPushDealer, service: &PullRouterService, text: &str) {
    let to = RoutingId::new(client.identity.clone());
    service.outbound.send(to, frames(&["", text])).await.unwrap();
}

async fn receive_response(client: &mut TestPushDealer) -> Vec<Bytes> {
    match soon("an answer", client.inbound.recv()).await {
        Some(PushDealerEvent::Message { frames }) => frames,
        other => panic!("expected an answer, got {other:?}"),
    }
}

async fn disconnected(client: &mut TestPushDealer) -> Generation {
    match soon("a loss", client.inbound.recv()).await {
        Some(PushDealerEvent::Down { generation, .. }) => generation,
        other => panic!("expected a loss, got {other:?}"),
    }
}

/// A service with sockets of the `zeromq` crate, which can be connected in either order.
struct ZeromqService {
    pull: PullSocket,
    router: Option<RouterSocket>,
}

async fn connect_router(client: &TestPushDealer) -> RouterSocket {
    let mut router = RouterSocket::new();
    router.connect(&client.responses.to_string()).await.unwrap();
    router
}

impl ZeromqService {
    async fn connect_pull(client: &TestPushDealer) -> ZeromqService {
        let mut pull = PullSocket::new();
        pull.connect(&client.requests.to_string()).await.unwrap();
        ZeromqService { pull, router: None }
    }

    async fn connect(client: &TestPushDealer) -> ZeromqService {
        let mut service = ZeromqService::connect_pull(client).await;
        service.router = Some(connect_router(client).await);
        service
    }

    async fn request(&mut self) -> Vec<Bytes> {
        soon("a request", self.pull.recv()).await.unwrap().into_vec()
    }
}

impl Drop for ZeromqService {
    fn drop(&mut self) {
        self.pull.backend().shutdown();
    }
}

async fn round_trip(requests: &str, responses: &str) {
    let mut client = bind(&endpoint(requests), &endpoint(responses));
    let mut service = connect_service(&client);
    for text in [String::new(), "hello".into(), "x".repeat(1 << 20)] {
        send_request(&client, text.clone()).await;
        assert_eq!(receive_request(&mut service).await, frames(&[&text]));
        send_response(&client, &service, &text).await;
        assert_eq!(receive_response(&mut client).await, frames(&["", &text]));
    }
    assert_eq!(service.outbound.counts().sent, 3);
    assert!(service.shutdown(LINGER).await);
    assert!(client.shutdown(LINGER).await);
}

#[tokio::test]
async fn round_trip_over_tcp() {
    round_trip(ANY, ANY).await;
}

#[tokio::test]
async fn round_trip_over_ipc() {
    let folder = tempfile::tempdir().unwrap();
    let [requests, responses] = ["requests", "responses"].map(|name| folder.path().join(name));
    round_trip(
        &format!("ipc://{}", requests.display()),
        &format!("ipc://{}", responses.display()),
    )
    .await;
    assert!(!requests.exists() && !responses.exists());
}

#[tokio::test]
async fn binding_an_address_in_use_fails() {
    let bound = bind_any();
    let error = bind_push_dealer(&endpoint(ANY), &bound.responses, &LinkConfig::default()).unwrap_err();
    assert!(matches!(error, TransportError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn service_may_start_before_its_client() {
    let folder = tempfile::tempdir().unwrap();
    let [requests, responses] =
        ["requests", "responses"].map(|name| endpoint(&format!("ipc://{}/{name}", folder.path().display())));
    let mut service =
        connect_pull_router(requests.clone(), responses.clone(), &LinkConfig::default()).unwrap();
    let mut client = bind(&requests, &responses);
    send_request(&client, "early").await;
    assert_eq!(receive_request(&mut service).await, frames(&["early"]));
    send_response(&client, &service, "back").await;
    assert_eq!(receive_response(&mut client).await, frames(&["", "back"]));
}

#[tokio::test]
async fn requests_wait_until_a_service_has_both_connections() {
    let client = bind_any();
    let mut service = ZeromqService::connect_pull(&client).await;
    let early = Instant::now() + Duration::from_millis(50);
    assert_eq!(
        reserve_by(&client.outbound, early).await.unwrap_err(),
        SendError::Deadline
    );

    service.router = Some(connect_router(&client).await);
    send_request(&client, "now").await;
    assert_eq!(service.request().await, frames(&["now"]));
}

#[tokio::test]
async fn older_services_receive_requests_while_a_new_one_connects() {
    let client = bind_any();
    let complete = ZeromqService::connect(&client).await;
    let first = send_request(&client, "a").await;
    let _half = ZeromqService::connect_pull(&client).await;
    for _ in 0..10 {
        assert_eq!(send_request(&client, "b").await, first);
    }
    drop(complete);
}

#[tokio::test]
async fn requests_are_distributed_round_robin() {
    let client = bind_any();
    let (read, mut reading) = tokio::sync::mpsc::channel(1);
    for _ in 0..2 {
        let (mut service, read) = (ZeromqService::connect(&client).await, read.clone());
        tokio::spawn(async move {
            loop {
                let request = service.request().await;
                read.send(request).await.unwrap();
            }
        });
    }
    let mut generations = Vec::new();
    while generations.len() < 2 || generations[generations.len() - 2] == generations[generations.len() - 1] {
        generations.push(send_request(&client, "until both are connected").await);
        soon("a request", reading.recv()).await.unwrap();
    }
    let turns = [
        send_request(&client, "1").await,
        send_request(&client, "2").await,
        send_request(&client, "3").await,
    ];
    assert_eq!(turns[0], turns[2]);
    assert_ne!(turns[0], turns[1]);
}

#[tokio::test]
async fn a_disconnected_service_is_reported_and_receives_no_more_requests() {
    let mut client = bind_any();
    let first = ZeromqService::connect(&client).await;
    let gone = send_request(&client, "lost").await;
    let _second = ZeromqService::connect(&client).await;
    drop(first);
    assert_eq!(disconnected(&mut client).await, gone);
    assert_ne!(send_request(&client, "kept").await, gone);
}

#[tokio::test]
async fn sending_with_a_permit_of_a_disconnected_service_fails() {
    let mut client = bind_any();
    let service = ZeromqService::connect(&client).await;
    let permit = reserve_by(&client.outbound, deadline()).await.unwrap();
    drop(service);
    assert_eq!(disconnected(&mut client).await, permit.generation());
    assert_eq!(permit.send(Bytes::from("late")), Err(SendError::LinkDown));
}

#[tokio::test]
async fn a_stalled_service_does_not_block_the_others() {
    let client = bind_any();
    let stalled = ZeromqService::connect(&client).await;
    let stalled_generation = send_request(&client, "first").await;
    let mut reading = ZeromqService::connect(&client).await;
    let taking = tokio::spawn(async move {
        for _ in 0..200 {
            reading.request().await;
        }
        reading
    });
    let large = Bytes::from(vec![7; 1 << 20]);
    let mut sent = 0;
    while sent < 200 {
        sent += usize::from(send_request(&client, large.clone()).await != stalled_generation);
    }
    drop(soon("all requests", taking).await.unwrap());
    drop(stalled);
}

/// The number of requests exceeds the capacity of the queue by far.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_waiting_requests_are_sent() {
    let client = bind_any();
    let senders: Vec<_> = (0..2000)
        .map(|n| {
            let outbound = client.outbound.clone();
            tokio::spawn(async move {
                let permit = reserve_by(&outbound, deadline()).await.unwrap();
                permit.send(Bytes::from(n.to_string())).unwrap();
            })
        })
        .collect();
    let mut service = ZeromqService::connect(&client).await;
    let mut received: Vec<u32> = Vec::new();
    for _ in 0..2000 {
        let request = service.request().await;
        received.push(std::str::from_utf8(&request[0]).unwrap().parse().unwrap());
    }
    received.sort_unstable();
    assert!(received.into_iter().eq(0..2000));
    for sender in senders {
        soon("space in a queue", sender).await.unwrap();
    }
}

#[tokio::test]
async fn response_waits_until_a_client_reconnects() {
    let folder = tempfile::tempdir().unwrap();
    let [requests, responses] =
        ["requests", "responses"].map(|name| endpoint(&format!("ipc://{}/{name}", folder.path().display())));
    let mut client = bind(&requests, &responses);
    let (mut service, mut state) =
        pull_router::open(requests.clone(), responses.clone(), &LinkConfig::default()).unwrap();
    send_request(&client, "before").await;
    receive_request(&mut service).await;

    // A client with another identity replaces the first one. It must not receive responses for the first one.
    let first = client.identity.clone();
    assert!(client.shutdown(LINGER).await);
    soon(
        "the loss",
        state.wait_for(|state| *state == LinkState::Connecting),
    )
    .await
    .unwrap();
    let stale = RoutingId::new(first);
    service
        .outbound
        .send(stale, frames(&["", "stale"]))
        .await
        .unwrap();
    client = bind(&requests, &responses);
    send_response(&client, &service, "for the second").await;
    assert_eq!(
        receive_response(&mut client).await,
        frames(&["", "for the second"])
    );
    assert_eq!(service.outbound.counts().dropped, 1);
}

#[tokio::test]
async fn other_protocols_and_socket_types_are_refused() {
    let mut client = bind_any();
    let service = connect_service(&client);
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..],
        &[0xff; 100],
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL",
    ] {
        for at in [&client.requests, &client.responses] {
            let Endpoint::Tcp { port, .. } = at else { panic!() };
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", *port)).unwrap();
            stream.write_all(bytes).unwrap();
        }
    }
    let mut dealer = zeromq::DealerSocket::new();
    let _ = dealer.connect(&client.requests.to_string()).await;
    send_response(&client, &service, "still connected").await;
    assert_eq!(
        receive_response(&mut client).await,
        frames(&["", "still connected"])
    );
}

#[tokio::test]
async fn an_oversized_frame_closes_only_its_own_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut client = bind_any();
    let service = connect_service(&client);
    let Endpoint::Tcp { port, .. } = client.responses else {
        panic!()
    };
    let mut peer = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut greeting = [0; 64];
    greeting[..10].copy_from_slice(b"\xff\0\0\0\0\0\0\0\x01\x7f");
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    peer.write_all(&greeting).await.unwrap();
    peer.write_all(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER")
        .await
        .unwrap();
    peer.write_all(b"\x02\xff\xff\xff\xff\xff\xff\xff\xff")
        .await
        .unwrap();
    let mut rest = Vec::new();
    soon("the end of the connection", peer.read_to_end(&mut rest))
        .await
        .ok();
    send_response(&client, &service, "still connected").await;
    assert_eq!(
        receive_response(&mut client).await,
        frames(&["", "still connected"])
    );
}

#[tokio::test]
async fn shutdown_sends_accepted_requests() {
    let client = bind_any();
    let mut service = ZeromqService::connect(&client).await;
    for n in 0..QUEUED {
        send_request(&client, n.to_string()).await;
    }
    let reading = tokio::spawn(async move {
        for n in 0..QUEUED {
            assert_eq!(service.request().await, frames(&[&n.to_string()]));
        }
    });
    let outbound = client.outbound.clone();
    assert!(client.shutdown(Duration::from_secs(20)).await);
    soon("all requests", reading).await.unwrap();
    assert_eq!(
        reserve_by(&outbound, deadline()).await.unwrap_err(),
        SendError::Closed
    );
}

const QUEUED: usize = 50;

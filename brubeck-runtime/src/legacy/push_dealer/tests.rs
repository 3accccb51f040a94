//! PushDealerClient and worker against each other, and against sockets of the `zeromq` crate.

use super::*;
use crate::legacy::pull_router::{self, PullRouterService, connect_pull_router};
use crate::tests::{endpoint, frames, soon};
use brubeck_zmtp::{LINGER, LinkState, RoutingId};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use zeromq::prelude::*;
use zeromq::{PullSocket, RouterSocket};

const ANY: &str = "tcp://127.0.0.1:0";

/// A hub with the handles that only tests use.
struct TestHub {
    hub: PushDealerClient,
    requests: Endpoint,
    responses: Endpoint,
    shutdown: ShutdownHandle,
}

impl Deref for TestHub {
    type Target = PushDealerClient;

    fn deref(&self) -> &PushDealerClient {
        &self.hub
    }
}

impl DerefMut for TestHub {
    fn deref_mut(&mut self) -> &mut PushDealerClient {
        &mut self.hub
    }
}

impl TestHub {
    async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

fn bind(requests: &Endpoint, responses: &Endpoint) -> TestHub {
    let (hub, [requests, responses], shutdown) = open(requests, responses, &LinkConfig::default()).unwrap();
    TestHub {
        hub,
        requests,
        responses,
        shutdown,
    }
}

fn hub() -> TestHub {
    bind(&endpoint(ANY), &endpoint(ANY))
}

fn worker(hub: &TestHub) -> PullRouterService {
    connect_pull_router(
        hub.requests.clone(),
        hub.responses.clone(),
        &LinkConfig::default(),
    )
    .unwrap()
}

fn in_20_s() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Sends a request. Returns the service it goes to.
async fn ask(hub: &TestHub, request: impl Into<Bytes>) -> Generation {
    let place = hub.outbound.reserve_by(in_20_s()).await.unwrap();
    let generation = place.generation();
    place.send(request.into()).unwrap();
    generation
}

async fn pulled(worker: &mut PullRouterService) -> Vec<Bytes> {
    soon("a request", worker.inbound.recv())
        .await
        .expect("an open link")
}

async fn answer(hub: &TestHub, worker: &PullRouterService, text: &str) {
    let to = RoutingId::new(hub.identity.clone());
    worker.outbound.send(to, frames(&["", text])).await.unwrap();
}

async fn answered(hub: &mut TestHub) -> Vec<Bytes> {
    match soon("an answer", hub.inbound.recv()).await {
        Some(PushDealerEvent::Message { frames }) => frames,
        other => panic!("expected an answer, got {other:?}"),
    }
}

async fn lost(hub: &mut TestHub) -> Generation {
    match soon("a loss", hub.inbound.recv()).await {
        Some(PushDealerEvent::Down { generation, .. }) => generation,
        other => panic!("expected a loss, got {other:?}"),
    }
}

/// A service of another implementation: two sockets, connected in either order.
struct Foreign {
    pull: PullSocket,
    router: Option<RouterSocket>,
}

async fn router(hub: &TestHub) -> RouterSocket {
    let mut router = RouterSocket::new();
    router.connect(&hub.responses.to_string()).await.unwrap();
    router
}

impl Foreign {
    async fn pulling(hub: &TestHub) -> Foreign {
        let mut pull = PullSocket::new();
        pull.connect(&hub.requests.to_string()).await.unwrap();
        Foreign { pull, router: None }
    }

    async fn whole(hub: &TestHub) -> Foreign {
        let mut whole = Foreign::pulling(hub).await;
        whole.router = Some(router(hub).await);
        whole
    }

    async fn request(&mut self) -> Vec<Bytes> {
        soon("a request", self.pull.recv()).await.unwrap().into_vec()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.pull.backend().shutdown();
    }
}

async fn round_trip(requests: &str, responses: &str) {
    let mut hub = bind(&endpoint(requests), &endpoint(responses));
    let mut worker = worker(&hub);
    for text in [String::new(), "hello".into(), "x".repeat(1 << 20)] {
        ask(&hub, text.clone()).await;
        assert_eq!(pulled(&mut worker).await, frames(&[&text]));
        answer(&hub, &worker, &text).await;
        assert_eq!(answered(&mut hub).await, frames(&["", &text]));
    }
    assert_eq!(worker.outbound.counts().sent, 3);
    assert!(worker.shutdown(LINGER).await);
    assert!(hub.shutdown(LINGER).await);
}

#[tokio::test]
async fn a_round_trip_over_tcp() {
    round_trip(ANY, ANY).await;
}

#[tokio::test]
async fn a_round_trip_over_ipc() {
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
async fn an_address_that_is_taken_is_an_error() {
    let taken = hub();
    let error = bind_push_dealer(&endpoint(ANY), &taken.responses, &LinkConfig::default()).unwrap_err();
    assert!(matches!(error, TransportError::InUse(_)), "{error}");
}

#[tokio::test]
async fn a_worker_may_start_before_its_hub() {
    let folder = tempfile::tempdir().unwrap();
    let [requests, responses] =
        ["requests", "responses"].map(|name| endpoint(&format!("ipc://{}/{name}", folder.path().display())));
    let mut worker =
        connect_pull_router(requests.clone(), responses.clone(), &LinkConfig::default()).unwrap();
    let mut hub = bind(&requests, &responses);
    ask(&hub, "early").await;
    assert_eq!(pulled(&mut worker).await, frames(&["early"]));
    answer(&hub, &worker, "back").await;
    assert_eq!(answered(&mut hub).await, frames(&["", "back"]));
}

#[tokio::test]
async fn requests_wait_for_a_service_that_can_answer() {
    let hub = hub();
    let mut service = Foreign::pulling(&hub).await;
    let early = Instant::now() + Duration::from_millis(50);
    assert_eq!(
        hub.outbound.reserve_by(early).await.unwrap_err(),
        SendError::Deadline
    );

    service.router = Some(router(&hub).await);
    ask(&hub, "now").await;
    assert_eq!(service.request().await, frames(&["now"]));
}

#[tokio::test]
async fn only_the_newest_service_waits_for_its_second_connection() {
    let hub = hub();
    let whole = Foreign::whole(&hub).await;
    let first = ask(&hub, "a").await;
    let _half = Foreign::pulling(&hub).await;
    for _ in 0..10 {
        assert_eq!(ask(&hub, "b").await, first);
    }
    drop(whole);
}

#[tokio::test]
async fn services_take_turns() {
    let hub = hub();
    let (read, mut reading) = tokio::sync::mpsc::channel(1);
    for _ in 0..2 {
        let (mut service, read) = (Foreign::whole(&hub).await, read.clone());
        tokio::spawn(async move {
            loop {
                let request = service.request().await;
                read.send(request).await.unwrap();
            }
        });
    }
    let mut asked = Vec::new();
    while asked.len() < 2 || asked[asked.len() - 2] == asked[asked.len() - 1] {
        asked.push(ask(&hub, "until both are there").await);
        soon("a request", reading.recv()).await.unwrap();
    }
    let turns = [ask(&hub, "1").await, ask(&hub, "2").await, ask(&hub, "3").await];
    assert_eq!(turns[0], turns[2]);
    assert_ne!(turns[0], turns[1]);
}

#[tokio::test]
async fn a_service_that_disconnects_is_reported_and_gets_nothing_more() {
    let mut hub = hub();
    let first = Foreign::whole(&hub).await;
    let gone = ask(&hub, "lost").await;
    let _second = Foreign::whole(&hub).await;
    drop(first);
    assert_eq!(lost(&mut hub).await, gone);
    assert_ne!(ask(&hub, "kept").await, gone);
}

#[tokio::test]
async fn a_request_to_a_service_that_just_disconnected_is_not_sent() {
    let mut hub = hub();
    let service = Foreign::whole(&hub).await;
    let place = hub.outbound.reserve_by(in_20_s()).await.unwrap();
    drop(service);
    assert_eq!(lost(&mut hub).await, place.generation());
    assert_eq!(place.send(Bytes::from("late")), Err(SendError::LinkDown));
}

/// A service that does not read fills its own queue, and no other's.
#[tokio::test]
async fn a_stalled_service_does_not_block_the_others() {
    let hub = hub();
    let stalled = Foreign::whole(&hub).await;
    let stalled_is = ask(&hub, "first").await;
    let mut reading = Foreign::whole(&hub).await;
    let taking = tokio::spawn(async move {
        for _ in 0..200 {
            reading.request().await;
        }
        reading
    });
    let large = Bytes::from(vec![7; 1 << 20]);
    let mut given = 0;
    while given < 200 {
        given += usize::from(ask(&hub, large.clone()).await != stalled_is);
    }
    drop(soon("all of it", taking).await.unwrap());
    drop(stalled);
}

/// Far more requests at once than there is space for, all of them waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_many_waiting_requests_are_sent() {
    let hub = hub();
    let asking: Vec<_> = (0..2000)
        .map(|n| {
            let outbound = hub.outbound.clone();
            tokio::spawn(async move {
                let place = outbound.reserve_by(in_20_s()).await.unwrap();
                place.send(Bytes::from(n.to_string())).unwrap();
            })
        })
        .collect();
    let mut service = Foreign::whole(&hub).await;
    let mut came: Vec<u32> = Vec::new();
    for _ in 0..2000 {
        let request = service.request().await;
        came.push(std::str::from_utf8(&request[0]).unwrap().parse().unwrap());
    }
    came.sort_unstable();
    assert!(came.into_iter().eq(0..2000));
    for asked in asking {
        soon("a place", asked).await.unwrap();
    }
}

#[tokio::test]
async fn a_response_waits_until_its_client_connects_again() {
    let folder = tempfile::tempdir().unwrap();
    let [requests, responses] =
        ["requests", "responses"].map(|name| endpoint(&format!("ipc://{}/{name}", folder.path().display())));
    let mut hub = bind(&requests, &responses);
    let (mut worker, mut state) =
        pull_router::open(requests.clone(), responses.clone(), &LinkConfig::default()).unwrap();
    ask(&hub, "before").await;
    pulled(&mut worker).await;

    // A client of another identity takes its place: what was for the first one must not reach it.
    let first = hub.identity.clone();
    assert!(hub.shutdown(LINGER).await);
    soon(
        "the loss",
        state.wait_for(|state| *state == LinkState::Connecting),
    )
    .await
    .unwrap();
    let stale = RoutingId::new(first);
    worker.outbound.send(stale, frames(&["", "stale"])).await.unwrap();
    hub = bind(&requests, &responses);
    answer(&hub, &worker, "for the second").await;
    assert_eq!(answered(&mut hub).await, frames(&["", "for the second"]));
    assert_eq!(worker.outbound.counts().dropped, 1);
}

#[tokio::test]
async fn strangers_are_refused() {
    let mut hub = hub();
    let worker = worker(&hub);
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..],
        &[0xff; 100],
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL",
    ] {
        for at in [&hub.requests, &hub.responses] {
            let Endpoint::Tcp { port, .. } = at else { panic!() };
            let mut stranger = std::net::TcpStream::connect(("127.0.0.1", *port)).unwrap();
            stranger.write_all(bytes).unwrap();
        }
    }
    // A socket of another type is refused, too.
    let mut dealer = zeromq::DealerSocket::new();
    let _ = dealer.connect(&hub.requests.to_string()).await;
    answer(&hub, &worker, "still there").await;
    assert_eq!(answered(&mut hub).await, frames(&["", "still there"]));
}

/// The announced size must not be allocated.
#[tokio::test]
async fn an_oversized_frame_closes_only_its_own_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut hub = hub();
    let worker = worker(&hub);
    let Endpoint::Tcp { port, .. } = hub.responses else {
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
    answer(&hub, &worker, "still there").await;
    assert_eq!(answered(&mut hub).await, frames(&["", "still there"]));
}

#[tokio::test]
async fn shutdown_sends_what_was_accepted() {
    let hub = hub();
    let mut service = Foreign::whole(&hub).await;
    for n in 0..QUEUED {
        ask(&hub, n.to_string()).await;
    }
    let reading = tokio::spawn(async move {
        for n in 0..QUEUED {
            assert_eq!(service.request().await, frames(&[&n.to_string()]));
        }
    });
    let outbound = hub.outbound.clone();
    assert!(hub.shutdown(Duration::from_secs(20)).await);
    soon("all of them", reading).await.unwrap();
    assert_eq!(
        outbound.reserve_by(in_20_s()).await.unwrap_err(),
        SendError::Closed
    );
}

const QUEUED: usize = 50;

//! A socket whose frames a test takes, and the promises of broadcasts to such sockets.

use super::*;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Barrier};
use std::time::Duration;
use tokio::time::Instant;

/// A socket whose frames wait until [`take`](TestTransport::take).
pub(super) struct TestTransport(Arc<SendQueue>);

impl TestTransport {
    pub(super) fn new() -> TestTransport {
        TestTransport(Arc::new(SendQueue::new(BroadcastEncoding::NulTerminated)))
    }

    fn sender(&self) -> SocketSender {
        SocketSender(Arc::new(TestTransport(self.0.clone())))
    }

    /// Takes up to `count` messages.
    fn take(&self, count: usize) -> Vec<String> {
        let mut messages = Vec::new();
        if count > 0 {
            self.0.take(|outgoing| {
                let text = match outgoing {
                    Outgoing::Frame(bytes) | Outgoing::Broadcast(bytes) => {
                        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
                    }
                    other => format!("{other:?}"),
                };
                messages.push(text);
                messages.len() < count
            });
        }
        messages
    }

    fn take_all(&self) -> Vec<String> {
        self.take(usize::MAX)
    }
}

impl SocketTransport for TestTransport {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move { self.0.send(Bytes::copy_from_slice(message.as_bytes())).await })
    }

    fn close(&self, close: Close) {
        self.0.close(close);
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.disconnected())
    }

    fn broadcast_route(&self) -> BroadcastRoute {
        BroadcastRoute {
            id: self.0.id(),
            encoding: self.0.encoding(),
            reading: self.0.reading().clone(),
            target: BroadcastTarget::SendQueue(self.0.clone()),
        }
    }
}

/// A number, followed by this many bytes.
fn padded(number: usize, bytes: usize) -> String {
    format!("{number} {}", "x".repeat(bytes))
}

#[tokio::test]
async fn connection_that_joins_again_receives_each_message_once() {
    let (room, socket) = (Broadcast::new(), TestTransport::new());
    let first = room.join_sender(&socket.sender());
    let second = room.join_sender(&socket.sender());
    room.until_closed(&socket.sender());
    room.until_closed(&socket.sender());
    assert_eq!((room.len(), room.send("a").await), (1, 1));
    assert_eq!(socket.take_all(), ["a"]);
    drop(first);
    assert_eq!(room.send("b").await, 1);
    drop(second);
    assert_eq!(room.send("c").await, 1);
    assert_eq!(socket.take_all(), ["b", "c"]);
    socket.0.disconnect();
    while !room.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(room.send("d").await, 0);
    assert_eq!(socket.take_all(), [""; 0]);
}

#[tokio::test]
async fn member_gets_the_messages_between_joining_and_leaving() {
    let (room, socket, other) = (Broadcast::new(), TestTransport::new(), TestTransport::new());
    let _other = room.join_sender(&other.sender());
    for round in 0..3 {
        room.send("before").await;
        let subscription = room.join_sender(&socket.sender());
        room.send(format!("{round}a")).await;
        room.send(format!("{round}b")).await;
        drop(subscription);
        room.send("after").await;
    }
    // The messages of one membership still arrive in the next one.
    assert_eq!(socket.take_all(), ["0a", "0b", "1a", "1b", "2a", "2b"]);
    assert_eq!(other.take_all().len(), 12);
}

#[tokio::test]
async fn broadcasts_keep_their_place_among_the_messages_of_the_handler() {
    let (rooms, socket) = ([Broadcast::new(), Broadcast::new()], TestTransport::new());
    let _subscriptions = rooms.each_ref().map(|room| room.join_sender(&socket.sender()));
    for round in 0..3 {
        rooms[0].send(format!("{round}a")).await;
        rooms[1].send(format!("{round}b")).await;
        socket.sender().send(format!("{round}c")).await.unwrap();
        rooms[1].send(format!("{round}d")).await;
    }
    socket.sender().close(Close::new(4000, "bye"));
    rooms[0].send("late").await;
    assert!(socket.sender().send("late").now_or_never().unwrap().is_err());
    let received = socket.take_all();
    let expected = (0..3).flat_map(|round| ["a", "b", "c", "d"].map(|name| format!("{round}{name}")));
    let close = format!("{:?}", Outgoing::Close(Close::new(4000, "bye")));
    assert_eq!(received, expected.chain([close]).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_members_see_one_order_whatever_joins_and_leaves() {
    for _ in 0..1000 {
        let room = Broadcast::new();
        let observer = TestTransport::new();
        let _observer = room.join_sender(&observer.sender());
        let (start, sockets) = (
            Arc::new(Barrier::new(10)),
            Vec::from_iter((0..4).map(|_| TestTransport::new())),
        );
        let senders = Vec::from_iter((0..8).map(|sender| {
            let (room, start) = (room.clone(), start.clone());
            tokio::spawn(async move {
                tokio::task::block_in_place(|| start.wait());
                for n in 0..8 {
                    room.send(format!("{sender}:{n}")).await;
                }
            })
        }));
        let members = Vec::from_iter(sockets.iter().map(TestTransport::sender));
        let joining = {
            let (room, start) = (room.clone(), start.clone());
            tokio::spawn(async move {
                tokio::task::block_in_place(|| start.wait());
                for _ in 0..4 {
                    for member in &members {
                        let _subscription = room.join_sender(member);
                        tokio::task::yield_now().await;
                    }
                }
            })
        };
        tokio::task::block_in_place(|| start.wait());
        for task in senders.into_iter().chain([joining]) {
            task.await.unwrap();
        }
        room.send("end").await;
        let order = observer.take_all();
        assert_eq!(order.len(), 65);
        let position = |message: &String| order.iter().position(|other| other == message).unwrap();
        for socket in &sockets {
            let seen = Vec::from_iter(socket.take_all().iter().map(position));
            assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?} {order:?}");
            // All members have left.
            assert!(!seen.contains(&64));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn burst_waits_for_members_that_read() {
    let (room, sockets) = (
        Broadcast::new(),
        Vec::from_iter((0..3).map(|_| TestTransport::new())),
    );
    let _subscriptions = Vec::from_iter(sockets.iter().map(|socket| room.join_sender(&socket.sender())));
    let total = 500;
    let sending = tokio::spawn({
        let room = room.clone();
        async move {
            for n in 0..total {
                room.send(padded(n, 100_000)).await;
            }
        }
    });
    let mut received = [0; 3];
    let mut most = 0;
    while received.iter().any(|count| *count < total) {
        for (socket, count) in sockets.iter().zip(&mut received) {
            for message in socket.take(5) {
                assert!(message.starts_with(&format!("{count} ")), "{count}");
                *count += 1;
            }
        }
        let waiting = sockets.iter().map(|socket| socket.0.waiting_broadcasts()).max();
        most = most.max(waiting.unwrap_or(0));
        tokio::task::yield_now().await;
    }
    sending.await.unwrap();
    assert!((20..100).contains(&most), "{most} messages of 100 KB waited");
}

#[tokio::test(start_paused = true)]
async fn member_that_reads_nothing_does_not_delay_the_others_and_is_cut_off() {
    let (room, reader, silent) = (Broadcast::new(), TestTransport::new(), TestTransport::new());
    let _subscriptions = [&reader, &silent].map(|socket| room.join_sender(&socket.sender()));
    silent.0.reading().block();
    let start = Instant::now();
    let mut received = 0;
    for n in 0..1000 {
        room.send(padded(n, 100_000)).await;
        received += reader.take_all().len();
    }
    assert_eq!(received, 1000);
    assert!(
        start.elapsed() < Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(silent.take(1), [format!("{:?}", Outgoing::CutOff)]);
    // What waits for it, and what it keeps in memory, has a limit.
    let waiting = silent.0.waiting_broadcasts();
    assert!(
        (600..=680).contains(&waiting),
        "{waiting} messages of 100 KB wait"
    );
    assert_eq!(room.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn front_end_that_takes_nothing_delays_a_burst_for_a_second_at_most() {
    let (room, reader, stuck) = (Broadcast::new(), TestTransport::new(), TestTransport::new());
    let _subscriptions = [&reader, &stuck].map(|socket| room.join_sender(&socket.sender()));
    let start = Instant::now();
    for n in 0..1000 {
        room.send(padded(n, 100_000)).await;
        assert_eq!(reader.take_all().len(), 1);
    }
    let elapsed = start.elapsed();
    assert!(
        elapsed >= Duration::from_secs(1) && elapsed < Duration::from_secs(2),
        "{elapsed:?}"
    );
    assert_eq!(stuck.take(1), [format!("{:?}", Outgoing::CutOff)]);
}

#[tokio::test(start_paused = true)]
async fn large_messages_reach_a_member_that_reads_slowly() {
    let (room, slow, silent) = (Broadcast::new(), TestTransport::new(), TestTransport::new());
    let _subscriptions = [&slow, &silent].map(|socket| room.join_sender(&socket.sender()));
    silent.0.reading().block();
    let reading = async {
        let mut received = 0;
        while received < 12 {
            // It reads a message of 20 MB in parts, and is seen to pause for 300 ms between them.
            for _ in 0..10 {
                slow.0.reading().block();
                tokio::time::sleep(Duration::from_millis(300)).await;
                slow.0.reading().accept();
            }
            let messages = slow.take(1);
            assert!(
                messages
                    .iter()
                    .all(|message| message.starts_with(&format!("{received} ")))
            );
            received += messages.len();
        }
    };
    let sending = async {
        for n in 0..12 {
            room.send(padded(n, 20_000_000)).await;
            if n == 3 {
                // Until its pauses are known, no more than 64 MiB may wait.
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        }
    };
    tokio::join!(reading, sending);
    assert_eq!(silent.take(1), [format!("{:?}", Outgoing::CutOff)]);
}

#[tokio::test(start_paused = true)]
async fn member_that_left_keeps_no_more_than_its_own_messages() {
    let (room, reader, leaver) = (Broadcast::new(), TestTransport::new(), TestTransport::new());
    let _reader = room.join_sender(&reader.sender());
    let subscription = room.join_sender(&leaver.sender());
    room.send("its last").await;
    drop(subscription);
    leaver.0.reading().block();
    tokio::time::sleep(Duration::from_millis(60)).await;
    for n in 0..1000 {
        room.send(padded(n, 100_000)).await;
        reader.take_all();
    }
    // It has read nothing while more than 64 MiB were kept because of it.
    assert_eq!(leaver.take(1), [format!("{:?}", Outgoing::CutOff)]);
}

#[tokio::test]
async fn send_outside_of_a_runtime_does_not_wait() {
    let (room, socket) = (Broadcast::new(), TestTransport::new());
    let _subscription = room.join_sender(&socket.sender());
    let sent = std::thread::spawn(move || {
        (0..100)
            .map(|n| room.send(padded(n, 100_000)).now_or_never().unwrap())
            .sum::<usize>()
    });
    assert_eq!(sent.join().unwrap(), 100);
    assert_eq!(socket.take_all().len(), 100);
}

//! Connections stay alive whatever handlers and callers do with their threads.
//!
//! `BRUBECK_BLOCK_SECONDS` sets how long a thread is blocked. The default exceeds the three heartbeats after which a peer counts as
//! dead.

mod proxy;
mod worker;

use crate::support::{env_number, with_timeout};
use brubeck::ServiceAddress;
use brubeck::prelude::*;
use futures_util::future::join_all;
use proxy::{RecordingProxy, longest_gap};
use std::future::IntoFuture;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};
use worker::{WorkerThread, runtime};

const SECRET: &str = "my_shared_secret";

/// Twice the heartbeat interval of a caller, the longest allowed time between two heartbeats.
const MAX_GAP: Duration = Duration::from_secs(2);

/// The time for which threads are blocked.
fn block_time() -> Duration {
    Duration::from_secs_f64(env_number("BRUBECK_BLOCK_SECONDS", 3.5))
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().expect("a short time")
}

/// Wakes a thread.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Awaits `future` on this thread, which has no timers.
fn block_on_without_runtime<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(ThreadWaker(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// Connects to `address`, and completes a call so that the session is open.
async fn connect(address: &str) -> Client {
    let client = Client::connect(&ServiceAddress::new(address, SECRET)).expect("a valid address");
    with_timeout(client.request("/naps").argument("ms", 0).into_future())
        .await
        .expect("a response");
    client
}

/// Blocks all threads of a worker with `threads` threads, and checks the heartbeats and the responses.
async fn blocks_every_thread(threads: usize) {
    let worker = WorkerThread::start(threads);
    let proxy = RecordingProxy::start(&worker.address);
    let client = connect(&proxy.address).await;
    let time = block_time();
    let start = Instant::now();
    let blocking = (0..threads.max(1)).map(|_| {
        let call = client.request("/blocks").argument("ms", millis(time));
        call.timeout(time * 2).into_future()
    });
    let responses = join_all(blocking).await;
    let end = Instant::now();
    for response in responses {
        assert_eq!(response.expect("a response").body, millis(time));
    }
    assert!(end - start < time + MAX_GAP, "the calls took {:?}", end - start);
    // The connection is usable, and it is the same one.
    client
        .request("/naps")
        .argument("ms", 0)
        .await
        .expect("a response");
    let traffic = proxy.traffic();
    assert_eq!(traffic.connections, 1, "the caller has reconnected");
    let gap = longest_gap(&traffic.from_worker, start, end);
    println!("{threads} threads blocked for {time:?}: longest time without a heartbeat {gap:?}");
    assert!(gap <= MAX_GAP, "the worker sent nothing for {gap:?}");
    assert_eq!(worker.runs(), threads.max(1) + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_current_thread_runtime_sends_heartbeats_and_responds() {
    blocks_every_thread(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_worker_threads_send_heartbeats_and_respond() {
    blocks_every_thread(1).await;
    blocks_every_thread(2).await;
}

/// Blocks one of `threads` threads of a worker, and makes other calls every 100 ms.
async fn blocks_one_thread(threads: usize) {
    let worker = WorkerThread::start(threads);
    let client = connect(&worker.address).await;
    let (time, timeout) = (block_time(), block_time() * 3);
    let start = Instant::now();
    let call = client.request("/blocks").argument("ms", millis(time));
    let blocked = tokio::spawn(call.timeout(timeout).into_future());
    while worker.runs() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut beside = Vec::new();
    while !blocked.is_finished() {
        let call = client.request("/naps").argument("ms", 1).timeout(timeout);
        beside.push(tokio::spawn(async move {
            let began = Instant::now();
            call.await.map(|_| began.elapsed())
        }));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let response = blocked.await.expect("a call").expect("a response");
    let took = start.elapsed();
    assert_eq!(response.body, millis(time));
    let mut times = Vec::new();
    for call in beside {
        times.push(call.await.expect("a call").expect("a response"));
    }
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "| {threads} | {time:?} | answered after {took:.2?} | {} of {} answered, median {median:.1?}, slowest {slowest:.1?} |",
        times.len(),
        times.len()
    );
    if threads >= 2 {
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beside_a_blocking_handler_are_answered_by_free_threads() {
    tokio::join!(
        blocks_one_thread(0),
        blocks_one_thread(1),
        blocks_one_thread(2),
        blocks_one_thread(8)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_that_was_fast_and_blocks_delays_no_other_call() {
    let worker = WorkerThread::start(2);
    let proxy = RecordingProxy::start(&worker.address);
    let client = connect(&proxy.address).await;
    // Fast enough to be polled on the task of the connection.
    for _ in 0..1000 {
        client
            .request("/blocks")
            .argument("ms", 0)
            .await
            .expect("a response");
    }
    let time = block_time();
    let start = Instant::now();
    let call = client.request("/blocks").argument("ms", millis(time));
    let blocked = tokio::spawn(call.timeout(time * 2).into_future());
    while worker.runs() < 1002 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let beside = client
        .request("/naps")
        .argument("ms", 1)
        .await
        .expect("a response");
    let took = began.elapsed();
    assert_eq!(beside.body, 1);
    println!("call behind a handler that blocks on the task of the connection: {took:?}");
    assert!(
        took < Duration::from_secs(1) && !blocked.is_finished(),
        "{took:?}"
    );
    assert_eq!(
        blocked.await.expect("a call").expect("a response").body,
        millis(time)
    );
    let traffic = proxy.traffic();
    assert_eq!(traffic.connections, 1, "the caller has reconnected");
    assert!(longest_gap(&traffic.from_worker, start, Instant::now()) <= MAX_GAP);
}

#[test]
fn blocked_caller_sends_heartbeats_and_its_calls_end_at_their_timeout() {
    for threads in [0, 1] {
        let worker = WorkerThread::start(2);
        let proxy = RecordingProxy::start(&worker.address);
        let time = block_time();
        let caller = runtime(threads);
        let block = async {
            let client = connect(&proxy.address).await;
            let waiting = |ms: u64, timeout: u64| {
                let call = client.request("/naps").argument("ms", ms);
                call.timeout(Duration::from_millis(timeout)).into_future()
            };
            // Started here, and awaited by a thread that does not belong to the runtime.
            let (expiring, long) = (waiting(60_000, 1000), waiting(millis(time) + 500, 60_000));
            let began = Instant::now();
            let awaited = std::thread::spawn(move || {
                let result = block_on_without_runtime(expiring);
                (result, began.elapsed())
            });
            while worker.runs() < 3 {
                tokio::task::yield_now().await;
            }
            let start = Instant::now();
            if threads > 0 {
                tokio::spawn(async move { std::thread::sleep(time) });
            }
            std::thread::sleep(time);
            let end = Instant::now();
            let (result, took) = awaited.join().expect("a call");
            assert!(matches!(result, Err(CallError::Deadline { .. })), "{result:?}");
            assert!(took < Duration::from_millis(1500), "ended after {took:?}");
            assert_eq!(long.await.expect("a response").body, millis(time) + 500);
            (start, end)
        };
        let (start, end) = caller.block_on(block);
        let traffic = proxy.traffic();
        assert_eq!(traffic.connections, 1, "the caller has reconnected");
        let gap = longest_gap(&traffic.from_caller, start, end);
        println!(
            "caller with {threads} threads blocked for {time:?}: longest time without a heartbeat {gap:?}"
        );
        assert!(gap <= MAX_GAP, "the caller sent nothing for {gap:?}");
        // Not run again because the caller was late.
        assert_eq!(worker.runs(), 3);
    }
}

#[test]
fn caller_whose_runtime_is_not_driven_stays_connected() {
    let worker = WorkerThread::start(2);
    let proxy = RecordingProxy::start(&worker.address);
    let caller = runtime(0);
    let client = caller.block_on(connect(&proxy.address));
    let start = Instant::now();
    std::thread::sleep(block_time());
    let end = Instant::now();
    let call = client.request("/naps").argument("ms", 1);
    let response = caller.block_on(async { call.await });
    assert_eq!(response.expect("a response").body, 1);
    let traffic = proxy.traffic();
    assert_eq!(traffic.connections, 1, "the caller has reconnected");
    let gap = longest_gap(&traffic.from_caller, start, end);
    assert!(gap <= MAX_GAP, "the caller sent nothing for {gap:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burst_of_large_calls_is_answered() {
    const CALLS: usize = 250;
    let picture = "x".repeat(90_000);
    for threads in [0, 2] {
        let worker = WorkerThread::start(threads);
        let client = connect(&worker.address).await;
        let calls = (0..CALLS).map(|_| {
            let call = client
                .request("/computes")
                .argument("ms", 20)
                .argument("picture", &picture);
            call.timeout(Duration::from_secs(60)).into_future()
        });
        let start = Instant::now();
        let responses = join_all(calls).await;
        let took = start.elapsed();
        let failed = responses.iter().filter(|response| response.is_err()).count();
        println!("{CALLS} large calls to {threads} threads: {failed} failed, {took:?}");
        assert_eq!(
            failed,
            0,
            "{:?}",
            responses.iter().find(|response| response.is_err())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idempotent_call_of_a_blocking_handler_runs_once() {
    let workers = [WorkerThread::start(2), WorkerThread::start(2)];
    let address = ServiceAddress::new(&workers[0].address, SECRET).and(&workers[1].address);
    let client = Client::connect(&address).expect("valid addresses");
    let time = block_time();
    let call = client
        .request("/blocks")
        .argument("ms", millis(time))
        .idempotent();
    let response = call.timeout(time * 3).await.expect("a response");
    assert_eq!(response.body, millis(time));
    assert_eq!(workers.iter().map(WorkerThread::runs).sum::<usize>(), 1);
}

//! Tests with runtimes whose threads are blocked.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::{DeferredWork, WatchedStream, WorkPlace, after_poll, run_deferred_work, sleep, spawn};

/// The time for which a test waits.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Creates a runtime with `threads` worker threads, or with one thread that drives it if `threads` is 0.
fn runtime(threads: usize) -> Runtime {
    let mut builder = match threads {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().unwrap()
}

/// Blocks the threads of a runtime until `released` receives. The runtime is driven by this thread if it has no other.
fn block(runtime: &Runtime, threads: usize, released: &Receiver<()>) {
    if threads == 0 {
        return runtime.block_on(async { released.recv_timeout(TIMEOUT).unwrap() });
    }
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..threads).map(|_| channel::<()>()).unzip();
    let barrier = Arc::new(std::sync::Barrier::new(threads + 1));
    for receiver in receivers {
        let barrier = barrier.clone();
        runtime.spawn(async move {
            barrier.wait();
            let _ = receiver.recv_timeout(TIMEOUT);
        });
    }
    barrier.wait();
    released.recv_timeout(TIMEOUT).unwrap();
    drop(senders);
}

#[test]
fn socket_and_timer_work_while_all_threads_are_blocked() {
    for threads in [0, 1, 2] {
        let runtime = runtime(threads);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (release, released) = channel();
        {
            let _context = runtime.enter();
            let mut stream = WatchedStream::new(UnixStream::from_std(ours).unwrap());
            spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let mut byte = [0];
                while reader.read_exact(&mut byte).await.is_ok() {
                    sleep(Duration::from_millis(1)).await;
                    writer.write_all(&byte).await.unwrap();
                }
            });
        }
        let peer = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let mut stream = theirs;
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            let mut echo = move |count: u8| {
                for sent in 0..count {
                    stream.write_all(&[sent]).unwrap();
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    assert_eq!(byte, [sent]);
                }
            };
            // The threads are blocked until these are answered.
            echo(20);
            release.send(()).unwrap();
            echo
        });
        block(&runtime, threads, &released);
        // The runtime serves the socket again.
        let mut echo = peer.join().unwrap();
        let after = std::thread::spawn(move || echo(20));
        runtime.block_on(async {
            while !after.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        after.join().unwrap();
    }
}

/// Reports where it runs, and blocks the thread of its task until it is released.
struct BlockingWork {
    places: std::sync::mpsc::Sender<WorkPlace>,
    released: Mutex<Receiver<()>>,
}

impl DeferredWork for BlockingWork {
    fn run(self: Arc<Self>, place: WorkPlace) {
        self.places.send(place).unwrap();
        if place == WorkPlace::Task {
            self.released.lock().unwrap().recv_timeout(TIMEOUT).unwrap();
        }
    }
}

#[test]
fn task_whose_work_blocks_is_polled_by_the_watchdog() {
    let runtime = runtime(2);
    let (places, ran) = channel();
    let (release, released) = channel();
    let (polled, was_polled) = channel();
    let work = Arc::new(BlockingWork {
        places,
        released: Mutex::new(released),
    });
    assert!(!after_poll(&work), "there is no task");
    {
        let _context = runtime.enter();
        spawn(async move {
            assert!(after_poll(&work));
            run_deferred_work().await;
            polled.send(()).unwrap();
        });
    }
    assert_eq!(ran.recv_timeout(TIMEOUT), Ok(WorkPlace::Task));
    was_polled
        .recv_timeout(TIMEOUT)
        .expect("the task continues although its work blocks");
    assert_eq!(ran.recv_timeout(TIMEOUT), Ok(WorkPlace::Watchdog));
    release.send(()).unwrap();
}

#[test]
fn future_is_dropped_with_its_runtime_or_when_aborted() {
    struct Dropped(std::sync::mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (report, dropped) = channel();
    let runtime = runtime(0);
    let start = |report| {
        let guard = Dropped(report);
        let _context = runtime.enter();
        spawn(async move {
            let _guard = guard;
            std::future::pending().await
        })
    };
    let first = start(report.clone());
    let _second = start(report);
    first.abort();
    runtime.block_on(async { assert!(first.await.unwrap_err().is_cancelled()) });
    dropped.recv_timeout(TIMEOUT).unwrap();
    drop(runtime);
    dropped.recv_timeout(TIMEOUT).unwrap();
}

#[test]
fn panic_ends_only_its_task() {
    let runtime = runtime(1);
    let _context = runtime.enter();
    let panicking = spawn(async { panic!("expected by this test") });
    let other = spawn(async { sleep(Duration::from_millis(1)).await });
    runtime.block_on(async {
        assert!(panicking.await.unwrap_err().is_panic());
        other.await.unwrap();
    });
}

#[test]
fn spawning_does_not_wait_for_the_watchdog() {
    let runtime = runtime(1);
    let _context = runtime.enter();
    let began = std::time::Instant::now();
    for _ in 0..400 {
        spawn(async {});
        std::thread::yield_now();
    }
    // Each one would wait for a check, which comes every 50 ms.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

//! Workers whose handlers block their threads.

use super::SECRET;
use crate::support::served_app::{socket_address, socket_folder};
use brubeck::prelude::*;
use brubeck::{Deadline, Service};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Creates a runtime with `threads` worker threads, or with one thread that drives it if `threads` is 0.
pub fn runtime(threads: usize) -> Runtime {
    let mut builder = match threads {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().expect("a runtime")
}

#[derive(Clone, AppState)]
pub struct ServiceState {
    runs: Arc<AtomicUsize>,
}

/// Blocks its thread.
#[service_handler("^/blocks$")]
async fn blocks(ms: Arg<u64>, runs: State<Arc<AtomicUsize>>) -> Json<u64> {
    runs.fetch_add(1, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(ms.0));
    Json(ms.0)
}

/// Waits without blocking.
#[service_handler("^/naps$")]
async fn naps(ms: Arg<u64>, runs: State<Arc<AtomicUsize>>, _deadline: Deadline) -> Json<u64> {
    runs.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(ms.0)).await;
    Json(ms.0)
}

/// Computes for `ms` on the bytes of a picture.
#[service_handler("^/computes$")]
async fn computes(ms: Arg<u64>, picture: Arg<String>) -> Json<usize> {
    let end = Instant::now() + Duration::from_millis(ms.0);
    let mut last = 0;
    while Instant::now() < end {
        last = std::hint::black_box(picture.0.bytes().filter(|byte| *byte == b'x').count());
    }
    Json(last)
}

const ROUTES: Routes<ServiceState> = routes![blocks, naps, computes];

/// A worker on a thread and a runtime of its own. Dropping it stops it.
pub struct WorkerThread {
    pub address: String,
    runs: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl WorkerThread {
    /// Starts a worker, and waits until it listens.
    pub fn start(threads: usize) -> WorkerThread {
        let folder = socket_folder();
        let address = socket_address(&folder, "worker");
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let runs = Arc::<AtomicUsize>::default();
        let state = ServiceState { runs: runs.clone() };
        let service = Service::bind(&address, SECRET);
        let thread = std::thread::spawn(move || {
            runtime(threads).block_on(async {
                let running = App::new(ROUTES, state).start(service).await.expect("a free path");
                ready.send(()).expect("a test");
                let _ = stopped.await;
                drop(running);
            });
        });
        is_ready.recv().expect("a worker that listens");
        WorkerThread {
            address,
            runs,
            stop: Some(stop),
            thread: Some(thread),
            _folder: folder,
        }
    }

    /// Returns how many handlers were started.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! A proxy between a caller and a worker that records when each side sends.

use crate::support::served_app::{socket_address, socket_folder};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

/// The traffic that a [`RecordingProxy`] has seen.
#[derive(Default)]
pub struct Traffic {
    pub connections: usize,
    pub from_caller: Vec<Instant>,
    pub from_worker: Vec<Instant>,
}

/// A proxy on a Unix socket, with a thread and a runtime of its own.
pub struct RecordingProxy {
    /// The address for the caller.
    pub address: String,
    traffic: Arc<Mutex<Traffic>>,
    _folder: TempDir,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl RecordingProxy {
    /// Starts a proxy to the worker at `address`.
    pub fn start(address: &str) -> RecordingProxy {
        let folder = socket_folder();
        let traffic = Arc::<Mutex<Traffic>>::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_io()
            .build()
            .expect("a runtime");
        let listener = {
            let _context = runtime.enter();
            UnixListener::bind(folder.path().join("proxy")).expect("a free path")
        };
        let worker = address.trim_start_matches("ipc://").to_owned();
        let shared = traffic.clone();
        runtime.spawn(async move {
            loop {
                let (caller, _) = listener.accept().await.expect("a caller");
                let worker = UnixStream::connect(&worker).await.expect("a worker");
                shared.lock().unwrap().connections += 1;
                let (from_caller, to_caller) = caller.into_split();
                let (from_worker, to_worker) = worker.into_split();
                tokio::spawn(forward(from_caller, to_worker, shared.clone(), |traffic| {
                    &mut traffic.from_caller
                }));
                tokio::spawn(forward(from_worker, to_caller, shared.clone(), |traffic| {
                    &mut traffic.from_worker
                }));
            }
        });
        RecordingProxy {
            address: socket_address(&folder, "proxy"),
            traffic,
            _folder: folder,
            runtime: Some(runtime),
        }
    }

    pub fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap()
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    traffic: Arc<Mutex<Traffic>>,
    side: fn(&mut Traffic) -> &mut Vec<Instant>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut buffer).await
        && count > 0
    {
        side(&mut traffic.lock().unwrap()).push(Instant::now());
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Returns the longest time without bytes from `start` to `end`.
pub fn longest_gap(times: &[Instant], start: Instant, end: Instant) -> Duration {
    let within = times.iter().copied().filter(|time| start <= *time && *time < end);
    let mut last = start;
    let mut longest = Duration::ZERO;
    for time in within.chain([end]) {
        longest = longest.max(time - last);
        last = time;
    }
    longest
}

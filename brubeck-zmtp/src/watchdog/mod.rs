//! Tasks that make progress while the threads of their tokio runtime are blocked.
//!
//! # Why
//!
//! Code that blocks its thread keeps a runtime from polling other tasks: all of them on a runtime with one thread or with as many
//! blocked threads as it has, and otherwise the tasks in the local queue of that thread and, until another thread wakes up, every
//! socket. A connection whose task is not polled answers no heartbeat, so its peer considers the process dead.
//!
//! # How
//!
//! Connections stay in the runtime that opens them, which costs no switch between threads. One thread of the process, the
//! *watchdog*, checks all runtimes with watched tasks every 50 ms:
//!
//! * If a worker thread of a runtime is active, the watchdog spawns a task that does nothing, the *probe*. A task that is spawned from
//!   outside wakes a parked thread, which then polls the sockets. If a thread is free, this is all that is needed.
//! * If the probe has not run after 100 ms, no thread is free. The watchdog *takes over* all watched tasks of the runtime: it polls them
//!   every 10 ms, until the probe has run.
//! * A task that was woken but not polled, or that runs [`DeferredWork`], for two checks is taken over by itself.
//!
//! A task that is taken over cannot rely on the drivers of its runtime. Therefore a [`WatchedStream`] reads and writes its socket
//! directly while the watchdog polls it, and the timers of this module read the clock. Both leave the registrations with the
//! runtime as they are; the task is woken when it is handed back, and registers again.
//!
//! The future of a watched task is locked while it is polled, so it must not run code of users. It passes such work to
//! [`after_poll`]. The work runs on the thread of the task without the lock, and the watchdog can poll the task even if the work
//! never ends. Whoever polls the future owns its socket, and an encrypted session on it: only a process whose threads run can
//! send a heartbeat.

//!
//! ```
//! use brubeck_zmtp::watchdog;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (beat, beats) = std::sync::mpsc::channel();
//! watchdog::spawn(async move {
//!     while beat.send(()).is_ok() {
//!         watchdog::sleep(Duration::from_millis(20)).await;
//!     }
//! });
//! // Blocks the only thread of the runtime until the task has sent.
//! beats.recv().unwrap();
//! # }
//! ```

mod runtime;
mod stream;
mod task;
#[cfg(test)]
mod tests;
mod time;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

pub use self::stream::WatchedStream;
pub use self::task::{DeferredWork, WorkPlace, after_poll, spawn, spawn_in};
pub use self::time::{Elapsed, sleep, sleep_until, timeout, timeout_at};

pub(crate) use self::stream::poll_direct;
pub(crate) use self::task::{is_polled_directly, run_deferred_work};

use self::runtime::WatchedRuntime;
use self::task::TaskRef;

/// The interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The interval between two polls of the tasks that are taken over.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The tasks that were spawned since the last check of the watchdog.
struct SpawnedTasks {
    spawned: Mutex<Vec<(Handle, TaskRef)>>,
    not_empty: Condvar,
    /// `false` if the watchdog could not be started or has panicked. Then no tasks are added.
    is_running: AtomicBool,
}

impl SpawnedTasks {
    fn lock(&self) -> MutexGuard<'_, Vec<(Handle, TaskRef)>> {
        self.spawned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all tasks. Waits for at least one if `wait` is set.
    fn take(&self, wait: bool) -> Vec<(Handle, TaskRef)> {
        let mut spawned = self.lock();
        while wait && spawned.is_empty() {
            spawned = self
                .not_empty
                .wait(spawned)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut spawned)
    }
}

/// Passes a task of the current runtime to the watchdog, and starts the watchdog with the first one.
fn register(task: TaskRef) {
    static SPAWNED: OnceLock<SpawnedTasks> = OnceLock::new();
    let mut is_first = false;
    let tasks = SPAWNED.get_or_init(|| {
        is_first = true;
        SpawnedTasks {
            spawned: Mutex::default(),
            not_empty: Condvar::new(),
            is_running: AtomicBool::new(true),
        }
    });
    if !tasks.is_running.load(Ordering::Relaxed) {
        return;
    }
    tasks.lock().push((Handle::current(), task));
    tasks.not_empty.notify_one();
    if is_first {
        let thread = std::thread::Builder::new().name("brubeck-watchdog".to_owned());
        if let Err(error) = thread.spawn(|| run(tasks)) {
            tasks.is_running.store(false, Ordering::Relaxed);
            tracing::warn!(%error, "cannot start the watchdog thread; connections are not served while all threads are blocked");
        }
    }
}

/// The thread of the watchdog.
fn run(tasks: &SpawnedTasks) {
    struct StopOnPanic<'a>(&'a SpawnedTasks);
    impl Drop for StopOnPanic<'_> {
        fn drop(&mut self) {
            self.0.is_running.store(false, Ordering::Relaxed);
        }
    }
    let _stop = StopOnPanic(tasks);
    let mut runtimes: Vec<WatchedRuntime> = Vec::new();
    let mut next_check = Instant::now();
    loop {
        for (handle, task) in tasks.take(runtimes.is_empty()) {
            match runtimes.iter_mut().find(|runtime| runtime.id() == handle.id()) {
                Some(runtime) => runtime.add(task),
                None => runtimes.push(WatchedRuntime::new(handle, task)),
            }
        }
        let now = Instant::now();
        if now >= next_check {
            next_check = now + CHECK_INTERVAL;
            runtimes.retain_mut(|runtime| runtime.check(now));
        }
        let mut any_taken = false;
        for runtime in &runtimes {
            any_taken |= runtime.poll_taken();
        }
        let until_check = next_check.saturating_duration_since(Instant::now());
        std::thread::sleep(if any_taken {
            until_check.min(POLL_INTERVAL)
        } else {
            until_check
        });
    }
}

//! The one thread on which every ZeroMQ socket of the process lives.

use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// The thread's name, as debuggers show it.
const NAME: &str = "brubeck-io";

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// Starts the thread on first use.
///
/// Sockets get a thread of their own because their crate blocks whole worker threads when tasks that share a socket run
/// in parallel: on one thread with a `current_thread` runtime nothing can run in parallel, and handlers never wait for it.
fn handle() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let started = Builder::new_current_thread()
        .enable_all()
        .thread_name(NAME)
        .build()?;
    let handle = started.handle().clone();
    thread::Builder::new()
        .name(NAME.to_owned())
        .spawn(move || started.block_on(std::future::pending::<()>()))?;
    *runtime = Some(handle.clone());
    Ok(handle)
}

/// Runs a future on the I/O thread.
///
/// # Errors
/// The thread or its runtime could not be started: the process is out of threads or file descriptors.
pub(crate) fn spawn<F>(future: F) -> io::Result<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Ok(handle()?.spawn(future))
}

/// Runs a future on the I/O thread and waits for what it gives.
///
/// # Errors
/// As [`spawn`]; also when the future panicked.
pub(crate) async fn run<F>(future: F) -> io::Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn(future)?.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_future_runs_on_the_same_named_thread() {
        let here = || async {
            (
                thread::current().id(),
                thread::current().name().map(str::to_owned),
            )
        };
        let (first, name) = run(here()).await.unwrap();
        let (second, _) = run(here()).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(name.as_deref(), Some(NAME));
        assert_ne!(first, thread::current().id());
    }

    #[tokio::test]
    async fn a_panicking_future_leaves_the_thread_alive() {
        assert!(run(async { panic!("on purpose") }).await.is_err());
        assert_eq!(run(async { 1 }).await.unwrap(), 1);
    }
}

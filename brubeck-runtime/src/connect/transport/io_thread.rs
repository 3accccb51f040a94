//! Where ZeroMQ sockets live: on one thread of their own, or on the one thread that a runtime has.

use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// The thread's name, as debuggers show it.
const NAME: &str = "brubeck-io";

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// The runtime that sockets opened here live on.
///
/// Their crate blocks whole worker threads when tasks that share a socket run in parallel, so they need a `current_thread`
/// runtime, on which nothing can. Where they are opened from one, that one does, and no message changes threads; elsewhere
/// they get the I/O thread.
fn home() -> io::Result<Handle> {
    match Handle::try_current() {
        Ok(here) if here.runtime_flavor() == RuntimeFlavor::CurrentThread => Ok(here),
        _ => io_thread(),
    }
}

/// Starts the I/O thread on first use.
fn io_thread() -> io::Result<Handle> {
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

/// Opens something whose tasks live on the current runtime, or on the I/O thread if this is called outside of one.
pub(crate) fn with_runtime<T>(open: impl FnOnce() -> T) -> io::Result<T> {
    if Handle::try_current().is_ok() {
        return Ok(open());
    }
    let runtime = io_thread()?;
    let _entered = runtime.enter();
    Ok(open())
}

/// Runs a future that owns sockets.
///
/// # Errors
/// The I/O thread or its runtime could not be started: the process is out of threads or file descriptors.
pub(crate) fn spawn<F>(future: F) -> io::Result<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Ok(home()?.spawn(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn home_thread() -> (thread::ThreadId, Option<String>) {
        let here = async {
            (
                thread::current().id(),
                thread::current().name().map(str::to_owned),
            )
        };
        spawn(here).unwrap().await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_runtime_of_many_threads_gets_one_for_its_sockets() {
        let (thread, name) = home_thread().await;
        assert_eq!(name.as_deref(), Some(NAME));
        assert_eq!(home_thread().await.0, thread);
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_keeps_its_sockets() {
        assert_eq!(home_thread().await.0, thread::current().id());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panicking_future_leaves_the_thread_alive() {
        assert!(spawn(async { panic!("on purpose") }).unwrap().await.is_err());
        assert_eq!(spawn(async { 1 }).unwrap().await.unwrap(), 1);
    }
}

//! The I/O thread: runs sockets that the application's runtime cannot run.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::{io, thread};

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// The name of the thread.
const THREAD_NAME: &str = "brubeck-io";

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// Returns the runtime for sockets of the `zeromq` crate.
///
/// They block whole worker threads if tasks that share a socket run in parallel, so they need a `current_thread` runtime.
/// If the caller's runtime is one, it is used, and no message changes threads. Otherwise it is that of the I/O thread.
fn single_threaded_runtime() -> io::Result<Handle> {
    match Handle::try_current() {
        Ok(here) if here.runtime_flavor() == RuntimeFlavor::CurrentThread => Ok(here),
        _ => io_thread(),
    }
}

/// Returns the runtime of the I/O thread, which is started on first use.
fn io_thread() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let started = Builder::new_current_thread()
        .enable_all()
        .thread_name(THREAD_NAME)
        .build()?;
    let handle = started.handle().clone();
    thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .spawn(move || started.block_on(std::future::pending::<()>()))?;
    *runtime = Some(handle.clone());
    Ok(handle)
}

/// Runs `open` inside a runtime, for sockets that spawn their tasks: the current one, or that of the I/O thread if this is
/// called outside of a runtime.
pub(crate) fn with_runtime<T>(open: impl FnOnce() -> T) -> io::Result<T> {
    if Handle::try_current().is_ok() {
        return Ok(open());
    }
    let runtime = io_thread()?;
    let _entered = runtime.enter();
    Ok(open())
}

/// Runs a future that owns sockets of the `zeromq` crate.
///
/// # Errors
/// Returns an error if the I/O thread cannot be started: the process is out of threads or file descriptors.
pub(crate) fn spawn<F>(future: F) -> io::Result<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Ok(single_threaded_runtime()?.spawn(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn socket_thread() -> (thread::ThreadId, Option<String>) {
        let here = async {
            (
                thread::current().id(),
                thread::current().name().map(str::to_owned),
            )
        };
        spawn(here).unwrap().await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sockets_of_a_multi_thread_runtime_run_on_the_io_thread() {
        let (thread, name) = socket_thread().await;
        assert_eq!(name.as_deref(), Some(THREAD_NAME));
        assert_eq!(socket_thread().await.0, thread);
    }

    #[tokio::test]
    async fn sockets_of_a_current_thread_runtime_run_there() {
        assert_eq!(socket_thread().await.0, thread::current().id());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panicking_future_leaves_the_thread_alive() {
        assert!(spawn(async { panic!("on purpose") }).unwrap().await.is_err());
        assert_eq!(spawn(async { 1 }).unwrap().await.unwrap(), 1);
    }
}

//! The I/O thread, which runs the sockets of the `zeromq` crate if the current runtime has several threads, and sockets that are
//! opened outside of a runtime.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::{io, thread};

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

const THREAD_NAME: &str = "brubeck-io";

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// Returns the runtime for sockets of the `zeromq` crate.
///
/// These sockets block whole worker threads if tasks that share a socket run in parallel, so they need a `current_thread`
/// runtime. The current runtime is used if it has that flavor, which saves moving messages between threads. Otherwise, the
/// sockets run on the I/O thread.
fn single_threaded_runtime() -> io::Result<Handle> {
    match Handle::try_current() {
        Ok(current) if current.runtime_flavor() == RuntimeFlavor::CurrentThread => Ok(current),
        _ => io_thread(),
    }
}

/// Returns the runtime of the I/O thread. The first call starts the thread.
fn io_thread() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let new_runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name(THREAD_NAME)
        .build()?;
    let handle = new_runtime.handle().clone();
    thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .spawn(move || new_runtime.block_on(std::future::pending::<()>()))?;
    *runtime = Some(handle.clone());
    Ok(handle)
}

/// Calls `open` in the context of a runtime, because opening a socket spawns tasks.
///
/// Uses the current runtime, or the runtime of the I/O thread if there is no current one.
pub(crate) fn with_runtime<T>(open: impl FnOnce() -> T) -> io::Result<T> {
    if Handle::try_current().is_ok() {
        return Ok(open());
    }
    let runtime = io_thread()?;
    let _entered = runtime.enter();
    Ok(open())
}

/// Spawns a future that owns sockets of the `zeromq` crate.
///
/// # Errors
/// Returns an error if the I/O thread cannot be started, because the process has no threads or file descriptors left.
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
        let current = async {
            (
                thread::current().id(),
                thread::current().name().map(str::to_owned),
            )
        };
        spawn(current).unwrap().await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn multi_thread_runtime_uses_the_io_thread() {
        let (thread, name) = socket_thread().await;
        assert_eq!(name.as_deref(), Some(THREAD_NAME));
        assert_eq!(socket_thread().await.0, thread);
    }

    #[tokio::test]
    async fn current_thread_runtime_runs_sockets_itself() {
        assert_eq!(socket_thread().await.0, thread::current().id());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn io_thread_survives_a_panic() {
        assert!(spawn(async { panic!("on purpose") }).unwrap().await.is_err());
        assert_eq!(spawn(async { 1 }).unwrap().await.unwrap(), 1);
    }
}

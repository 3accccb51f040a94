//! How a handler of a service runs: on a thread where it may block, and how many of it at once.

use crate::reply::{IntoReply, Response};
use crate::status::Status;
use std::any::Any;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

tokio::task_local! {
    /// The slot that a handler has in its service: free when the last of these is gone, that of a thread included.
    pub(crate) static SLOT: Arc<dyn Any + Send + Sync>;
}

/// Runs a handler that blocks on a thread where it may.
///
/// A thread cannot be stopped: when nobody waits any more, [`Cancellation`](crate::Cancellation) tells the handler.
pub async fn blocking(run: impl FnOnce() -> Response + Send + 'static) -> Response {
    let slot = SLOT.try_with(Arc::clone).ok();
    let held = move || {
        let _slot = slot;
        run()
    };
    match tokio::task::spawn_blocking(held).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends, and what has not begun does not begin any more.
            Err(_) => Status::SERVICE_UNAVAILABLE.into_reply(),
        },
    }
}

/// The places of a handler that says how many of it run at once, in this process.
pub struct Places(Semaphore);

impl Places {
    /// So many places.
    pub const fn new(places: u32) -> Places {
        let most = Semaphore::MAX_PERMITS;
        let places = places as usize;
        Places(Semaphore::const_new(if places < most { places } else { most }))
    }

    /// Waits for one, in turn; how many wait is bounded by the connection, and how long by their deadlines.
    pub async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // They are never closed; without one nothing would be limited, and nothing would hang.
        self.0.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_taken_in_turn_and_given_back() {
        static PLACES: Places = Places::new(1);
        let first = PLACES.take().await;
        let mut second = std::pin::pin!(PLACES.take());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_panic_of_a_blocking_handler_is_one_of_its_caller() {
        let caught = tokio::spawn(blocking(|| panic!("no luck"))).await;
        assert!(caught.is_err_and(|error| error.is_panic()));
    }
}

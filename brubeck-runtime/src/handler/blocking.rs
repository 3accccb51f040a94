//! How a handler of a service runs: on a thread where it may block, and how many of it at once.

use crate::response::{IntoReply, Response};
use crate::status::Status;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The slot of a handler in its service, which hears once of its end: of the answer, or, where this is dropped before
/// there is one, that there is none.
pub(crate) struct Slot {
    service: Option<Arc<dyn Slots>>,
    /// The number that the service gave the job.
    job: u64,
}

/// Who gives concurrency.
pub(crate) trait Slots: Send + Sync {
    /// A handler has ended, with this response if there is one, and its slot is free.
    fn ended(self: Arc<Self>, job: u64, response: Option<Response>);
}

impl Slot {
    pub(crate) fn new(service: Arc<dyn Slots>, job: u64) -> Slot {
        Slot {
            service: Some(service),
            job,
        }
    }

    /// The handler has answered.
    pub(crate) fn answer(mut self, response: Response) {
        self.end(Some(response));
    }

    fn end(&mut self, response: Option<Response>) {
        if let Some(service) = self.service.take() {
            service.ended(self.job, response);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.end(None);
    }
}

thread_local! {
    /// The slot of the handler that is being polled.
    static SLOT: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// Polls a handler that has this slot; a handler that goes on in a thread has taken it with it.
pub(crate) fn in_slot<T>(slot: &mut Option<Slot>, poll: impl FnOnce() -> T) -> T {
    let _held = Held::swapped(slot);
    poll()
}

/// Puts the slot where the handler finds it, and takes it back when dropped.
struct Held<'a>(&'a mut Option<Slot>);

impl<'a> Held<'a> {
    fn swapped(slot: &'a mut Option<Slot>) -> Held<'a> {
        let mut held = Held(slot);
        held.swap();
        held
    }

    fn swap(&mut self) {
        SLOT.with_borrow_mut(|held| std::mem::swap(held, self.0));
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.swap();
    }
}

/// Runs a handler that blocks on a thread where it may. The thread has the slot for as long as it runs.
///
/// A thread cannot be stopped: when nobody waits any more, [`Cancellation`](crate::Cancellation) tells the handler.
pub async fn blocking(run: impl FnOnce() -> Response + Send + 'static) -> Response {
    let slot = SLOT.take();
    let held = move || {
        let ran = catch_unwind(AssertUnwindSafe(run));
        (ran, slot)
    };
    // Where the process ends, what has not begun does not begin any more.
    let Ok((ran, slot)) = tokio::task::spawn_blocking(held).await else {
        return Status::SERVICE_UNAVAILABLE.into_reply();
    };
    SLOT.set(slot);
    ran.unwrap_or_else(|panic| resume_unwind(panic))
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
    use std::future::poll_fn;
    use std::sync::Mutex;

    #[tokio::test]
    async fn places_are_taken_in_turn_and_given_back() {
        static PLACES: Places = Places::new(1);
        let first = PLACES.take().await;
        let mut second = std::pin::pin!(PLACES.take());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_some());
    }

    /// Notes what has ended, and how.
    #[derive(Default)]
    struct Ended(Mutex<Vec<(u64, bool)>>);

    impl Slots for Ended {
        fn ended(self: Arc<Self>, job: u64, response: Option<Response>) {
            self.0.lock().unwrap().push((job, response.is_some()));
        }
    }

    #[test]
    fn the_service_hears_once_of_the_end_of_each_handler() {
        let service = Arc::<Ended>::default();
        let slot = |job| Some(Slot::new(service.clone(), job));
        let (mut first, mut second) = (slot(1), slot(2));
        in_slot(&mut first, || {
            // One that begins while another is polled.
            in_slot(&mut second, || drop(SLOT.take()));
            SLOT.take().unwrap().answer(Response::new(Status::OK));
        });
        assert!(first.is_none() && second.is_none());
        let mut third = slot(3);
        let panicked = catch_unwind(AssertUnwindSafe(|| in_slot(&mut third, || panic!("no luck"))));
        assert!(panicked.is_err() && SLOT.take().is_none());
        drop(third);
        assert_eq!(*service.0.lock().unwrap(), [(2, false), (1, true), (3, false)]);
    }

    #[tokio::test]
    async fn a_thread_has_the_slot_of_its_handler_and_gives_it_back() {
        let service = Arc::<Ended>::default();
        let mut slot = Some(Slot::new(service.clone(), 1));
        let (go, told) = std::sync::mpsc::channel::<()>();
        let mut handler = Box::pin(blocking(move || {
            told.recv().unwrap();
            Response::new(Status::OK)
        }));
        let polled = in_slot(&mut slot, || futures_util::FutureExt::now_or_never(&mut handler));
        assert!(polled.is_none() && slot.is_none());
        go.send(()).unwrap();
        poll_fn(|cx| in_slot(&mut slot, || handler.as_mut().poll(cx))).await;
        assert!(slot.is_some() && service.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_panic_of_a_blocking_handler_is_one_of_its_caller() {
        let caught = tokio::spawn(blocking(|| panic!("no luck"))).await;
        assert!(caught.is_err_and(|error| error.is_panic()));
    }
}

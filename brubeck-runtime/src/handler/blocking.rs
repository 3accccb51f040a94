//! Blocking handlers, and the limit for concurrent runs of one handler.
//!
//! A service counts a call as running until its [`JobGuard`] is completed or dropped. The task that polls the handler
//! owns the guard. A blocking handler runs on a thread that outlives this task if the caller cancels, so the guard must
//! move to that thread: otherwise the service would start the next call while all its threads are still in use.
//! Generated code calls [`blocking`] deep inside the handler's future and has no access to the guard. A thread-local,
//! set for the duration of each poll, passes it there and back.

use crate::response::{IntoReply, Response};
use crate::status::Status;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Counts the running calls of a service.
pub(crate) trait JobTracker: Send + Sync {
    /// Called once for each job: with its response, or with `None` if the handler was dropped before it responded.
    fn job_ended(self: Arc<Self>, job: u64, response: Option<Response>);
}

/// Reports the end of one job to its [`JobTracker`], exactly once, at the latest when it is dropped.
pub(crate) struct JobGuard {
    /// `None` once the end is reported.
    tracker: Option<Arc<dyn JobTracker>>,
    job: u64,
}

impl JobGuard {
    pub(crate) fn new(tracker: Arc<dyn JobTracker>, job: u64) -> JobGuard {
        JobGuard {
            tracker: Some(tracker),
            job,
        }
    }

    /// Ends the job with this response.
    pub(crate) fn complete(mut self, response: Response) {
        self.report(Some(response));
    }

    fn report(&mut self, response: Option<Response>) {
        if let Some(tracker) = self.tracker.take() {
            tracker.job_ended(self.job, response);
        }
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        self.report(None);
    }
}

thread_local! {
    /// The guard of the handler that this thread is polling.
    static CURRENT_JOB: RefCell<Option<JobGuard>> = const { RefCell::new(None) };
}

/// Runs `poll` with `guard` as the current job of this thread.
///
/// Afterwards `guard` is `None` if the handler moved it to a blocking thread, and `Some` again once it is back.
pub(crate) fn with_job_guard<T>(guard: &mut Option<JobGuard>, poll: impl FnOnce() -> T) -> T {
    let _swapped = SwappedGuard::new(guard);
    poll()
}

/// Swaps a guard with the current job, and swaps them back when dropped, which includes a panic of the handler.
///
/// Swapping, not setting, makes this reentrant: a handler may poll another handler.
struct SwappedGuard<'a>(&'a mut Option<JobGuard>);

impl<'a> SwappedGuard<'a> {
    fn new(guard: &'a mut Option<JobGuard>) -> SwappedGuard<'a> {
        let mut swapped = SwappedGuard(guard);
        swapped.swap();
        swapped
    }

    fn swap(&mut self) {
        CURRENT_JOB.with_borrow_mut(|current| std::mem::swap(current, self.0));
    }
}

impl Drop for SwappedGuard<'_> {
    fn drop(&mut self) {
        self.swap();
    }
}

/// Runs a handler on a thread that is allowed to block, and holds its job guard there until it returns.
///
/// Dropping the future does not stop the thread. The handler can poll [`Cancellation`](crate::Cancellation) instead.
pub async fn blocking(handler: impl FnOnce() -> Response + Send + 'static) -> Response {
    let guard = CURRENT_JOB.take();
    let task = tokio::task::spawn_blocking(move || {
        let outcome = catch_unwind(AssertUnwindSafe(handler));
        // If the future was dropped, so is this value, and the guard with it: only now the job has ended.
        (outcome, guard)
    });
    // Tokio drops closures that have not started when the runtime shuts down.
    let Ok((outcome, guard)) = task.await else {
        return Status::SERVICE_UNAVAILABLE.into_reply();
    };
    // This poll runs within `with_job_guard`, which takes the guard back for the task.
    CURRENT_JOB.set(guard);
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Limits how many calls of one handler run at once in this process.
pub struct ConcurrencyLimit(Semaphore);

impl ConcurrencyLimit {
    /// Creates a limit of `max` concurrent calls.
    pub const fn new(max: u32) -> ConcurrencyLimit {
        let max = max as usize;
        let permits = if max < Semaphore::MAX_PERMITS {
            max
        } else {
            Semaphore::MAX_PERMITS
        };
        ConcurrencyLimit(Semaphore::const_new(permits))
    }

    /// Waits for a permit, in the order of the calls. The service bounds the number of waiting calls, and their deadlines bound
    /// the time; calls in a Python dialect have no deadline.
    pub async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed. If it were, the calls would run without a limit instead of waiting forever.
        self.0.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::Mutex;

    #[tokio::test]
    async fn concurrency_limit_queues_calls_until_a_permit_is_released() {
        static LIMIT: ConcurrencyLimit = ConcurrencyLimit::new(1);
        let first = LIMIT.acquire().await;
        let mut second = std::pin::pin!(LIMIT.acquire());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_some());
    }

    /// Records the ended jobs, and whether each had a response.
    #[derive(Default)]
    struct RecordingTracker(Mutex<Vec<(u64, bool)>>);

    impl JobTracker for RecordingTracker {
        fn job_ended(self: Arc<Self>, job: u64, response: Option<Response>) {
            self.0.lock().unwrap().push((job, response.is_some()));
        }
    }

    #[test]
    fn job_guard_reports_its_end_once_on_completion_drop_and_panic() {
        let tracker = Arc::<RecordingTracker>::default();
        let guard = |job| Some(JobGuard::new(tracker.clone(), job));
        let (mut first, mut second) = (guard(1), guard(2));
        with_job_guard(&mut first, || {
            // A handler that polls another one.
            with_job_guard(&mut second, || drop(CURRENT_JOB.take()));
            CURRENT_JOB.take().unwrap().complete(Response::new(Status::OK));
        });
        assert!(first.is_none() && second.is_none());
        let mut third = guard(3);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            with_job_guard(&mut third, || panic!("handler failed"))
        }));
        assert!(panicked.is_err() && CURRENT_JOB.take().is_none());
        drop(third);
        assert_eq!(*tracker.0.lock().unwrap(), [(2, false), (1, true), (3, false)]);
    }

    #[tokio::test]
    async fn blocking_handler_holds_the_job_guard_until_its_thread_returns() {
        let tracker = Arc::<RecordingTracker>::default();
        let mut guard = Some(JobGuard::new(tracker.clone(), 1));
        let (release, released) = std::sync::mpsc::channel::<()>();
        let mut handler = Box::pin(blocking(move || {
            released.recv().unwrap();
            Response::new(Status::OK)
        }));
        let polled = with_job_guard(&mut guard, || futures_util::FutureExt::now_or_never(&mut handler));
        assert!(polled.is_none() && guard.is_none());
        release.send(()).unwrap();
        poll_fn(|cx| with_job_guard(&mut guard, || handler.as_mut().poll(cx))).await;
        assert!(guard.is_some() && tracker.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn panic_of_a_blocking_handler_resumes_in_the_calling_task() {
        let joined = tokio::spawn(blocking(|| panic!("handler failed"))).await;
        assert!(joined.is_err_and(|error| error.is_panic()));
    }
}

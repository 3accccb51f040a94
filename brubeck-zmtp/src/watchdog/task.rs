//! A task that its runtime and the watchdog can poll.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::{JoinHandle, JoinSet};

use super::register;

/// The place where [`DeferredWork`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkPlace {
    /// The thread of the task. Code of users may run.
    Task,
    /// The thread of the watchdog, within the context of the runtime. The work must spawn tasks for code of users.
    Watchdog,
}

/// Work that runs after a poll of a watched task, without its lock. See [`after_poll`].
pub trait DeferredWork: Send + Sync + 'static {
    /// Does all work that is waiting. Other threads may do so concurrently.
    fn run(self: Arc<Self>, place: WorkPlace);
}

/// The state of the poll that the current thread executes.
struct CurrentPoll {
    is_active: Cell<bool>,
    is_direct: Cell<bool>,
    deferred: RefCell<Option<Arc<dyn DeferredWork>>>,
}

thread_local! {
    static CURRENT_POLL: CurrentPoll = const {
        CurrentPoll {
            is_active: Cell::new(false),
            is_direct: Cell::new(false),
            deferred: RefCell::new(None),
        }
    };
}

/// Runs `work` after the poll of the watched task that the current thread executes.
///
/// Returns `false` if there is no such task, or if it has other work. The caller then runs the work itself.
pub fn after_poll<W: DeferredWork>(work: &Arc<W>) -> bool {
    CURRENT_POLL.with(|current| {
        if !current.is_active.get() {
            return false;
        }
        match &mut *current.deferred.borrow_mut() {
            Some(other) => std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(work)),
            empty => {
                *empty = Some(work.clone());
                true
            }
        }
    })
}

/// Returns `true` if the watchdog polls the current task, so that the drivers of its runtime cannot be relied on.
#[inline]
pub(crate) fn is_polled_directly() -> bool {
    CURRENT_POLL.with(|current| current.is_direct.get())
}

/// Completes once the work that the current poll has deferred was started. Completes at once if there is none.
pub(crate) async fn run_deferred_work() {
    let mut is_deferred = CURRENT_POLL.with(|current| current.deferred.borrow().is_some());
    poll_fn(|_| {
        // The task is polled again after its work.
        if std::mem::take(&mut is_deferred) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// Spawns a watched task on the current runtime.
///
/// # Panics
/// Panics if there is no tokio runtime.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(WatchedFuture::new(future))
}

/// Spawns a watched task on the current runtime, in a set of tasks.
///
/// # Panics
/// Panics if there is no tokio runtime.
pub fn spawn_in(tasks: &mut JoinSet<()>, future: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(WatchedFuture::new(future));
}

/// The future of the tokio task of a watched task. Dropping it ends the watched task.
struct WatchedFuture<F: Future<Output = ()> + Send + 'static> {
    task: Arc<WatchedTask<F>>,
    waker: Waker,
}

impl<F: Future<Output = ()> + Send + 'static> WatchedFuture<F> {
    fn new(future: F) -> Self {
        let task = Arc::new(WatchedTask {
            future: Mutex::new(Some(Box::pin(future))),
            scheduler: OnceLock::new(),
            is_woken: AtomicBool::new(true),
            owner_polls: AtomicU64::new(0),
            work: Mutex::new(None),
        });
        let as_dyn: Arc<dyn WatchdogTask> = task.clone();
        register(Arc::downgrade(&as_dyn));
        let waker = Waker::from(task.clone());
        Self { task, waker }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Future for WatchedFuture<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &self.task;
        // The waker of a spawned task never changes.
        task.scheduler.get_or_init(|| cx.waker().clone());
        loop {
            task.owner_polls.fetch_add(1, Ordering::Relaxed);
            let (polled, deferred) = task.poll_locked(task.lock(), &self.waker, false);
            let Some(work) = deferred else { return polled };
            // The watchdog finds the work here if it never ends.
            *task.lock_work() = Some(work.clone());
            work.run(WorkPlace::Task);
            *task.lock_work() = None;
            if polled.is_ready() {
                return polled;
            }
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Drop for WatchedFuture<F> {
    fn drop(&mut self) {
        // A separate statement, so that the future is dropped without the lock.
        let future = self.task.lock().take();
        drop(future);
    }
}

type FutureSlot<'a, F> = MutexGuard<'a, Option<Pin<Box<F>>>>;

/// A future that is polled by one thread at a time, and the waker that all its resources have.
struct WatchedTask<F> {
    /// `None` once it has completed or its owner was dropped.
    future: Mutex<Option<Pin<Box<F>>>>,
    /// The waker of the tokio task. Empty until its first poll.
    scheduler: OnceLock<Waker>,
    /// Woken since the last poll.
    is_woken: AtomicBool,
    /// The number of polls by the runtime.
    owner_polls: AtomicU64,
    /// The work that the runtime is running for the task.
    work: Mutex<Option<Arc<dyn DeferredWork>>>,
}

impl<F: Future<Output = ()> + Send + 'static> WatchedTask<F> {
    fn lock(&self) -> FutureSlot<'_, F> {
        self.future.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_work(&self) -> MutexGuard<'_, Option<Arc<dyn DeferredWork>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls the future. Also returns the work that the poll has deferred.
    fn poll_locked(
        &self,
        mut slot: FutureSlot<'_, F>,
        waker: &Waker,
        direct: bool,
    ) -> (Poll<()>, Option<Arc<dyn DeferredWork>>) {
        // A wake-up from now on causes another poll. One before it is seen by this poll, which `AcqRel` ensures.
        self.is_woken.swap(false, Ordering::AcqRel);
        let Some(future) = slot.as_mut() else {
            return (Poll::Ready(()), None);
        };
        let _reset = ResetOnDrop::activate(direct);
        let polled = future.as_mut().poll(&mut Context::from_waker(waker));
        if polled.is_ready() {
            *slot = None;
        }
        let deferred = CURRENT_POLL.with(|current| current.deferred.borrow_mut().take());
        (polled, deferred)
    }
}

/// Ends the current poll, also if it panics.
struct ResetOnDrop;

impl ResetOnDrop {
    fn activate(direct: bool) -> Self {
        CURRENT_POLL.with(|current| {
            current.is_active.set(true);
            current.is_direct.set(direct);
        });
        Self
    }
}

impl Drop for ResetOnDrop {
    fn drop(&mut self) {
        let deferred = CURRENT_POLL.with(|current| {
            current.is_active.set(false);
            current.is_direct.set(false);
            current.deferred.borrow_mut().take()
        });
        drop(deferred);
    }
}

impl<F: Future<Output = ()> + Send + 'static> Wake for WatchedTask<F> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Tokio was notified already if the flag is set. Before the first poll the task is scheduled anyway.
        if !self.is_woken.swap(true, Ordering::AcqRel)
            && let Some(scheduler) = self.scheduler.get()
        {
            scheduler.wake_by_ref();
        }
    }
}

/// A watched task as the watchdog sees it.
pub(super) trait WatchdogTask: Send + Sync {
    /// Returns `true` once the future has completed or was dropped.
    fn is_finished(&self) -> bool;
    /// Returns the number of polls by the runtime.
    fn owner_polls(&self) -> u64;
    /// Returns `true` if the runtime should poll the task or end its work.
    fn is_due(&self) -> bool;
    /// Polls the future on this thread, unless another thread does so.
    fn poll_directly(self: Arc<Self>);
    /// Starts the work that waits behind work that blocks its thread.
    fn take_over_work(&self);
    /// Makes the runtime poll the task.
    fn hand_back(&self);
}

pub(super) type TaskRef = Weak<dyn WatchdogTask>;

impl<F: Future<Output = ()> + Send + 'static> WatchdogTask for WatchedTask<F> {
    fn is_finished(&self) -> bool {
        match self.future.try_lock() {
            Ok(slot) => slot.is_none(),
            Err(_) => false,
        }
    }

    fn owner_polls(&self) -> u64 {
        self.owner_polls.load(Ordering::Relaxed)
    }

    fn is_due(&self) -> bool {
        self.is_woken.load(Ordering::Acquire) || self.lock_work().is_some()
    }

    fn poll_directly(self: Arc<Self>) {
        let waker = Waker::from(self.clone());
        loop {
            let slot = match self.future.try_lock() {
                Ok(slot) => slot,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let polled = catch_unwind(AssertUnwindSafe(|| self.poll_locked(slot, &waker, true)));
            match polled {
                Ok((Poll::Pending, None)) => return,
                Ok((polled, deferred)) => {
                    if let Some(work) = deferred {
                        work.run(WorkPlace::Watchdog);
                    }
                    if polled.is_ready() {
                        return self.hand_back();
                    }
                }
                // Its runtime may be shutting down, and then no resources can be created.
                Err(_) => {
                    tracing::error!("a connection panicked and was closed");
                    let future = self.lock().take();
                    drop(future);
                    return self.hand_back();
                }
            }
        }
    }

    fn take_over_work(&self) {
        let work = self.lock_work().clone();
        if let Some(work) = work {
            work.run(WorkPlace::Watchdog);
        }
    }

    fn hand_back(&self) {
        self.is_woken.store(true, Ordering::Release);
        if let Some(scheduler) = self.scheduler.get() {
            scheduler.wake_by_ref();
        }
    }
}

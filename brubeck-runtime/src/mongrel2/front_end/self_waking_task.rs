//! A task whose parts wake each other without a round trip through the scheduler.

use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tokio::task::coop::{Unconstrained, unconstrained};

/// Limit of polls in a row before the task yields to others.
const MAX_CONSECUTIVE_POLLS: usize = 8;

/// The future is not being polled and has not been woken.
const IDLE: u8 = 0;
/// The future is being polled.
const POLLING: u8 = 1;
/// The future was woken, and must be polled again.
const WOKEN: u8 = 2;

/// A future that is polled again immediately if it was woken while it was polled.
///
/// The event loop and the driver of its link run in one task and pass messages to each other. Without this wrapper
/// each message would wake the task through the scheduler: the task goes to the end of a run queue, and an idle
/// thread is woken to steal it. That costs two system calls and a cold cache for each message.
///
/// For the same reason the future is exempt from tokio's cooperative budget, which would also reschedule the task. So
/// the loops of the future must be bounded.
pub(in crate::mongrel2) struct SelfWakingTask<F> {
    future: Pin<Box<Unconstrained<F>>>,
    wake_state: Arc<WakeState>,
    waker: Waker,
}

/// The waker of the future.
#[derive(Default)]
struct WakeState {
    state: AtomicU8,
    /// Wakes the task that polls the [`SelfWakingTask`].
    outer: AtomicWaker,
}

impl Wake for WakeState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In the state POLLING, the running poll sees WOKEN and polls again. The task need not be woken.
        if self.state.swap(WOKEN, Ordering::AcqRel) == IDLE {
            self.outer.wake();
        }
    }
}

impl<F: Future> SelfWakingTask<F> {
    pub(in crate::mongrel2) fn new(future: F) -> SelfWakingTask<F> {
        let wake_state = Arc::<WakeState>::default();
        SelfWakingTask {
            future: Box::pin(unconstrained(future)),
            waker: wake_state.clone().into(),
            wake_state,
        }
    }
}

impl<F: Future> Future for SelfWakingTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let SelfWakingTask {
            future,
            wake_state,
            waker,
        } = &mut *self;
        wake_state.outer.register(cx.waker());
        for _ in 0..MAX_CONSECUTIVE_POLLS {
            // A swap and not a store: it acquires what other threads wrote before they woke the future.
            wake_state.state.swap(POLLING, Ordering::AcqRel);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            let idle = wake_state
                .state
                .compare_exchange(POLLING, IDLE, Ordering::AcqRel, Ordering::Acquire);
            if idle.is_ok() {
                return Poll::Pending;
            }
            // The future was woken during the poll.
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::{Notify, mpsc};

    /// A waker that counts its wakeups.
    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn parts_that_wake_each_other_take_one_poll() {
        let (requests, mut requested) = mpsc::channel::<u8>(1);
        let (responses, mut responded) = mpsc::channel::<u8>(1);
        let server = async move {
            while let Some(number) = requested.recv().await {
                responses.send(number + 1).await.unwrap();
            }
        };
        let client = async move {
            requests.send(1).await.unwrap();
            let response = responded.recv().await.unwrap();
            drop(requests);
            response
        };
        let mut task = SelfWakingTask::new(futures_util::future::join(server, client));
        let wakeups = Arc::<CountingWaker>::default();
        let waker = wakeups.clone().into();
        let polled = task.poll_unpin(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Ready(((), 2)));
        assert_eq!(wakeups.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn yields_after_max_consecutive_polls() {
        let polls = Arc::new(AtomicUsize::new(0));
        let counter = polls.clone();
        let mut task = SelfWakingTask::new(poll_fn(move |cx| {
            counter.fetch_add(1, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let wakeups = Arc::<CountingWaker>::default();
        let waker = wakeups.clone().into();
        for round in 1..4 {
            assert!(task.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(polls.load(Ordering::Relaxed), round * MAX_CONSECUTIVE_POLLS);
            assert_eq!(wakeups.0.load(Ordering::Relaxed), round);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn wakeups_of_other_threads_are_not_lost() {
        let (here, there) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (ping, pong) = (here.clone(), there.clone());
        let other = tokio::spawn(async move {
            for _ in 0..10_000 {
                ping.notified().await;
                pong.notify_one();
            }
        });
        let task = tokio::spawn(SelfWakingTask::new(async move {
            for _ in 0..10_000 {
                here.notify_one();
                there.notified().await;
            }
        }));
        tokio::time::timeout(std::time::Duration::from_secs(30), async {
            tokio::try_join!(other, task)
        })
        .await
        .expect("a wakeup was lost")
        .unwrap();
    }
}

//! Futures that wake each other, as one task of which the self_waking_task does not hear.

use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tokio::task::coop::{Unconstrained, unconstrained};

/// So often is it polled before others have their turn.
const MAX_CONSECUTIVE_POLLS: usize = 8;

/// Nobody works on it.
const AT_REST: u8 = 0;
/// It is being polled.
const IN_TURN: u8 = 1;
/// It is to be polled.
const WOKEN: u8 = 2;

/// A future that is polled again at once when it wakes itself.
///
/// One that is left to the self_waking_task then goes to the end of a queue, from which an idle thread is woken to take it away:
/// two system calls and a cold processor for each message that one part of a task passes to another. The same happens
/// when it has used up what the runtime grants a task; so its own loops must be bounded.
pub(in crate::mongrel2) struct SelfWakingTask<F> {
    future: Pin<Box<Unconstrained<F>>>,
    bell: Arc<WakeState>,
    waker: Waker,
}

/// What the future is woken by.
#[derive(Default)]
struct WakeState {
    state: AtomicU8,
    outside: AtomicWaker,
}

impl Wake for WakeState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == AT_REST {
            self.outside.wake();
        }
    }
}

impl<F: Future> SelfWakingTask<F> {
    pub(in crate::mongrel2) fn new(future: F) -> SelfWakingTask<F> {
        let bell = Arc::<WakeState>::default();
        SelfWakingTask {
            future: Box::pin(unconstrained(future)),
            waker: bell.clone().into(),
            bell,
        }
    }
}

impl<F: Future> Future for SelfWakingTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let SelfWakingTask { future, bell, waker } = &mut *self;
        bell.outside.register(cx.waker());
        for _ in 0..MAX_CONSECUTIVE_POLLS {
            // Whoever woke it wrote before what it is to see now.
            bell.state.swap(IN_TURN, Ordering::AcqRel);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            let rested = bell
                .state
                .compare_exchange(IN_TURN, AT_REST, Ordering::AcqRel, Ordering::Acquire);
            if rested.is_ok() {
                return Poll::Pending;
            }
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

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_two_futures_tell_each_other_takes_one_poll_and_wakes_nobody() {
        let (there, mut asked) = mpsc::channel::<u8>(1);
        let (back, mut answered) = mpsc::channel::<u8>(1);
        let answering = async move {
            while let Some(number) = asked.recv().await {
                back.send(number + 1).await.unwrap();
            }
        };
        let asking = async move {
            there.send(1).await.unwrap();
            let answer = answered.recv().await.unwrap();
            drop(there);
            answer
        };
        let mut both = SelfWakingTask::new(futures_util::future::join(answering, asking));
        let woken = Arc::<Woken>::default();
        let waker = woken.clone().into();
        let polled = both.poll_unpin(&mut Context::from_waker(&waker));
        assert_eq!(polled, Poll::Ready(((), 2)));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_wakes_itself_for_ever_gives_others_their_turn() {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = polls.clone();
        let mut busy = SelfWakingTask::new(poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let woken = Arc::<Woken>::default();
        let waker = woken.clone().into();
        for round in 1..4 {
            assert!(busy.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(polls.load(Ordering::Relaxed), round * MAX_CONSECUTIVE_POLLS);
            assert_eq!(woken.0.load(Ordering::Relaxed), round);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_others_wake_is_polled() {
        let (here, there) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (ping, pong) = (here.clone(), there.clone());
        let other = tokio::spawn(async move {
            for _ in 0..10_000 {
                ping.notified().await;
                pong.notify_one();
            }
        });
        let ours = tokio::spawn(SelfWakingTask::new(async move {
            for _ in 0..10_000 {
                here.notify_one();
                there.notified().await;
            }
        }));
        tokio::time::timeout(std::time::Duration::from_secs(30), async {
            tokio::try_join!(other, ours)
        })
        .await
        .expect("no wake is lost")
        .unwrap();
    }
}

//! Timers of futures that may be polled in any tokio runtime, or in none.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::runtime::{self, Handle};
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that belongs to the runtime in which it is polled, and moves if the future that contains it moves to another one.
///
/// A [`Sleep`] stays in the runtime in which it was created. It never completes if that runtime no longer runs, and polling it panics
/// if that runtime was shut down.
pub(crate) struct DeadlineTimer {
    deadline: Instant,
    sleep: Option<(runtime::Id, Pin<Box<Sleep>>)>,
}

impl DeadlineTimer {
    pub(crate) fn new(deadline: Instant) -> DeadlineTimer {
        DeadlineTimer {
            deadline,
            sleep: None,
        }
    }

    /// Completes at the deadline. Outside of a runtime there are no timers: the deadline is checked only when this is polled.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(current) = Handle::try_current() else {
            self.sleep = None;
            if Instant::now() < self.deadline {
                return Poll::Pending;
            }
            return Poll::Ready(());
        };
        let current = current.id();
        let sleep = match &mut self.sleep {
            Some((runtime, sleep)) if *runtime == current => sleep,
            other => &mut other.insert((current, Box::pin(sleep_until(self.deadline)))).1,
        };
        sleep.as_mut().poll(cx)
    }

    /// Runs `future` until the deadline. Returns `None` if it has not completed by then.
    pub(crate) async fn limit<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::time::Duration;
    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn timer_moves_to_the_runtime_that_polls_it() {
        let mut timer = DeadlineTimer::new(Instant::now() + Duration::from_millis(20));
        let first = runtime();
        first.block_on(async {
            let still_waiting = poll_fn(|cx| Poll::Ready(timer.poll(cx))).await;
            assert_eq!(still_waiting, Poll::Pending);
        });
        drop(first);
        runtime().block_on(async { assert_eq!(timer.limit(pending::<()>()).await, None) });
    }

    #[test]
    fn output_precedes_the_deadline() {
        let mut timer = DeadlineTimer::new(Instant::now());
        let output = futures_util::FutureExt::now_or_never(timer.limit(std::future::ready(1)));
        assert_eq!(output, Some(Some(1)));
        let output = futures_util::FutureExt::now_or_never(timer.limit(pending::<()>()));
        assert_eq!(output, Some(None), "outside of a runtime, too");
    }
}

//! Timers of watched tasks. They use the timer driver of their runtime, or the clock while the watchdog polls them.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::is_polled_directly;

/// Waits until `deadline`.
///
/// # Panics
/// Panics if there is no tokio runtime with a timer driver.
pub async fn sleep_until(deadline: Instant) {
    let mut sleep = pin!(tokio::time::sleep_until(deadline));
    poll_fn(|cx| match sleep.as_mut().poll(cx) {
        Poll::Pending if is_polled_directly() && Instant::now() >= deadline => Poll::Ready(()),
        polled => polled,
    })
    .await;
}

/// Waits for `duration`.
///
/// # Panics
/// Panics if there is no tokio runtime with a timer driver.
pub async fn sleep(duration: Duration) {
    sleep_until(far_away_if_none(Instant::now().checked_add(duration))).await;
}

/// An error: the time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time has passed")
    }
}

impl std::error::Error for Elapsed {}

/// Runs `future` until `deadline`.
///
/// # Errors
/// Returns [`Elapsed`] if the future has not completed by then.
///
/// # Panics
/// Panics if there is no tokio runtime with a timer driver.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let (mut future, mut sleep) = (pin!(future), pin!(sleep_until(deadline)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| Err(Elapsed)),
    })
    .await
}

/// Runs `future` for at most `duration`.
///
/// # Errors
/// Returns [`Elapsed`] if the future has not completed by then.
///
/// # Panics
/// Panics if there is no tokio runtime with a timer driver.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(far_away_if_none(Instant::now().checked_add(duration)), future).await
}

fn far_away_if_none(deadline: Option<Instant>) -> Instant {
    deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(1 << 30))
}

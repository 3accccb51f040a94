//! Waiting for an application in a test, without waiting forever.

use std::panic::Location;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The real time after which a test fails instead of waiting.
const REAL_TIME: Duration = Duration::from_secs(10);
/// The same for the time of a paused clock, which takes no real time.
const PAUSED_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Waits for a future.
///
/// # Panics
///
/// Panics if it is not complete after 10 seconds, or after a day of a paused clock. The message has `expected` and the location of the test.
pub(super) async fn wait_for<F: Future>(
    future: F,
    caller: &'static Location<'static>,
    expected: impl FnOnce() -> String,
) -> F::Output {
    let mut future = std::pin::pin!(future);
    let (began, paused_began) = (Instant::now(), tokio::time::Instant::now());
    loop {
        if let Ok(output) = timeout(REAL_TIME, &mut future).await {
            return output;
        }
        let is_paused = began.elapsed() < REAL_TIME;
        if !is_paused {
            panic!("{} within {REAL_TIME:?}, at {caller}", expected());
        }
        if paused_began.elapsed() >= PAUSED_TIME {
            panic!("{} within a day of the paused clock, at {caller}", expected());
        }
    }
}

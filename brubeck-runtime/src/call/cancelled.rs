//! Whether anybody still waits for an answer.

use crate::context::Context;
use crate::extract::FromMessage;
use std::convert::Infallible;
use std::sync::Weak;

/// Whether anybody still waits for what a handler does, for handlers that nothing can stop: those that block a
/// thread.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::Cancelled;
///
/// #[service_handler(path = "^/primes", blocking, slots = 2)]
/// fn primes(below: Arg<u64>, cancelled: Cancelled) -> Json<Vec<u64>> {
///     let is_prime = |n: &u64| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0);
///     let asked = (2..below.0).take_while(|_| !cancelled.is_cancelled());
///     Json(asked.filter(is_prime).collect())
/// }
/// ```
///
/// An `async` handler is stopped at its next `.await` when its deadline passes or its caller goes away, and needs
/// none of this; work that it hands to other threads may.
#[derive(Clone, Debug)]
pub struct Cancelled(Weak<()>);

impl Cancelled {
    /// Whether the handler was stopped or has ended. One load from memory: ask often.
    pub fn is_cancelled(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Cancelled {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Cancelled, Infallible> {
        Ok(Cancelled(cx.alive()))
    }
}

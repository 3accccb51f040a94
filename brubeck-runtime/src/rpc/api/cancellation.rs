//! Whether anybody still waits for an answer.

use tokio::sync::watch;

/// Whether anybody still waits for what a handler does, for work that nothing else can stop: that of handlers which
/// block a thread, and what a handler hands to other tasks and threads.
///
/// ```
/// use brubeck::Cancellation;
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/primes", blocking, slots = 2)]
/// fn primes(below: Arg<u64>, cancellation: Cancellation) -> Json<Vec<u64>> {
///     let is_prime = |n: &u64| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0);
///     let asked = (2..below.0).take_while(|_| !cancellation.is_cancelled());
///     Json(asked.filter(is_prime).collect())
/// }
///
/// #[service_handler(path = "^/report")]
/// async fn report(cancellation: Cancellation) -> &'static str {
///     tokio::spawn(async move {
///         tokio::select! {
///             () = cancellation.cancelled() => {}
///             () = std::future::pending() => {} // what is only worth doing while somebody waits
///         }
///     });
///     "here it is"
/// }
/// ```
///
/// An `async` handler is dropped at its next `.await` when its deadline passes or its caller goes away, and needs none
/// of this for itself.
#[derive(Clone, Debug)]
pub struct Cancellation(pub(crate) watch::Receiver<()>);

impl Cancellation {
    /// Whether the handler was stopped or has ended. Costs little: ask often.
    pub fn is_cancelled(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Returns when the handler is stopped or ends.
    pub async fn cancelled(&self) {
        // Nothing is ever sent: a change is the end of the sender, which the handler's context holds.
        while self.0.clone().changed().await.is_ok() {}
    }
}

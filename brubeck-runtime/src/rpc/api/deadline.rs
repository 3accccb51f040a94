//! Until when an answer is of any use, and whether anybody still waits for it.

use crate::message::Message;
use crate::scope::RequestScope;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Until when the answer of a handler is of any use to whoever asked.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::Deadline;
///
/// #[service_handler(path = "^/search", method = "request")]
/// async fn search(text: Arg<String>, deadline: Deadline) -> String {
///     match deadline.remaining() {
///         Some(left) => format!("{} in {left:?}", text.0),
///         None => format!("{}, whenever", text.0),
///     }
/// }
/// ```
///
/// Callers send what is left of their own deadline, as a duration, so no two clocks have to agree. Browsers say nothing:
/// their handlers have the time that the [application](crate::App::timeout) gives them. At the deadline the handler is
/// stopped. Calls that the handler makes inherit it. What a web handler leaves behind, a stream or a WebSocket, has none.
#[derive(Clone, Debug)]
pub struct Deadline(Option<Until>);

#[derive(Clone, Debug)]
struct Until {
    at: Instant,
    /// The answer that is waited for, where the wait ends before the work does.
    scope: Option<Arc<RequestScope>>,
}

impl Deadline {
    /// None: Python callers do not say how long they wait.
    pub const NONE: Deadline = Deadline(None);

    fn at(at: Instant) -> Deadline {
        Deadline(Some(Until { at, scope: None }))
    }

    /// The deadline of a handler: that of the request it answers, or else the one its message names.
    pub(crate) fn of(scope: Option<&Arc<RequestScope>>, message: &Message) -> Deadline {
        let until = scope.and_then(|scope| {
            Some(Until {
                at: scope.deadline()?,
                scope: Some(scope.clone()),
            })
        });
        match until {
            Some(until) => Deadline(Some(until)),
            None => message.deadline().map_or(Deadline::NONE, Deadline::at),
        }
    }

    /// What is left of it; `None` where there is no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.instant()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn instant(&self) -> Option<Instant> {
        let until = self.0.as_ref()?;
        let is_over = until.scope.as_ref().is_some_and(|scope| scope.is_finished());
        (!is_over).then_some(until.at)
    }

    /// The sooner of the two.
    pub(crate) fn or_sooner(&self, other: Instant) -> Instant {
        self.instant().map_or(other, |at| at.min(other))
    }
}

/// Whether anybody still waits for what a handler does, for work that nothing else can stop: that of handlers which
/// block a thread, and what a handler hands to other tasks and threads.
///
/// ```
/// use brubeck::Cancellation;
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/primes", blocking, concurrency = 2)]
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

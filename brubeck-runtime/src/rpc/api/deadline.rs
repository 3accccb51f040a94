//! Until when an answer is of any use.

use crate::message::Message;
use crate::scope::RequestScope;
use std::sync::Arc;
use std::time::Duration;
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
/// their handlers have the time that the [application](crate::App::time_limit) gives them. At the deadline the handler is
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
                at: scope.until()?,
                scope: Some(scope.clone()),
            })
        });
        match until {
            Some(until) => Deadline(Some(until)),
            None => message.until().map_or(Deadline::NONE, Deadline::at),
        }
    }

    /// What is left of it; `None` where there is no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.instant()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn instant(&self) -> Option<Instant> {
        let until = self.0.as_ref()?;
        let is_over = until.scope.as_ref().is_some_and(|scope| scope.is_over());
        (!is_over).then_some(until.at)
    }

    /// The sooner of the two.
    pub(crate) fn or_sooner(&self, other: Instant) -> Instant {
        self.instant().map_or(other, |at| at.min(other))
    }
}

//! Until when an answer is of any use.

use crate::context::Context;
use crate::extract::FromMessage;
use std::convert::Infallible;
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
/// Callers send what is left of their own deadline, as a duration, so no two clocks have to agree. At the
/// deadline the handler is stopped. Calls that the handler makes inherit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// None: browsers and Python callers do not say how long they wait.
    pub const NONE: Deadline = Deadline(None);

    /// At this time.
    pub(crate) fn at(instant: Instant) -> Deadline {
        Deadline(Some(instant))
    }

    /// The deadline of the message that the handler answers.
    pub(crate) fn of<S>(cx: &Context<S>) -> Deadline {
        cx.message().extensions().get().copied().unwrap_or(Deadline::NONE)
    }

    /// What is left of it; `None` where there is no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The sooner of the two.
    pub(crate) fn or_sooner(&self, other: Instant) -> Instant {
        self.0.map_or(other, |at| at.min(other))
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Deadline {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Deadline, Infallible> {
        Ok(Deadline::of(cx))
    }
}

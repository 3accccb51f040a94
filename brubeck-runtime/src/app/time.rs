//! The time that a handler has until its answer.

use crate::call::Deadline;
use crate::reply::{IntoReply, Problem, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a handler may take unless the application or its route says otherwise.
pub(super) const TIME: Duration = Duration::from_secs(60);

/// The time that is left for one answer. Dropped with the wait for it, which ends the deadline of what the handler
/// leaves behind: a stream, a WebSocket.
pub(super) struct TimeLeft {
    limit: Option<Duration>,
    /// Until then, where the time runs already.
    until: Option<Instant>,
    /// Ends when the body is read: the time of a client that still sends is not that of the handler.
    reading: Option<oneshot::Receiver<Infallible>>,
    waited_for: Arc<()>,
}

impl TimeLeft {
    /// The time runs from now on.
    pub(super) fn from_now(limit: Option<Duration>) -> TimeLeft {
        TimeLeft {
            limit,
            until: limit.and_then(|limit| Instant::now().checked_add(limit)),
            reading: None,
            waited_for: Arc::new(()),
        }
    }

    /// The time runs once the body is read, which is when what comes back is dropped.
    pub(super) fn once_read(limit: Option<Duration>) -> (TimeLeft, oneshot::Sender<Infallible>) {
        let (held, reading) = oneshot::channel();
        let left = TimeLeft {
            limit,
            until: None,
            reading: Some(reading),
            waited_for: Arc::new(()),
        };
        (left, held)
    }

    /// The deadline of what the handler asks of others, while its answer is waited for.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        Some(Deadline::while_waited_for(self.until?, &self.waited_for))
    }

    /// The answer, or 504 where it does not come in time: then the handler is dropped.
    pub(super) async fn wait_for(
        self,
        handler: &'static str,
        answer: impl Future<Output = Response>,
    ) -> Response {
        let Some(limit) = self.limit else {
            return answer.await;
        };
        let late = async {
            match (self.until, self.reading) {
                (Some(until), _) => tokio::time::sleep_until(until).await,
                (None, Some(reading)) => {
                    // Nothing is ever sent: the end of the sender is the end of the body.
                    let _ = reading.await;
                    tokio::time::sleep(limit).await;
                }
                // Beyond what the clock can tell.
                (None, None) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = late => {
                tracing::warn!(handler, ?limit, "a handler did not answer in time");
                Problem::new(504, "it took too long").into_reply()
            }
        }
    }
}

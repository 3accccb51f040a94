//! The time that a handler has until its answer.

use crate::response::{IntoReply, Problem, Response};
use crate::scope::RequestScope;
use futures_util::poll;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a handler may take unless the application or its route says otherwise.
pub(super) const TIME: Duration = Duration::from_secs(60);

/// The time that is left for one answer. Dropped with the wait for it, which ends the deadline of what the handler
/// leaves behind: a stream, a WebSocket.
pub(super) struct TimeLeft {
    limit: Option<Duration>,
    /// Ends when the body is read: the time of a client that still sends is not that of the handler.
    reading: Option<oneshot::Receiver<Infallible>>,
    scope: Arc<RequestScope>,
}

impl Drop for TimeLeft {
    fn drop(&mut self) {
        self.scope.end();
    }
}

impl TimeLeft {
    /// The time runs from now on.
    pub(super) fn from_now(limit: Option<Duration>) -> TimeLeft {
        TimeLeft {
            limit,
            reading: None,
            scope: Arc::new(RequestScope::within(limit)),
        }
    }

    /// The time runs once the body is read, which is when what comes back is dropped.
    pub(super) fn once_read(limit: Option<Duration>) -> (TimeLeft, oneshot::Sender<Infallible>) {
        let (held, reading) = oneshot::channel();
        let left = TimeLeft {
            limit,
            reading: Some(reading),
            scope: Arc::default(),
        };
        (left, held)
    }

    /// What the handler is to know of this.
    pub(super) fn scope(&self) -> &Arc<RequestScope> {
        &self.scope
    }

    /// The answer, or 504 where it does not come in time: then the handler is dropped.
    pub(super) async fn wait_for(
        &mut self,
        handler: &'static str,
        mut answer: impl Future<Output = Response> + Unpin,
    ) -> Response {
        // Most handlers answer at once, and need no clock.
        if let Poll::Ready(answer) = poll!(&mut answer) {
            return answer;
        }
        let Some(limit) = self.limit else {
            return answer.await;
        };
        let late = Box::pin(async {
            match (self.reading.take(), self.scope.until()) {
                (Some(reading), _) => {
                    // Nothing is ever sent: the end of the sender is the end of the body.
                    let _ = reading.await;
                    tokio::time::sleep(limit).await;
                }
                (None, Some(until)) => tokio::time::sleep_until(until).await,
                // Beyond what the clock can tell.
                (None, None) => std::future::pending().await,
            }
        });
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

//! What the room of connections must offer so that calls can be made, and what calls need of the application.

use super::{Answer, CallError, Handled, Request};
use crate::message::Message;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

/// The answer of a call that a service has taken: its body is the text of a JSON value.
pub type Placed = BoxFuture<'static, Result<Answer<Bytes>, CallError>>;

/// Carries requests to one service and brings the answers.
///
/// Implemented by the ZeroMQ client and by services in memory.
pub trait Link: Send + Sync + 'static {
    /// Sends the request; the future ends with the service's answer, or with a typed error no later than the deadline.
    /// Dropping the future gives the call up and frees all that was kept for it.
    fn call(&self, request: Request, origin: Option<Origin>, deadline: Instant) -> Placed;

    /// Sends the request; the future ends when a process of the service has taken it, with a future of the
    /// answer. A wire that does not tell when a request is taken counts it as taken at once.
    fn post(
        &self,
        request: Request,
        origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<Placed, CallError>> {
        let answer = self.call(request, origin, deadline);
        Box::pin(std::future::ready(Ok(answer)))
    }

    /// The address of the service, for texts.
    fn address(&self) -> &str;

    /// Sends calls to the process at this address, too.
    ///
    /// # Errors
    ///
    /// The address is none, or this link leads to one place only.
    fn add_worker(&self, address: &str) -> crate::Result<()> {
        Err(self.single(address))
    }

    /// Sends the process at this address no more calls. Returns whether it got any before.
    ///
    /// # Errors
    ///
    /// This link leads to one place only.
    fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        Err(self.single(address))
    }

    /// The addresses that calls are sent to.
    fn workers(&self) -> Vec<String> {
        vec![self.address().to_owned()]
    }

    #[doc(hidden)]
    fn single(&self, address: &str) -> crate::Error {
        crate::Error::new(format!(
            "the service at {} is one process, so {address} cannot be added or removed; only brubeck's own \
             protocol knows pools",
            self.address()
        ))
    }
}

/// The response handlers of the calling application.
pub trait ResponseHandlers: Send + Sync + 'static {
    /// Whether a response handler is listed for answers from this path.
    fn handles(&self, path: &str) -> bool;

    /// Runs the response handler whose route matches the answer; `None` where no route does, or where
    /// the handler failed (which is logged).
    fn respond(self: Arc<Self>, answer: Message) -> BoxFuture<'static, Option<Handled>>;
}

/// The web request on whose behalf a service is called: the service sees it, as in the original.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// The identity of the web server.
    pub sender_id: Bytes,
    /// The number of the browser's connection there.
    pub conn_id: Bytes,
    /// Where replies to the browser are sent.
    pub out_addr: Bytes,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            self.out_addr.escape_ascii(),
            self.conn_id.escape_ascii()
        )
    }
}

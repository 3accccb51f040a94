//! What a connection sees of an application.

use super::CatchPanic;
use crate::message::{Message, RemoteAddr};
use crate::response::{Body, Response};
use crate::spec::Spec;
use crate::template::Templates;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// An application, as connections see it: messages go in, responses come out.
pub trait Application: Send + Sync + 'static {
    /// Answers one message. Never fails and never panics: what goes wrong is a response too.
    /// Dropping the future stops the handler.
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Response>;

    /// Answers the call of another application: the same, and tells the route that it took.
    fn call(self: Arc<Self>, message: Message) -> (Option<&'static Spec>, CallFuture) {
        (None, CallFuture(Either::Right(self.answer(message))))
    }

    /// Answers one HTTP request, through every layer of the application. Never fails and never panics. The
    /// response can stand on the wire: a body that is whole has its length, the body of a HEAD is left away.
    /// Dropping the future stops the handler.
    fn serve(self: Arc<Self>, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>>;

    /// The same for a connection, which says itself how long a body is that is whole; `peer` is who asks, where the request
    /// does not say so itself.
    fn serve_peer(
        &self,
        request: http::Request<Body>,
        peer: Option<RemoteAddr>,
        at_once: DispatchMode,
    ) -> HttpResponseFuture;

    /// The largest body of a request, in bytes, for connections that must know it beforehand; a route may take more.
    fn body_limit(&self) -> usize;

    /// What is known of its routes.
    fn specs(&self) -> Vec<&'static Spec> {
        Vec::new()
    }
}

/// Whether a handler begins where its request is handed over, so that an answer which waits for nothing comes back itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DispatchMode {
    /// It begins where its answer is waited for.
    Deferred,
    /// It begins here where it was quick of late: others wait meanwhile.
    InlineIfFast,
    /// It begins here.
    Inline,
}

/// A call that is being answered: the handler itself, or what is around it where something is.
pub struct CallFuture(pub(crate) Either<CaughtHandler, BoxFuture<'static, Response>>);

type CaughtHandler = CatchPanic<BoxFuture<'static, Response>, Arc<Templates>>;

impl Future for CallFuture {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        self.0.poll_unpin(cx)
    }
}

/// The answer to an HTTP request, or the wait for it.
pub type HttpResponseFuture = Either<Ready<http::Response<Body>>, BoxFuture<'static, http::Response<Body>>>;

/// Where messages come from: [`Http`](crate::Http), [`Mongrel2`](crate::Mongrel2),
/// [`Service`](crate::Service).
pub trait Connection: Send + 'static {
    /// Binds or connects; what cannot work is an error here, before anything is served.
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>>;
}

/// A connection that is open.
pub struct OpenConnection {
    /// Where it listens or what it is connected to, for people: `http://127.0.0.1:6767`.
    pub address: String,
    /// Serves until told to stop, and then until what was accepted is answered.
    pub serve: Box<dyn FnOnce(Stop) -> BoxFuture<'static, ()> + Send>,
}

/// Tells a connection when to stop taking messages.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// The two ends: send `true` to stop.
    pub(crate) fn new() -> (watch::Sender<bool>, Stop) {
        let (tell, told) = watch::channel(false);
        (tell, Stop(told))
    }

    /// Returns when it is time to stop taking messages.
    pub async fn requested(&mut self) {
        // A sender that is gone means that nobody is left to serve for.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether [`requested`](Self::requested) of a clone may be ready. Takes no lock, so it can be asked often.
    pub(crate) fn may_be_requested(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }
}

//! The interface between front ends and applications.

use super::{CatchPanic, HandlerEnvironment};
use crate::message::Message;
use crate::peer::WebClient;
use crate::response::{Body, Response};
use crate::rpc::api::DetachedCalls;
use crate::spec::Spec;
use brubeck_sockets::ListenerGuard;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;

/// An application as its connections use it: messages in, responses out.
///
/// [`App`](crate::App) creates the only implementation. A [`Connection`] gets it when it is opened.
///
/// No method fails or panics: an error or a panic of a handler becomes a response, such as 500. Dropping a returned future
/// drops the handler; a blocking handler runs on until it returns.
pub trait Application: Send + Sync + 'static {
    /// Runs the handler for a message and returns its response.
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Response>;

    /// Runs the handler for a call of another application. Also returns the route, if one matches.
    fn call(self: Arc<Self>, message: Message) -> (Option<&'static Spec>, CallFuture) {
        (None, CallFuture(Either::Right(self.answer(message))))
    }

    /// Returns the route of a call, if one matches.
    fn route_of_call(&self, _: &Message) -> Option<&'static Spec> {
        None
    }

    /// Runs the handler for an HTTP request, within the layers of the application.
    ///
    /// The response is ready to be sent: it has a `content-length` if its length is known, and the response to a HEAD
    /// request has no body.
    fn serve(self: Arc<Self>, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>>;

    /// Like [`serve`](Self::serve), for a front end that writes the `content-length` of complete bodies itself.
    ///
    /// An address or a scheme that `client` lacks may be in the extensions of the request.
    fn serve_peer(
        &self,
        request: http::Request<Body>,
        client: WebClient,
        mode: DispatchMode,
    ) -> HttpResponseFuture;

    /// Returns the default limit for request bodies, in bytes. A route can have another limit.
    fn body_limit(&self) -> usize;

    /// Returns the limit for messages of WebSockets, in bytes.
    fn message_limit(&self) -> usize;

    /// Called when the application begins to drain. Bodies without an end, such as those of events, end then.
    fn begin_drain(&self) {}

    /// Called when the application no longer waits for handlers that run, which are logged when they are dropped, and for `nowait` calls,
    /// whose response handlers get an error.
    fn give_up_handlers(&self) {}

    /// Returns the `nowait` calls of the application.
    fn detached_calls(&self) -> Option<&DetachedCalls> {
        None
    }

    /// Returns the number of handlers that run.
    fn running_handlers(&self) -> usize {
        0
    }

    /// Returns the routes, grouped by pattern. The groups are in the order of their first routes in the route list.
    fn specs(&self) -> Vec<&'static Spec> {
        Vec::new()
    }
}

/// Decides whether [`Application::serve_peer`] polls the handler before it returns. An application with layers never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DispatchMode {
    /// Never: the handler runs when the returned future is polled.
    Deferred,
    /// Once, if recent responses of the handler were fast. Measures the handler. For tasks that serve many requests.
    InlineIfFast,
    /// Once. For tasks that have nothing else to do until the response is ready.
    Inline,
}

/// The future of a call's response.
///
/// Most handlers have neither limits nor an access log around them; these are not boxed again.
pub struct CallFuture(pub(crate) Either<CaughtHandler, BoxFuture<'static, Response>>);

type CaughtHandler = CatchPanic<BoxFuture<'static, Response>, Arc<HandlerEnvironment>>;

impl Future for CallFuture {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        self.0.poll_unpin(cx)
    }
}

/// The response to an HTTP request: `Left` if it is ready.
pub type HttpResponseFuture = Either<Ready<http::Response<Body>>, BoxFuture<'static, http::Response<Body>>>;

/// A source of messages for an application: [`Http`](crate::Http), [`Mongrel2`](crate::Mongrel2),
/// [`Service`](crate::Service) or `legacy::Service`.
///
/// Pass one to [`App::serve`](crate::App::serve), and any further ones to [`App::also`](crate::App::also).
///
/// ```no_run
/// use brubeck::Connection;
/// use brubeck::prelude::*;
///
/// /// Serves the same application in development and behind Mongrel2.
/// async fn serve(app: App<()>, connection: impl Connection) -> brubeck::Result {
///     app.drain(std::time::Duration::from_secs(5)).serve(connection).await
/// }
///
/// # async fn example(app: App<()>) -> brubeck::Result {
/// serve(app, Http::bind("127.0.0.1:6767")).await
/// # }
/// ```
///
/// The trait is sealed: only brubeck implements it.
pub trait Connection: Send + 'static {
    /// Binds or connects, and validates the settings. No message is taken yet.
    ///
    /// # Errors
    ///
    /// The returned future fails if an address cannot be bound, or if an address or another setting is not valid.
    #[doc(hidden)]
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>>;
}

/// A connection that is bound or connected, and ready to serve.
pub struct OpenConnection {
    /// The address for logs and for [`Running::address`](crate::Running::address): `http://127.0.0.1:6767`.
    pub address: String,
    /// Serves until the stop is requested, and then until all accepted messages are answered.
    pub serve: Box<dyn FnOnce(Stop) -> BoxFuture<'static, ()> + Send>,
    /// The listeners of the connection. They are closed when the application is dropped, before the drop returns.
    pub listeners: Vec<ListenerGuard>,
}

/// Signals a [`Connection`] to stop accepting messages.
#[derive(Clone)]
pub struct Stop {
    requested: watch::Receiver<bool>,
    /// Only HTTP connections need it.
    #[cfg_attr(not(feature = "http"), allow(dead_code))]
    limit: Duration,
}

impl Stop {
    /// Creates a signal. Sending `true`, or dropping all senders, requests the stop.
    /// After that, accepted messages have the time `limit`.
    pub(crate) fn new(limit: Duration) -> (watch::Sender<bool>, Stop) {
        let (sender, requested) = watch::channel(false);
        (sender, Stop { requested, limit })
    }

    /// Returns the time that accepted messages have once the stop is requested.
    #[cfg(feature = "http")]
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits until the stop is requested.
    pub async fn requested(&mut self) {
        // An error means that all senders were dropped, and the application with them.
        let _ = self.requested.wait_for(|stop| *stop).await;
    }

    /// Returns `false` only if [`requested`](Self::requested) would not complete yet. Takes no lock. Call it on a clone whose
    /// `requested` is never polled: one that has seen the request returns `false` again.
    pub(crate) fn may_be_requested(&self) -> bool {
        self.requested.has_changed().unwrap_or(true)
    }
}

//! The context of a handler: the message, the captures of its route, and the application.

use super::Captures;
#[cfg(feature = "multipart")]
use super::Multipart;
use crate::message::Message;
#[cfg(feature = "multipart")]
use crate::response::Rejection;
use crate::rpc::api::{ResponseHandlers, Services};
use crate::scope::RequestScope;
use crate::session::{Sessions, SigningKeys};
use crate::trace::Trace;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::watch;

/// The context in which a handler runs. Extractors read from it.
///
/// ```
/// use brubeck::{Context, FromMessage, Message, Method};
///
/// struct UserAgent(String);
///
/// impl<S: Send + Sync + 'static> FromMessage<S> for UserAgent {
///     type Rejection = std::convert::Infallible;
///
///     async fn from_message(cx: &Context<S>) -> Result<UserAgent, Self::Rejection> {
///         let name = cx.message().headers().get("user-agent");
///         Ok(UserAgent(name.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()))
///     }
/// }
/// ```
pub struct Context<S> {
    app: Arc<AppContext<S>>,
    message: Message,
    captures: Captures,
    argument: &'static str,
    scope: Option<Arc<RequestScope>>,
    cancel_signal: CancelSignal,
    /// Boxed, because most handlers do not need it.
    trace: OnceLock<Box<Trace>>,
    #[cfg(feature = "multipart")]
    multipart: OnceLock<Box<Result<Multipart, Rejection>>>,
}

/// Signals the end of a handler: the sender is dropped when the handler returns or is cancelled. Created on first use.
type CancelSignal = OnceLock<watch::Sender<()>>;

/// The part of a context that lives as long as the handler. The message, which can be large, is dropped once the arguments
/// are extracted.
#[doc(hidden)]
#[must_use = "dropping it signals that the handler has ended"]
pub struct HandlerGuard<S> {
    app: Arc<AppContext<S>>,
    _cancel_signal: CancelSignal,
}

impl<S> HandlerGuard<S> {
    /// Returns the state of the application.
    pub fn state(&self) -> &S {
        &self.app.state
    }
}

/// The application, shared by all of its handlers. One `Arc` holds all fields, so that a request updates only one
/// reference count.
pub(crate) struct AppContext<S> {
    pub(crate) state: S,
    pub(crate) settings: ContextSettings,
}

/// The part of an application that extractors use and that does not depend on its state.
pub(crate) struct ContextSettings {
    pub(crate) services: Services,
    /// Weak, because the response handlers own this context: a strong reference would be a cycle.
    pub(crate) response_handlers: Weak<dyn ResponseHandlers>,
    /// `None` without a cookie secret.
    pub(crate) cookie_keys: Option<SigningKeys>,
    pub(crate) login_url: Option<String>,
    pub(crate) sessions: Sessions,
    /// The application runs without TLS, and says so.
    pub(crate) plain_http: bool,
    pub(crate) development: bool,
    /// A trace that begins in this application is marked as sampled.
    pub(crate) sample_traces: bool,
}

#[cfg(test)]
impl<S> AppContext<S> {
    pub(crate) fn for_tests(state: S) -> AppContext<S> {
        struct NoResponseHandlers;
        impl ResponseHandlers for NoResponseHandlers {
            fn handles(&self, _: &crate::rpc::api::CallTarget) -> bool {
                false
            }

            fn detached_calls(&self) -> &crate::rpc::api::DetachedCalls {
                unreachable!("no calls in this test")
            }

            fn takes_errors(&self, _: &crate::rpc::api::CallTarget) -> bool {
                false
            }

            fn respond(
                self: Arc<Self>,
                _: Message,
            ) -> futures_util::future::BoxFuture<'static, Option<crate::rpc::api::Handled>> {
                Box::pin(std::future::ready(None))
            }
        }
        let settings = ContextSettings {
            services: Services::new(crate::rpc::api::ServiceNetwork::sockets(Arc::new(|_| {
                Err(crate::Error::new("no services in this test"))
            }))),
            response_handlers: Weak::<NoResponseHandlers>::new(),
            cookie_keys: None,
            login_url: None,
            sessions: Sessions::default(),
            plain_http: false,
            development: true,
            sample_traces: false,
        };
        AppContext { state, settings }
    }
}

impl<S> Context<S> {
    /// `scope` is that of the web request that waits for the response.
    #[inline]
    pub(crate) fn new(
        app: Arc<AppContext<S>>,
        message: Message,
        captures: Captures,
        scope: Option<Arc<RequestScope>>,
    ) -> Context<S> {
        Context {
            app,
            message,
            captures,
            argument: "",
            scope,
            cancel_signal: OnceLock::new(),
            trace: OnceLock::new(),
            #[cfg(feature = "multipart")]
            multipart: OnceLock::new(),
        }
    }

    /// Returns the scope of the web request, or `None` for service calls and service responses. Fallbacks and catchers have scopes of
    /// their own.
    pub(crate) fn scope(&self) -> Option<&Arc<RequestScope>> {
        self.scope.as_ref()
    }

    /// Returns the state of the application.
    ///
    /// ```
    /// use brubeck::Context;
    ///
    /// fn limit(cx: &Context<u32>) -> u32 {
    ///     *cx.state()
    /// }
    /// ```
    pub fn state(&self) -> &S {
        &self.app.state
    }

    /// Returns the message.
    ///
    /// ```
    /// use brubeck::Context;
    ///
    /// fn is_from_cache<S>(cx: &Context<S>) -> bool {
    ///     cx.message().headers().contains_key("via")
    /// }
    /// ```
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Returns the text of the capture with an index, counted from 0. It is percent-decoded, and is the text that the group has
    /// matched. Returns `None` if the route has no such capture, or the group did not participate in the match.
    #[doc(hidden)]
    pub fn capture(&self, index: usize) -> Option<Cow<'_, str>> {
        let range = self.captures.get(index)?;
        self.message.routed_path().get(range).map(Cow::Borrowed)
    }

    /// Returns the name of the handler argument that is being extracted. It is empty for an argument of a [hook](crate::App::before).
    ///
    /// ```
    /// use brubeck::{Context, Rejection, Status};
    ///
    /// fn missing<S>(cx: &Context<S>) -> Rejection {
    ///     Rejection::new(Status::BAD_REQUEST, format!("`{}` is missing", cx.argument()))
    /// }
    /// ```
    pub fn argument(&self) -> &'static str {
        self.argument
    }

    #[doc(hidden)]
    pub fn bind(&mut self, argument: &'static str) {
        self.argument = argument;
    }

    /// Drops the message, once all arguments are extracted.
    #[doc(hidden)]
    pub fn release_message(self) -> HandlerGuard<S> {
        HandlerGuard {
            app: self.app,
            _cancel_signal: self.cancel_signal,
        }
    }

    /// Returns a receiver that closes when the handler ends or is cancelled.
    pub(crate) fn cancel_signal(&self) -> watch::Receiver<()> {
        self.cancel_signal
            .get_or_init(|| watch::Sender::new(()))
            .subscribe()
    }

    /// Returns the trace of the message, or starts one.
    pub(crate) fn trace(&self) -> &Trace {
        self.trace.get_or_init(|| {
            let trace = Trace::from_message(&self.message);
            Box::new(trace.unwrap_or_else(|| Trace::new_root(self.app.settings.sample_traces)))
        })
    }

    /// Returns the multipart form of the message, which is decoded once for all arguments.
    #[cfg(feature = "multipart")]
    pub(super) fn multipart(&self) -> Result<&Multipart, Rejection> {
        let form = self
            .multipart
            .get_or_init(|| Box::new(Multipart::read(&self.message)));
        form.as_ref().as_ref().map_err(Clone::clone)
    }

    pub(crate) fn settings(&self) -> &ContextSettings {
        &self.app.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;
    use bytes::Bytes;

    #[test]
    fn released_context_drops_message_and_keeps_cancel_signal_open() {
        struct Body(Arc<[u8]>);
        impl AsRef<[u8]> for Body {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let held: Arc<[u8]> = Arc::new(*b"{}");
        let body = Bytes::from_owner(Body(held.clone()));
        let message = Message::service(Method::Request, "/a").with_body(body);
        let app = Arc::new(AppContext::for_tests(7));
        let cx = Context::new(app, message, Captures::default(), None);
        let signal = cx.cancel_signal();
        let guard = cx.release_message();
        assert_eq!((Arc::strong_count(&held), *guard.state()), (1, 7));
        assert!(signal.has_changed().is_ok());
        drop(guard);
        assert!(signal.has_changed().is_err());
    }
}

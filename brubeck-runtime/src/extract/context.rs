//! Where a handler runs: its message, the captures of its route, and the application app it.

use super::Captures;
use crate::message::Message;
use crate::rpc::api::{ResponseHandlers, Services};
use crate::scope::RequestScope;
use crate::session::SigningKeys;
use crate::trace::Trace;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::watch;

/// One message on its way through a handler; extractors read from it.
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
    alive: CancelSignal,
    /// Boxed, because most handlers never ask.
    trace: OnceLock<Box<Trace>>,
}

/// Goes when the handler ends or is stopped; made for whoever asks.
type CancelSignal = OnceLock<watch::Sender<()>>;

/// What is left of a context once its arguments are read. It lives as long as the handler runs; the message, which may be
/// large, does not.
#[doc(hidden)]
#[must_use = "it lives as long as the handler runs"]
pub struct HandlerGuard<S> {
    app: Arc<AppContext<S>>,
    _alive: CancelSignal,
}

impl<S> HandlerGuard<S> {
    /// The state of the application.
    pub fn state(&self) -> &S {
        &self.app.state
    }
}

/// The application as its handlers see it; they share it by one count, which all threads write.
pub(crate) struct AppContext<S> {
    pub(crate) state: S,
    pub(crate) services: Services,
    /// The response handlers of the application.
    pub(crate) response_handlers: Weak<dyn ResponseHandlers>,
    /// The keys that sign cookies, if there is a secret.
    pub(crate) cookie_keys: Option<SigningKeys>,
    /// The page on which browsers log in.
    pub(crate) login_url: Option<String>,
}

#[cfg(test)]
impl<S> AppContext<S> {
    /// An application that calls no services and signs no cookies.
    pub(crate) fn for_tests(state: S) -> AppContext<S> {
        struct None;
        impl ResponseHandlers for None {
            fn handles(&self, _: &str) -> bool {
                false
            }

            fn respond(
                self: Arc<Self>,
                _: Message,
            ) -> futures_util::future::BoxFuture<'static, Option<crate::rpc::api::Handled>> {
                Box::pin(std::future::ready(Option::None))
            }
        }
        AppContext {
            state,
            services: Services::new(Arc::new(|_| Err(crate::Error::new("there are no services")))),
            response_handlers: Weak::<None>::new(),
            cookie_keys: Option::None,
            login_url: Option::None,
        }
    }
}

impl<S> Context<S> {
    pub(crate) fn new(app: Arc<AppContext<S>>, message: Message, captures: Captures) -> Context<S> {
        Context {
            app,
            message,
            captures,
            argument: "",
            scope: None,
            alive: OnceLock::new(),
            trace: OnceLock::new(),
        }
    }

    /// The same, for an answer that is waited for.
    pub(crate) fn with_scope(mut self, scope: Arc<RequestScope>) -> Context<S> {
        self.scope = Some(scope);
        self
    }

    /// The answer that is waited for, where that is one to a browser.
    pub(crate) fn scope(&self) -> Option<&Arc<RequestScope>> {
        self.scope.as_ref()
    }

    /// The state of the application.
    pub fn state(&self) -> &S {
        &self.app.state
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The text of the capture with this index, percent-decoded; `None` where its group took no part in
    /// the match or is not valid UTF-8.
    pub fn capture(&self, index: usize) -> Option<Cow<'_, str>> {
        let range = self.captures.get(index)?;
        percent_decode(self.message.path().get(range)?)
    }

    /// The name of the handler argument that is being extracted.
    pub fn argument(&self) -> &'static str {
        self.argument
    }

    #[doc(hidden)]
    pub fn bind(&mut self, argument: &'static str) {
        self.argument = argument;
    }

    /// Lets the message go.
    #[doc(hidden)]
    pub fn release_message(self) -> HandlerGuard<S> {
        HandlerGuard {
            app: self.app,
            _alive: self.alive,
        }
    }

    /// Holds on until the handler ends or is stopped.
    pub(crate) fn alive(&self) -> watch::Receiver<()> {
        self.alive.get_or_init(|| watch::Sender::new(())).subscribe()
    }

    /// The trace that all of what the handler does belongs to, whoever began it.
    pub(crate) fn trace(&self) -> &Trace {
        self.trace
            .get_or_init(|| Box::new(Trace::from_message(&self.message)))
    }

    /// The application.
    pub(crate) fn app(&self) -> &AppContext<S> {
        &self.app
    }
}

fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;
    use bytes::Bytes;

    #[test]
    fn a_context_that_has_settled_has_no_message_and_stays_alive() {
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
        let cx = Context::new(app, message, Captures::default());
        let alive = cx.alive();
        let settled = cx.release_message();
        assert_eq!((Arc::strong_count(&held), *settled.state()), (1, 7));
        assert!(alive.has_changed().is_ok());
        drop(settled);
        assert!(alive.has_changed().is_err());
    }

    #[test]
    fn captures_are_percent_decoded() {
        let decode = |text| percent_decode(text).map(|t| t.into_owned());
        assert_eq!(decode("a%20b%2Fc").as_deref(), Some("a b/c"));
        assert_eq!(decode("caf%C3%A9").as_deref(), Some("café"));
        assert_eq!(decode("100%").as_deref(), Some("100%"));
        assert_eq!(decode("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(decode("%ff"), None);
    }
}

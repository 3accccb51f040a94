//! The services that an application calls, each connected once over a link.

use super::{CallError, CallerContext, Client, Handled, ServiceAddress, ServiceRequest, ServiceResponse};
use crate::message::Message;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Opens a link to a service.
pub(crate) type OpenLink = Arc<dyn Fn(&ServiceAddress) -> crate::Result<Arc<dyn Link>> + Send + Sync>;

/// The services of this application; as a handler argument it connects to them.
///
/// ```no_run
/// use brubeck::prelude::*;
///
/// #[get("^/service/async")]
/// async fn call_async(services: Services) -> Result<&'static str, CallError> {
///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
///     slow.request("/service/slow").argument("RETURN_DATA", "hello").nowait();
///     Ok("on its way")
/// }
/// ```
#[derive(Clone)]
pub struct Services {
    open: OpenLink,
    registered: Arc<Mutex<HashMap<String, Registered>>>,
    caller: Option<Arc<CallerContext>>,
}

struct Registered {
    service: ServiceAddress,
    link: Arc<dyn Link>,
}

impl Services {
    /// The same services, called on behalf of this caller.
    pub(crate) fn with_caller(&self, caller: Option<Arc<CallerContext>>) -> Services {
        Services {
            caller,
            ..self.clone()
        }
    }

    pub(crate) fn new(open: OpenLink) -> Services {
        Services {
            open,
            registered: Arc::default(),
            caller: None,
        }
    }

    /// A client of the service at this address. The first call connects; all later ones share that
    /// connection, also when many come at once.
    ///
    /// # Errors
    ///
    /// [`Refused`](CallError::Refused): the address is none, or was registered with another passphrase.
    /// A service that does not run yet is no error: calls wait for it until their deadline.
    pub fn register(&self, address: &str, passphrase: &str) -> Result<Client, CallError> {
        self.connect(&ServiceAddress::new(address, passphrase))
    }

    /// The same for a service that is spoken to in another way.
    ///
    /// ```no_run
    /// use brubeck::prelude::*;
    /// use brubeck::{Dialect, ServiceAddress};
    ///
    /// #[get("^/service/async")]
    /// async fn call_async(services: Services, slow: State<ServiceAddress>) -> Result<&'static str, CallError> {
    ///     services.connect(&slow)?.request("/service/slow").argument("RETURN_DATA", "hello").nowait();
    ///     Ok("on its way")
    /// }
    ///
    /// # fn main() {
    /// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
    ///     .dialect(Dialect::Pypi)
    ///     .responses_at("ipc://run/slow_response");
    /// let app = App::new(routes![call_async], slow);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`register`](Services::register), also where the address was registered with another dialect or
    /// another address for the answers, and where one of two addresses that are bound cannot be.
    pub fn connect(&self, service: &ServiceAddress) -> Result<Client, CallError> {
        let refused = |reason: String| CallError::Refused(reason.into());
        let address = service.address();
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        let link = match registered.get(address) {
            Some(known) => match known.service.conflict(service) {
                Some(conflict) => {
                    return Err(refused(format!(
                        "the service {address} is registered with {conflict}"
                    )));
                }
                None => known.link.clone(),
            },
            None => {
                let link = (self.open)(service).map_err(|error| refused(format!("{error:?}")))?;
                let known = Registered {
                    service: service.clone(),
                    link: link.clone(),
                };
                registered.insert(address.to_owned(), known);
                link
            }
        };
        let client = Client::over(link);
        Ok(match &self.caller {
            Some(caller) => client.with_caller(caller.clone()),
            None => client,
        })
    }
}

/// The answer of a call that a service has taken: its body is the text of a JSON value.
pub type PendingResponse = BoxFuture<'static, Result<ServiceResponse<Bytes>, CallError>>;

/// Carries requests to one service and brings the answers.
///
/// Implemented by the ZeroMQ client and by services in memory.
pub trait Link: Send + Sync + 'static {
    /// Sends the request; the future ends with the service's answer, or with a typed error no later than the deadline.
    /// Dropping the future gives the call up and frees all that was kept for it.
    fn call(&self, request: ServiceRequest, origin: Option<Origin>, deadline: Instant) -> PendingResponse;

    /// Sends the request; the future ends when a process of the service has taken it, with a future of the
    /// answer. A wire that does not tell when a request is taken counts it as taken at once.
    fn post(
        &self,
        request: ServiceRequest,
        origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<PendingResponse, CallError>> {
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

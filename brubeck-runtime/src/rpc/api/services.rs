//! The services that an application calls, and the links to them.

use super::{
    CallError, CallErrorReason, CallSite, CallTarget, CallerContext, Client, Credentials, DetachedCalls,
    Handled, OpenLink, ResponseBody, RuntimeLinks, ServiceAddress, ServiceNetwork, ServiceRequest,
    ServiceResponse,
};
use crate::message::Message;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// The services that an application calls, as a handler argument.
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
///
/// `Services` is the calling side; its counterpart, which serves calls, is [`Service`](crate::Service).
///
/// All handlers of an application share the connections to a service, so a handler may register the service each time it
/// runs. A registered service stays connected until the application ends; do not register addresses that come from requests.
#[derive(Clone)]
pub struct Services {
    network: ServiceNetwork,
    registered: Arc<Mutex<HashMap<String, Registered>>>,
    caller: Option<Arc<CallerContext>>,
}

struct Registered {
    address: ServiceAddress,
    link: Arc<dyn Link>,
}

impl Services {
    pub(crate) fn new(network: ServiceNetwork) -> Services {
        Services {
            network,
            registered: Arc::default(),
            caller: None,
        }
    }

    /// Returns the same services, with clients that make their calls on behalf of `caller`.
    pub(crate) fn with_caller(&self, caller: Option<Arc<CallerContext>>) -> Services {
        Services {
            caller,
            ..self.clone()
        }
    }

    /// Returns a client of the state, which uses the network of the test if the application runs in one.
    pub(crate) fn adopt(&self, client: Client) -> Client {
        let Some(open) = &self.network.in_test else {
            return client;
        };
        let link = client.link.in_test(&|service| {
            self.link_over(service, open.clone())
                // A call fails with the same error, and names its operation.
                .unwrap_or_else(|_| Arc::new(RuntimeLinks::lazy(service.clone(), open.clone())))
        });
        link.map_or(client, Client::over)
    }

    /// Returns a client of the service at `address`, which uses brubeck's protocol.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("/slow")]
    /// async fn slow(services: Services) -> Result<String, CallError> {
    ///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
    ///     let response = slow.request("/service/slow").argument("text", "hello").await?;
    ///     Ok(response.body.to_string())
    /// }
    /// ```
    ///
    /// `address` is `ipc://path/of/socket` or `tcp://host:port`, and `credentials` a secret or a [`KeyPair`](crate::KeyPair). The first registration of an address connects in the background. Later
    /// registrations, including concurrent ones, share that connection. For several addresses, other limits or a dialect of the Python
    /// original, use [`connect`](Services::connect). The Python original calls this method `register_service`.
    ///
    /// It is not an error if the service is not running yet: calls wait for the first connection, until one second after the registration, and
    /// then fail with [`NoWorkers`](CallError::NoWorkers). After the loss of a connection, they wait for 5 seconds, because the service is
    /// probably being restarted. Calls that are made before a host name has been resolved for the first time wait
    /// until their deadline.
    ///
    /// # Errors
    ///
    /// Returns [`Refused`](CallError::Refused)
    ///
    /// * if `address` is not a valid endpoint,
    /// * if it is already registered with another secret or other options,
    /// * outside of a tokio runtime.
    pub fn register(&self, address: &str, credentials: impl Into<Credentials>) -> Result<Client, CallError> {
        self.connect(&ServiceAddress::new(address, credentials))
    }

    /// Returns a client of a service that needs options: a dialect, several addresses, or limits.
    ///
    /// ```no_run
    /// use brubeck::{Dialect, ServiceAddress};
    /// use brubeck::prelude::*;
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
    /// Returns [`Refused`](CallError::Refused) as [`register`](Services::register) does, and if the options do not fit the dialect, if the
    /// dialect would send the passphrase to other machines without [`allow_clear_text`](ServiceAddress::allow_clear_text), or if an
    /// address that the client has to bind cannot be bound. In a dialect, calls wait for a connection until their deadline.
    pub fn connect(&self, service: &ServiceAddress) -> Result<Client, CallError> {
        let client = Client::over(self.link(service)?);
        Ok(match &self.caller {
            Some(caller) => client.with_caller(caller.clone()),
            None => client,
        })
    }

    /// Returns the link to `service`, which is opened if the service is not registered yet.
    fn link(&self, service: &ServiceAddress) -> Result<Arc<dyn Link>, CallError> {
        self.link_over(service, self.network.open.clone())
    }

    fn link_over(&self, service: &ServiceAddress, open: OpenLink) -> Result<Arc<dyn Link>, CallError> {
        let address = service.address();
        let refused = |reason: CallErrorReason| {
            let trace = self.caller.as_deref().map(|caller| &caller.trace);
            CallError::Refused(reason).at(CallSite::of_service(address, trace))
        };
        // The lock is held while the link is opened, so that concurrent callers do not open two.
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = registered.get(address) {
            return match known.address.conflict(service) {
                None => Ok(known.link.clone()),
                Some(conflict) => Err(refused(
                    format!("the service {address} is already registered with {conflict}; use the same options everywhere")
                        .into(),
                )),
            };
        }
        let link = RuntimeLinks::open(service, open).map_err(|error| refused(CallErrorReason::of(error)))?;
        let known = Registered {
            address: service.clone(),
            link: link.clone(),
        };
        registered.insert(address.to_owned(), known);
        Ok(link)
    }
}

/// The future of a response. The body of the response is JSON text, and the bytes to which it refers.
pub type PendingResponse = BoxFuture<'static, Result<ServiceResponse<ResponseBody>, CallError>>;

/// The connection between a [`Client`] and its service.
///
/// A link sends requests and returns the futures of their responses. It is not one socket: the link of a service with
/// several workers has a connection to each. There are implementations for brubeck's own protocol and for the dialects of
/// the Python original.
pub trait Link: Send + Sync + 'static {
    /// Sends a request and returns the future of its response.
    ///
    /// The future ends by `deadline` with a response or an error. Dropping it cancels the call and frees its resources.
    fn call(&self, request: ServiceRequest, origin: Option<Origin>, deadline: Instant) -> PendingResponse;

    /// Sends a request and waits until a worker has accepted it. Returns the future of its response.
    ///
    /// The default implementation uses [`call`](Link::call) and counts the request as accepted at once, because not every
    /// protocol acknowledges requests.
    fn post(
        &self,
        request: ServiceRequest,
        origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<PendingResponse, CallError>> {
        let response = self.call(request, origin, deadline);
        Box::pin(std::future::ready(Ok(response)))
    }

    /// Returns the address of the service, for logs and error messages.
    fn address(&self) -> &str;

    /// Adds a worker; see [`Client::add_worker`].
    ///
    /// # Errors
    ///
    /// Returns an error as [`Client::add_worker`] does. The default implementation always returns an error.
    fn add_worker(&self, address: &str) -> crate::Result<()> {
        Err(self.fixed_workers_error(address))
    }

    /// Removes a worker, and returns `false` if it is not known; see [`Client::remove_worker`].
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) as [`Client::remove_worker`] does. The default implementation always returns an error.
    fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        Err(self.fixed_workers_error(address))
    }

    /// Returns the link that replaces this one in a test, if it is opened by its first call. `open` opens it.
    #[doc(hidden)]
    fn in_test(&self, _open: &dyn Fn(&ServiceAddress) -> Arc<dyn Link>) -> Option<Arc<dyn Link>> {
        None
    }

    /// Returns `true` if the link can send no more calls, because the tokio runtime of its tasks has ended.
    #[doc(hidden)]
    fn is_closed(&self) -> bool {
        false
    }

    /// Records that a response of this worker could not be read.
    #[doc(hidden)]
    fn response_unreadable(&self, _worker: &str) {}

    /// Returns the addresses of the workers. The default implementation returns the address of the service.
    fn workers(&self) -> Vec<String> {
        vec![self.address().to_owned()]
    }

    #[doc(hidden)]
    fn fixed_workers_error(&self, address: &str) -> crate::Error {
        crate::Error::new(format!(
            "cannot add or remove the worker {address}: the service at {} has a fixed address; only clients of brubeck's \
             own protocol can change their workers",
            self.address()
        ))
    }
}

/// The response handlers of an application. Its clients run them when a response arrives.
pub(crate) trait ResponseHandlers: Send + Sync + 'static {
    /// Returns `true` if a response handler is listed for a call.
    fn handles(&self, call: &CallTarget) -> bool;

    /// Returns the counter of the `nowait` calls of the application.
    fn detached_calls(&self) -> &DetachedCalls;

    /// Returns `true` if the response handler of a call takes the error of a call without a response.
    fn takes_errors(&self, call: &CallTarget) -> bool;

    /// Runs the response handler of the call that `response` ends: that of its operation, or the one whose route matches its path.
    ///
    /// Returns `None` if no handler matches, or if the handler rejected the response or panicked, which is logged.
    fn respond(self: Arc<Self>, response: Message) -> BoxFuture<'static, Option<Handled>>;
}

/// The Mongrel2 request on whose behalf a handler calls a service.
///
/// As in the Python original, the dialects send the origin to the service. Brubeck's protocol does not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The identity of the Mongrel2 server.
    pub sender_id: Bytes,
    /// The ID of the browser's connection to that server.
    pub conn_id: Bytes,
    /// The address to which responses to the browser are sent.
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

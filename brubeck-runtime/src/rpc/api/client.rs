//! A client of one service.

use super::{Call, Deadline, Link, Origin, ResponseHandlers, ServiceRequest};
use crate::trace::Trace;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The timeout of a call that sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one service. Clones are cheap and share its connections.
///
/// ```no_run
/// use brubeck::prelude::*;
///
/// #[get("^/service/sync")]
/// async fn call_sync(services: Services) -> Result<String, CallError> {
///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
///     let response = slow.request("/service/slow").argument("RETURN_DATA", "hello").await?;
///     Ok(response.body["RETURN_DATA"].to_string())
/// }
/// ```
///
/// A client from [`Services`](super::Services) belongs to the application: the response handlers of the application run
/// for its [`handled`](Call::handled) and [`nowait`](Call::nowait) calls. Its calls inherit the deadline and the trace of
/// the message that the handler processes. A call that is made after the handler of a service call
/// has ended, or after the response to a web request was sent, inherits the trace but not the deadline.
///
/// A client from [`Client::connect`] belongs to no application: its `nowait` calls are refused, and no response handler runs
/// for its `handled` calls.
#[derive(Clone)]
pub struct Client {
    pub(super) link: Arc<dyn Link>,
    pub(super) caller: Option<Arc<CallerContext>>,
}

/// The values that the calls of a handler inherit from the message that it processes, and the response handlers of its
/// application.
pub(crate) struct CallerContext {
    pub(crate) handlers: Arc<dyn ResponseHandlers>,
    pub(crate) origin: Option<Origin>,
    pub(crate) deadline: Deadline,
    /// The hop count of the calls. It is one more than the hop count of the message if the message is a call in brubeck's
    /// protocol, and 0 otherwise.
    pub(crate) hops: u8,
    pub(crate) trace: Trace,
}

impl Client {
    #[doc(hidden)]
    pub fn over(link: Arc<dyn Link>) -> Client {
        Client { link, caller: None }
    }

    pub(crate) fn with_caller(self, caller: Arc<CallerContext>) -> Client {
        Client {
            caller: Some(caller),
            ..self
        }
    }

    /// Returns the address of the service.
    ///
    /// ```
    /// # fn example(slow: brubeck::Client) {
    /// println!("calls go to {}", slow.address()); // tcp://10.0.0.6:9000
    /// # }
    /// ```
    pub fn address(&self) -> &str {
        self.link.address()
    }

    /// Adds a worker of the service, or a host name that stands for several, and connects in the background.
    ///
    /// ```no_run
    /// # fn example(slow: brubeck::Client) -> brubeck::Result {
    /// slow.add_worker("tcp://10.0.0.7:9000")?;
    /// assert!(slow.remove_worker("tcp://10.0.0.6:9000")?);
    /// # Ok(()) }
    /// ```
    ///
    /// Adding an address that is already known has no effect. Clones of this client share its workers, as do all clients of
    /// the service from the [`Services`](super::Services) of one application.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if `address` is not a valid endpoint, if the client already has 256 workers, or if the service is
    /// called in a dialect of the Python original. Outside of a tokio runtime, also returns an error if the client is not connected
    /// in any runtime.
    pub fn add_worker(&self, address: &str) -> crate::Result<()> {
        self.link.add_worker(address)
    }

    /// Removes a worker, or all hosts of a host name. They get no further calls; calls in flight finish.
    ///
    /// ```
    /// # fn example(slow: brubeck::Client) -> brubeck::Result {
    /// if !slow.remove_worker("tcp://10.0.0.7:9000")? {
    ///     println!("it was removed before");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// Returns `false` if `address` was not added as it is written here. A single host of a host name cannot be removed.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if the service is called in a dialect of the Python original.
    pub fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        self.link.remove_worker(address)
    }

    /// Returns the addresses of the workers in alphabetical order, whether they are connected or not. A host name is listed
    /// as it was added, without its hosts.
    ///
    /// ```
    /// # fn example(slow: brubeck::Client) {
    /// for address in slow.workers() {
    ///     println!("{address}");
    /// }
    /// # }
    /// ```
    pub fn workers(&self) -> Vec<String> {
        self.link.workers()
    }

    /// Creates a call of `path` with the method [`Method::Request`](crate::Method::Request), which is not sent yet.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// async fn echo(slow: Client) -> Result<String, CallError> {
    ///     let response = slow.request("/service/slow").argument("text", "hello").await?;
    ///     Ok(response.body.to_string())
    /// }
    /// ```
    ///
    /// Set its arguments, body, headers and timeout with the methods of [`Call`]. Then await it, or send it with
    /// [`nowait`](Call::nowait). The call fails with [`Refused`](super::CallError::Refused) if `path` does not start with `/`. The client of a
    /// contract has typed methods instead.
    pub fn request(&self, path: impl Into<String>) -> Call {
        self.send(ServiceRequest::new(path))
    }

    /// Creates a call with this request. It is not sent before the call is awaited or [`nowait`](Call::nowait) is called.
    ///
    /// ```
    /// use brubeck::{CallError, Client, ServiceRequest};
    ///
    /// async fn echo(slow: Client) -> Result<(), CallError> {
    ///     let request = ServiceRequest::new("/service/slow").argument("text", "hello");
    ///     let response = slow.send(request).await?;
    ///     println!("{}", response.status);
    ///     Ok(())
    /// }
    /// ```
    pub fn send(&self, request: impl Into<ServiceRequest>) -> Call {
        Call {
            client: self.clone(),
            request: request.into(),
            timeout: DEFAULT_TIMEOUT,
            id: None,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address())
    }
}

//! Opens the links of clients to services, in brubeck's protocol or in a dialect of the Python original.

use crate::error::Error;
#[cfg(feature = "legacy")]
use crate::legacy;
use crate::rpc::api::{Client, Link, RuntimeLinks, ServiceAddress};
use crate::rpc::client::{Pool, system_resolver};
use crate::rpc::sealed::Sealing;
use brubeck_zmtp::WrappedZmtp;
use std::sync::Arc;
use std::time::Duration;

/// The time for which the first calls of a client wait for a connection, if the key of its secret must be derived first. In debug
/// builds, that takes most of a second.
const FIRST_CONNECT_GRACE: Duration = Duration::from_secs(3);

impl Client {
    /// Creates a client of a service. The connection is established in the background.
    ///
    /// ```no_run
    /// use brubeck::{Client, ServiceAddress};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let slow = Client::connect(&ServiceAddress::new("ipc://run/slow", "my_shared_secret"))?;
    /// let response = slow.request("/service/slow").argument("RETURN_DATA", "hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The client may outlive the tokio runtime in which it was created, and may be used in several runtimes: it connects in each of
    /// them, and closes the connections when the runtime ends. A call that is made outside of a runtime fails.
    ///
    /// The client belongs to no application, so no response handlers run for its calls. Handlers get a client of their
    /// application from [`Services`](crate::Services).
    ///
    /// A service of the Python original needs its dialect:
    ///
    /// ```no_run
    /// use brubeck::{Client, Dialect, ServiceAddress};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
    ///     .dialect(Dialect::Pypi)
    ///     .responses_at("ipc://run/slow_response");
    /// let response = Client::connect(&slow)?.request("/service/slow").argument("RETURN_DATA", "hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if an address is not a valid endpoint, or if
    /// [`responses_at`](ServiceAddress::responses_at) was called for a protocol that has no address for responses.
    ///
    /// With a dialect, also returns an error if the feature `legacy` is off, if there are several addresses, if
    /// [`responses_at`](ServiceAddress::responses_at) was not called and the dialect requires it, if an address is not local and
    /// [`allow_clear_text`](ServiceAddress::allow_clear_text) was not called, or if an address that the client has to bind cannot
    /// be bound. Such a client is connected in one runtime at a time; calls that are made in other runtimes use its connections.
    ///
    /// Also returns an error outside of a tokio runtime.
    ///
    /// It is not an error if the service is not running yet. In brubeck's protocol the first calls wait for it, for at most a second
    /// after the client was created. In a dialect every call waits for it until its deadline.
    #[cfg_attr(docsrs, doc(cfg(feature = "services")))]
    pub fn connect(service: &ServiceAddress) -> crate::Result<Client> {
        Ok(Client::over(RuntimeLinks::open(service, Arc::new(open_client))?))
    }

    /// Creates a client that connects at its first call.
    ///
    /// ```
    /// use brubeck::{Client, ServiceAddress};
    ///
    /// let slow = Client::lazy(ServiceAddress::new("ipc://run/slow", "my_shared_secret"));
    /// assert_eq!(slow.address(), "ipc://run/slow");
    /// ```
    ///
    /// It is cheap, needs no runtime, and never fails. If the address is invalid, the calls fail with
    /// [`Refused`](crate::CallError::Refused), and each of them tries again. The clients of contracts are made of one by their function `at`, such
    /// as `SlowEchoClient::at`. In a [`TestSite`](crate::TestSite), a lazy client that a handler takes from the state uses the network of the site.
    #[cfg_attr(docsrs, doc(cfg(feature = "services")))]
    pub fn lazy(service: ServiceAddress) -> Client {
        Client::over(Arc::new(RuntimeLinks::lazy(service, Arc::new(open_client))))
    }
}

/// Opens the link to a service. The connection is established in the background.
pub(crate) fn open_client(service: &ServiceAddress) -> crate::Result<Arc<dyn Link>> {
    if let Some(dialect) = service.selected_dialect() {
        service
            .passphrase()?
            .check(format!("call the service at {}", service.address()))?;
        #[cfg(feature = "legacy")]
        return legacy::client::open(dialect, service);
        #[cfg(not(feature = "legacy"))]
        return Err(Error::new(format!(
            "cannot call the service at {} in the dialect {dialect}: enable the feature `legacy` of the crate `brubeck`",
            service.address()
        )));
    }
    let address = service.address();
    if service.responses().is_some() {
        return Err(Error::new(format!(
            "cannot call the service at {address}: brubeck's protocol returns responses over the same connection; \
             remove `.responses_at(..)`, or add `.dialect(Dialect::Pypi)`"
        )));
    }
    let call = format!("call the service at {address}");
    let sealing = Sealing::new(address, &service.credentials(), call)?;
    // The first calls also wait until the key is derived.
    let connect_grace = (!sealing.is_ready()).then_some(FIRST_CONNECT_GRACE);
    let transport = Arc::new(WrappedZmtp::new(Arc::new(sealing)));
    let resolver = Some(system_resolver());
    Ok(Arc::new(Pool::open(transport, service, resolver, connect_grace)?))
}

//! Opens the links of clients to services, in brubeck's protocol or in a dialect of the Python original.

use crate::error::Error;
#[cfg(feature = "legacy")]
use crate::legacy;
use crate::rpc::api::{CallError, Client, Link, Origin, PendingResponse, ServiceAddress, ServiceRequest};
use crate::rpc::client::{Pool, system_resolver};
use brubeck_zmtp::Zmtp;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

impl Client {
    /// Creates a client of a service. The connection is established in the background.
    ///
    /// The client belongs to no application, so no response handlers run for its calls. Handlers get a client of their
    /// application from [`Services`](crate::Services).
    ///
    /// # Examples
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
    /// Returns an error if an address is not a valid endpoint, or if
    /// [`responses_at`](ServiceAddress::responses_at) was called for a protocol that has no address for responses.
    ///
    /// With a dialect, also returns an error if the feature `legacy` is off, if there are several addresses, if
    /// [`responses_at`](ServiceAddress::responses_at) was not called and the dialect requires it, if an address is not local and
    /// [`allow_clear_text`](ServiceAddress::allow_clear_text) was not called, or if an address that the client has to bind cannot
    /// be bound.
    ///
    /// It is not an error if the service is not running yet. In brubeck's protocol the first calls wait for it, for at most a second
    /// after the client was created. In a dialect every call waits for it until its deadline.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn connect(service: &ServiceAddress) -> crate::Result<Client> {
        Ok(Client::over(open_client(service)?))
    }

    /// Creates a client that opens its link when it is first used. If that fails, the call fails, and the next call tries again.
    #[doc(hidden)]
    pub fn lazy(service: ServiceAddress) -> Client {
        Client::over(Arc::new(LazyLink {
            service,
            link: Mutex::new(None),
        }))
    }
}

/// A link that is opened when it is first used.
struct LazyLink {
    service: ServiceAddress,
    link: Mutex<Option<Arc<dyn Link>>>,
}

impl LazyLink {
    /// Returns the link, and opens it if necessary. After an error the next call tries again.
    fn open(&self) -> crate::Result<Arc<dyn Link>> {
        let mut opened = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = &*opened {
            return Ok(link.clone());
        }
        let link = open_client(&self.service)?;
        *opened = Some(link.clone());
        Ok(link)
    }

    fn open_for_call(&self) -> Result<Arc<dyn Link>, CallError> {
        self.open()
            .map_err(|error| CallError::Refused(format!("{error:?}").into()))
    }
}

impl Link for LazyLink {
    fn call(&self, request: ServiceRequest, origin: Option<Origin>, deadline: Instant) -> PendingResponse {
        match self.open_for_call() {
            Ok(link) => link.call(request, origin, deadline),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn post(
        &self,
        request: ServiceRequest,
        origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<PendingResponse, CallError>> {
        match self.open_for_call() {
            Ok(link) => link.post(request, origin, deadline),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn address(&self) -> &str {
        self.service.address()
    }

    fn add_worker(&self, address: &str) -> crate::Result<()> {
        self.open()?.add_worker(address)
    }

    fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        self.open()?.remove_worker(address)
    }

    fn workers(&self) -> Vec<String> {
        match self.open() {
            Ok(link) => link.workers(),
            Err(_) => self.service.addresses().map(str::to_owned).collect(),
        }
    }
}

/// Opens the link to a service. The connection is established in the background.
pub(crate) fn open_client(service: &ServiceAddress) -> crate::Result<Arc<dyn Link>> {
    if let Some(dialect) = service.selected_dialect() {
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
    Ok(Arc::new(Pool::open(
        Arc::new(Zmtp),
        service,
        Some(system_resolver()),
    )?))
}

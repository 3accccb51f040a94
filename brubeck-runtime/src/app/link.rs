//! How a service is connected to: in brubeck's own protocol, or in a dialect of the original.

use crate::error::Error;
use crate::legacy;
use crate::rpc::api::{Client, Link, ServiceAddress};
use crate::rpc::client::{Pool, system_resolver};
use brubeck_zmtp::Zmtp;
use std::sync::Arc;

impl Client {
    /// A client of the service at this address that belongs to no application.
    ///
    /// ```no_run
    /// use brubeck::Client;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let slow = Client::connect("ipc://run/slow", "my_shared_secret")?;
    /// let reply = slow.request("/service/slow").argument("RETURN_DATA", "hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The address is none. A service that does not run yet is no error: calls wait for it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect(address: &str, passphrase: &str) -> crate::Result<Client> {
        Client::at(&ServiceAddress::new(address, passphrase))
    }

    /// The same for a service that is spoken to in another way.
    ///
    /// ```no_run
    /// use brubeck::{Client, Dialect, ServiceAddress};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let slow = ServiceAddress::new("ipc://run/slow", "my_shared_secret")
    ///     .dialect(Dialect::Pypi)
    ///     .responses_at("ipc://run/slow_response");
    /// let reply = Client::at(&slow)?.request("/service/slow").argument("RETURN_DATA", "hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// An address is none; in a dialect, also one that other machines can reach, where [`allow_clear_text`](ServiceAddress::allow_clear_text)
    /// was not said, and an address that is bound cannot be. A service that does not run yet is no error: calls wait
    /// for it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn at(service: &ServiceAddress) -> crate::Result<Client> {
        Ok(Client::over(open_client(service)?))
    }
}

/// Opens the link to a service; connecting itself goes on in the background.
pub(crate) fn open_client(service: &ServiceAddress) -> crate::Result<Arc<dyn Link>> {
    if let Some(dialect) = service.spoken() {
        return legacy::client::open(dialect, service);
    }
    let address = service.address();
    if service.responses().is_some() {
        return Err(Error::new(format!(
            "cannot call the service at {address}: answers come back on the same address; \
             leave `.responses_at(..)` out, or say `.dialect(Dialect::Pypi)`"
        )));
    }
    Ok(Arc::new(Pool::open(
        Arc::new(Zmtp),
        service,
        Some(system_resolver()),
    )?))
}

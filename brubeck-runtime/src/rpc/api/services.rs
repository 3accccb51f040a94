//! The services that an application calls, each connected once.

use super::{CallError, Caller, Client, Link, ServiceAddress};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Opens a link to a service.
pub(crate) type Open = Arc<dyn Fn(&ServiceAddress) -> crate::Result<Arc<dyn Link>> + Send + Sync>;

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
    open: Open,
    registered: Arc<Mutex<HashMap<String, Registered>>>,
    caller: Option<Arc<Caller>>,
}

struct Registered {
    service: ServiceAddress,
    link: Arc<dyn Link>,
}

impl Services {
    /// The same services, called on behalf of this caller.
    pub(crate) fn on_behalf_of(&self, caller: Option<Arc<Caller>>) -> Services {
        Services {
            caller,
            ..self.clone()
        }
    }

    pub(crate) fn new(open: Open) -> Services {
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
        self.at(&ServiceAddress::new(address, passphrase))
    }

    /// The same for a service that is spoken to in another way.
    ///
    /// ```no_run
    /// use brubeck::prelude::*;
    /// use brubeck::{Dialect, ServiceAddress};
    ///
    /// #[get("^/service/async")]
    /// async fn call_async(services: Services, slow: State<ServiceAddress>) -> Result<&'static str, CallError> {
    ///     services.at(&slow)?.request("/service/slow").argument("RETURN_DATA", "hello").nowait();
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
    pub fn at(&self, service: &ServiceAddress) -> Result<Client, CallError> {
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
            Some(caller) => client.on_behalf_of(caller.clone()),
            None => client,
        })
    }
}

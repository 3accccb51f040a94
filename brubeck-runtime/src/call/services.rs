//! The services that an application calls, each connected once.

use super::{CallError, Caller, Client, Link, Origin, ResponseHandlers};
use crate::context::Context;
use crate::extract::{FromMessage, Rejection};
use crate::status::Status;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use subtle::ConstantTimeEq;

/// Opens a link to a service: the address, then the passphrase.
pub(crate) type Open = fn(&str, &str) -> crate::Result<Arc<dyn Link>>;

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
    caller: Option<Caller>,
}

struct Registered {
    passphrase: String,
    link: Arc<dyn Link>,
}

impl Services {
    pub(crate) fn new(open: Open) -> Services {
        Services { open, registered: Arc::default(), caller: None }
    }

    /// A client of the service at this address. The first call connects; all later ones share that
    /// connection, also when many come at once.
    ///
    /// # Errors
    ///
    /// [`Refused`](CallError::Refused): the address is none, or was registered with another passphrase.
    /// A service that does not run yet is no error: calls wait for it until their deadline.
    pub fn register(&self, address: &str, passphrase: &str) -> Result<Client, CallError> {
        let mut registered = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        let link = match registered.get(address) {
            Some(known) if bool::from(known.passphrase.as_bytes().ct_eq(passphrase.as_bytes())) => known.link.clone(),
            Some(_) => {
                let reason = format!("the service {address} is registered with another passphrase");
                return Err(CallError::Refused(reason.into()));
            }
            None => {
                let link = (self.open)(address, passphrase)
                    .map_err(|error| CallError::Refused(format!("{error:?}").into()))?;
                let known = Registered { passphrase: passphrase.to_owned(), link: link.clone() };
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

impl<S: Send + Sync + 'static> FromMessage<S> for Services {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Services, Rejection> {
        let none = || Rejection::new(Status::INTERNAL_SERVER_ERROR, "this handler runs in no application");
        let services: &Services = cx.lent().ok_or_else(none)?;
        Ok(Services { caller: Caller::of(cx), ..services.clone() })
    }
}

impl Caller {
    /// On whose behalf the handler of this message calls services.
    pub(crate) fn of<S>(cx: &Context<S>) -> Option<Caller> {
        let handlers = cx.lent::<Weak<dyn ResponseHandlers>>()?.upgrade()?;
        Some(Caller { handlers, origin: cx.message().extensions().get::<Origin>().cloned() })
    }
}

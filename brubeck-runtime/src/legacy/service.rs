//! A service that connects to the addresses of its caller, as the package `brubeck-service` does.

use super::{connect_pull_router, server};
use crate::error::Error;
use crate::handler::{Application, Connection, OpenConnection};
use crate::rpc::server::{DEFAULT_CONCURRENCY, InstrumentedApplication, parse_endpoint, serve_error};
use crate::secret::Secret;
use brubeck_zmtp::LinkConfig;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// A service that connects to its caller, as the released Python package `brubeck-service` does.
///
/// ```no_run
/// use brubeck::legacy;
/// use brubeck::prelude::*;
///
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// let service = legacy::Service::connect("ipc://run/slow", "ipc://run/slow_response", "my_shared_secret");
/// App::new(routes, ()).serve(service).await
/// # }
/// ```
///
/// The caller binds two addresses, and any number of services connect to them. The service receives requests from the first address and
/// sends responses to the second. The caller distributes its requests among the connected services. The dialect is [`Dialect::Pypi`](crate::Dialect::Pypi), or
/// [`Dialect::Pypi01x`](crate::Dialect::Pypi01x) without its registration and heartbeats.
///
/// The caller may start later than the service, and may restart. To serve a second caller, add another connection with
/// [`App::also`](crate::App::also).
#[derive(Clone, Debug)]
#[must_use]
pub struct LegacyService {
    requests: String,
    responses: String,
    passphrase: Secret,
    clear_text: bool,
    concurrency: usize,
}

impl LegacyService {
    /// Creates a service that connects to the two addresses of a caller, one for requests and one for responses. See the example of
    /// [`LegacyService`].
    ///
    /// The application does not start if an address is not valid, or if the passphrase is empty.
    pub fn connect(
        requests: impl Into<String>,
        responses: impl Into<String>,
        passphrase: impl Into<String>,
    ) -> LegacyService {
        LegacyService {
            requests: requests.into(),
            responses: responses.into(),
            passphrase: Secret::new(passphrase.into()),
            clear_text: false,
            concurrency: DEFAULT_CONCURRENCY,
        }
    }

    /// Sets the maximum number of handlers that run at the same time. Up to 1,024 further requests, at most about 64 MiB, wait
    /// in this process, and the others in the socket of the caller.
    ///
    /// ```
    /// use brubeck::legacy;
    ///
    /// let service = legacy::Service::connect("ipc://run/slow", "ipc://run/slow_response", "my_shared_secret").concurrency(4);
    /// ```
    ///
    /// The default is 1,024. The application does not start with 0.
    pub fn concurrency(mut self, concurrency: usize) -> LegacyService {
        self.concurrency = concurrency;
        self
    }

    /// Allows the passphrase to cross the network in clear text. Everyone who can read the traffic can then call the
    /// service.
    ///
    /// ```
    /// use brubeck::legacy;
    ///
    /// let service = legacy::Service::connect("tcp://10.0.0.6:9000", "tcp://10.0.0.6:9001", "my_shared_secret").allow_clear_text();
    /// ```
    ///
    /// By default, the addresses must be `ipc` or loopback addresses.
    pub fn allow_clear_text(mut self) -> LegacyService {
        self.clear_text = true;
        self
    }

    fn open_now(self, application: Arc<dyn Application>) -> crate::Result<OpenConnection> {
        let serve = || format!("serve at {}", self.requests);
        self.passphrase.check(serve())?;
        if self.concurrency == 0 {
            let effect = "no handler could run";
            return Err(Error::zero_setting(
                serve(),
                "legacy::Service::concurrency",
                effect,
            ));
        }
        let application = Arc::new(InstrumentedApplication::new(application));
        let [requests, responses] = [parse_endpoint(&self.requests)?, parse_endpoint(&self.responses)?];
        if let Some(remote) = [&requests, &responses]
            .into_iter()
            .find(|endpoint| !endpoint.is_loopback())
            && !self.clear_text
        {
            return Err(Error::new(format!(
                "cannot serve at {remote}: the passphrase would cross the network in clear; \
                 use an ipc or loopback address, or call `.allow_clear_text()`"
            )));
        }
        let sockets = connect_pull_router(requests, responses, &LinkConfig::default())
            .map_err(|error| serve_error(&self.requests, error))?;
        let server = server::ConnectedLegacyServer::new(
            server::LegacyRequestHandler::new(self.passphrase, true, application),
            self.concurrency,
            sockets.outbound.clone(),
        );
        Ok(OpenConnection {
            address: format!("{} and {}", self.requests, self.responses),
            serve: Box::new(|stop| Box::pin(server.serve(sockets, stop))),
            listeners: Vec::new(),
        })
    }
}

impl Connection for LegacyService {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        Box::pin(std::future::ready((*self).open_now(application)))
    }
}

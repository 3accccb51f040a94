//! A service that connects to the addresses of its caller, as the package `brubeck-service` does.

use super::{connect_pull_router, server};
use crate::error::Error;
use crate::handler::{Application, Connection, OpenConnection};
use crate::rpc::server::InstrumentedApplication;
use crate::secret::Secret;
use brubeck_zmtp::{Endpoint, LinkConfig, TransportError};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Default of [`LegacyService::concurrency`].
const CONCURRENCY: usize = 1024;

/// A service in the dialect of the released Python package `brubeck-service`: the caller binds two addresses, and any
/// number of services connect to them.
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
/// The service takes requests from the first address and sends responses to the second. The caller shares its requests
/// among all services that are connected, in [`Dialect::Pypi`](crate::Dialect::Pypi) and
/// [`Dialect::Pypi01x`](crate::Dialect::Pypi01x); of the latter neither registration nor heartbeats are implemented.
/// The caller may start later, and may restart. Serve a second caller by adding a second connection with
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
    /// Connects to the two addresses that a caller has bound, one for requests and one for responses.
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
            concurrency: CONCURRENCY,
        }
    }

    /// Sets how many handlers may run at the same time, 1,024 by default. Further requests wait in the caller's socket.
    pub fn concurrency(mut self, concurrency: usize) -> LegacyService {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Allows passphrases in clear to and from other machines. Whoever can read the network can then call the service.
    pub fn allow_clear_text(mut self) -> LegacyService {
        self.clear_text = true;
        self
    }

    fn open_now(self, application: Arc<dyn Application>) -> crate::Result<OpenConnection> {
        let application = Arc::new(InstrumentedApplication::new(application));
        let [from, to] = [endpoint(&self.requests)?, endpoint(&self.responses)?];
        if let Some(open) = [&from, &to].into_iter().find(|endpoint| !endpoint.is_loopback())
            && !self.clear_text
        {
            return Err(Error::new(format!(
                "cannot serve at {open}: the passphrase would cross the network in clear; \
                 use an ipc or loopback address, or call `.allow_clear_text()`"
            )));
        }
        let worker = connect_pull_router(from, to, &LinkConfig::default())
            .map_err(|error| cannot(&self.requests, error))?;
        let connected = server::ConnectedLegacyServer::new(
            server::LegacyRequestHandler::new(self.passphrase, true, application),
            self.concurrency,
            worker.outbound.clone(),
        );
        Ok(OpenConnection {
            address: format!("{} and {}", self.requests, self.responses),
            serve: Box::new(|stop| Box::pin(connected.serve(worker, stop))),
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

fn endpoint(text: &str) -> crate::Result<Endpoint> {
    text.parse()
        .map_err(|error| cannot(text, TransportError::from(error)))
}

fn cannot(address: &str, error: TransportError) -> Error {
    Error::because(format!("cannot serve at {address}"), error)
}

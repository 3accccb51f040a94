//! The serving side of a service: requests come in, each is answered in its own dialect.

use crate::error::Error;
use crate::handler::{Application, Connection, OpenConnection, Stop};
use crate::legacy::server as legacy;
use crate::rpc::codec::is_v2;
use crate::rpc::core::WorkerConfig;
use crate::rpc::server::{CallerSessions, InstrumentedApplication};
use crate::secret::Secret;
use brubeck_zmtp::{
    Endpoint, LINGER, RouterServer, ServerEvent, ServerLimits, Transport, TransportError, Zmtp,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// How many handlers of one service run at once, unless it says otherwise.
const CONCURRENCY: usize = 1024;

/// What a message may hold beside its body, in bytes.
const BESIDE_THE_BODY: usize = 64 << 10;

/// Answers the calls of other applications.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Service::bind("ipc://run/slow", "my_shared_secret")).await
/// # }
/// ```
///
/// It speaks brubeck's own protocol and the dialects of Brubeck Services side by side, and answers each
/// caller in its own. Requests run side by side, at most 1,024 at once unless
/// [`concurrency`](Service::concurrency) says otherwise; what comes beyond is refused at once as busy. A caller that goes
/// away, cancels or sees its deadline pass stops its handlers.
///
/// In brubeck's own protocol the passphrase never crosses the wire. Callers in a dialect of the original send it
/// in clear, so they are taken only on ipc and loopback addresses, unless
/// [`allow_clear_text`](Service::allow_clear_text) says otherwise; one with another passphrase is answered with
/// 401, one that cannot be read with 400 where it still says who asked.
///
/// Every service also answers three paths of its own, whatever its routes are, with the method `request`:
///
/// | path | answer |
/// |---|---|
/// | `/.brubeck/ping` | `{"pong": true}` |
/// | `/.brubeck/info` | the release, and the operations: name, method, path, captures, an example, `blocking`, `concurrency`, and with the feature `schema` the JSON Schemas of their types |
/// | `/.brubeck/stats` | since the start: requests, errors, cancelled, in flight, p50 and p99 in microseconds; in all, and of each operation |
#[derive(Clone, Debug)]
#[must_use]
pub struct Service {
    address: String,
    passphrase: Secret,
    clear_text: bool,
    concurrency: usize,
    body_limit: Option<usize>,
    max_connections: Option<usize>,
}

impl Service {
    /// Binds `ipc://path/of/socket` or `tcp://host:port`; callers must know the passphrase.
    ///
    /// They may speak brubeck's own protocol, [`Dialect::Seed`](crate::Dialect::Seed) and
    /// [`Dialect::Branch`](crate::Dialect::Branch).
    pub fn bind(address: impl Into<String>, passphrase: impl Into<String>) -> Service {
        Service {
            address: address.into(),
            passphrase: Secret::new(passphrase.into()),
            clear_text: false,
            concurrency: CONCURRENCY,
            body_limit: None,
            max_connections: None,
        }
    }

    /// How many handlers may run at once; in brubeck's own protocol, as many calls again may wait for one of them.
    pub fn concurrency(mut self, concurrency: usize) -> Service {
        self.concurrency = concurrency.max(1);
        self
    }

    /// The largest body that is taken and sent, in bytes, instead of 8 MiB. Callers say theirs with
    /// [`ServiceAddress::body_limit`](crate::ServiceAddress::body_limit).
    pub fn body_limit(mut self, bytes: usize) -> Service {
        self.body_limit = Some(bytes);
        self
    }

    /// How many callers may be connected at once, instead of 4,096 in all and 1,024 from one IP address. Each takes an
    /// open file: see that the system grants them.
    pub fn max_connections(mut self, connections: usize) -> Service {
        self.max_connections = Some(connections);
        self
    }

    /// Takes and sends passphrases in clear to other machines, too: whoever can read the network can then call the
    /// service.
    pub fn allow_clear_text(mut self) -> Service {
        self.clear_text = true;
        self
    }
}

impl Connection for Service {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        Box::pin((*self).open_over(&Zmtp, application))
    }
}

impl Service {
    /// Opens it over this transport.
    pub(crate) async fn open_over(
        self,
        transport: &dyn Transport,
        application: Arc<dyn Application>,
    ) -> crate::Result<OpenConnection> {
        let application = Arc::new(InstrumentedApplication::new(application));
        let endpoint = endpoint(&self.address)?;
        let clear_text = self.clear_text || endpoint.is_loopback();
        let server = transport
            .server(endpoint, self.limits())
            .await
            .map_err(|error| cannot(&self.address, error))?;
        let sessions = CallerSessions::new(self.worker(), application.clone(), server.outbound.clone())?;
        let address = server.local.to_string();
        let answering = legacy::LegacyRequestHandler::new(self.passphrase, clear_text, application);
        let bound = ServiceServer {
            sessions,
            legacy: Arc::new(legacy::LegacyServer::new(answering, self.concurrency)),
        };
        Ok(OpenConnection {
            address,
            serve: Box::new(|stop| Box::pin(bound.serve(server, stop))),
        })
    }

    /// What its sockets grant.
    fn limits(&self) -> ServerLimits {
        let mut limits = ServerLimits {
            max_message_bytes: self.worker().max_body.saturating_add(BESIDE_THE_BODY),
            ..ServerLimits::default()
        };
        if let Some(connections) = self.max_connections {
            (limits.max_connections, limits.max_connections_per_address) = (connections, connections);
        }
        limits.peer_queue_messages = limits.peer_queue_messages.max(self.concurrency.saturating_mul(2));
        limits
    }

    /// How it behaves in brubeck's own protocol.
    fn worker(&self) -> WorkerConfig {
        let default = WorkerConfig::default();
        WorkerConfig {
            passphrase: self.passphrase.clone(),
            concurrency: self.concurrency,
            max_body: self.body_limit.unwrap_or(default.max_body),
            max_sessions: self.max_connections.unwrap_or(default.max_sessions),
            // As many handlers as there are may end at once and answer one caller.
            max_unacknowledged: default.max_unacknowledged.max(self.concurrency),
            ..default
        }
    }
}

/// A service that callers come to: brubeck's own protocol and the dialects of the original on one ROUTER.
struct ServiceServer {
    sessions: CallerSessions,
    legacy: Arc<legacy::LegacyServer>,
}

impl ServiceServer {
    /// Serves until it is time to stop, and then until what was taken is answered.
    async fn serve(self, mut server: RouterServer, mut stop: Stop) {
        let (sessions, legacy) = (self.sessions.clone(), self.legacy.clone());
        let outbound = server.outbound.clone();
        // Each message is read, and often answered, by the task of its connection: none waits for another task.
        server.inbound.set_handler(move |event| match event {
            ServerEvent::Message { peer, frames } if is_v2(&frames) => sessions.handle_message(&peer, frames),
            ServerEvent::Message { peer, frames } => legacy.handle(peer, frames, &outbound),
            ServerEvent::Disconnected { peer } => {
                sessions.handle_disconnect(&peer);
                legacy.disconnected(&peer);
            }
        });
        stop.requested().await;
        self.sessions.drain();
        self.legacy.drain();
        self.sessions.wait_until_idle().await;
        self.legacy.idle().await;
        server.shutdown(LINGER).await;
    }
}

impl Drop for ServiceServer {
    fn drop(&mut self) {
        self.sessions.abort_handlers();
        self.legacy.abort();
    }
}

fn endpoint(text: &str) -> crate::Result<Endpoint> {
    text.parse()
        .map_err(|error| cannot(text, TransportError::from(error)))
}

fn cannot(address: &str, error: TransportError) -> Error {
    Error::because(format!("cannot serve at {address}"), error)
}

//! The front end for calls of other applications, in brubeck's protocol and in the dialects of the Python original.

#[cfg(not(feature = "legacy"))]
use super::no_legacy as legacy;
use crate::error::Error;
use crate::handler::{Application, Connection, OpenConnection, Stop};
#[cfg(feature = "legacy")]
use crate::legacy::server as legacy;
use crate::rpc::api::{Credentials, NamedAddress, check_service_name, working_folder};
use crate::rpc::codec::limits::{MAX_BODY, MAX_FRAMES, MAX_UNADMITTED_MESSAGE};
use crate::rpc::codec::{ByteStr, has_magic};
use crate::rpc::core::WorkerConfig;
use crate::rpc::sealed::{Sealing, pin_in};
use crate::rpc::server::{
    CallerSessions, DEFAULT_CONCURRENCY, InstrumentedApplication, KeyAccess, ServedKey, parse_endpoint,
    serve_error, served_operations, service_specs,
};
use crate::secret::Secret;
use brubeck_zmtp::{Endpoint, LINGER, RouterServer, ServerEvent, ServerLimits, Transport, WrappedZmtp};
use futures_util::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Room for the envelope and headers of a message, in bytes, in addition to its body.
const MAX_ENVELOPE_BYTES: usize = 64 << 10;

/// A front end that serves calls of other applications over ZeroMQ.
///
/// # Examples
///
/// ```no_run
/// # use brubeck::Service;
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Service::bind("ipc://run/slow", "my_shared_secret")).await
/// # }
/// ```
///
/// # Protocols
///
/// One service accepts callers of brubeck's protocol and, with the feature `legacy`, of two dialects of Brubeck Services, the
/// Python original, at the same time and at one address. Each caller gets its responses in its own protocol.
///
/// In brubeck's protocol connections over `tcp` are encrypted by TLS 1.3, and both sides prove that they have the key that is
/// derived from the secret. Over `ipc` they prove the same, and callers must run as the user of the service, as root, or as a
/// [listed](Service::admit_uid) user; nothing is encrypted after that.
///
/// Callers of a dialect are accepted only if [`dialects`](Service::dialects) is set. They send its passphrase in clear text.
/// Therefore a service accepts them only if its address is ipc or loopback, unless
/// [`allow_clear_text`](Service::allow_clear_text) is set; otherwise the response is 403. A wrong passphrase gets 401. A
/// malformed request gets 400, or is ignored if its sender cannot be determined.
///
/// # Limits
///
/// | limit | default | beyond it |
/// |---|---|---|
/// | concurrent handlers ([`concurrency`](Service::concurrency)) | 1,024 | as many calls wait, further ones are rejected as busy; 503 in a dialect |
/// | body of a request or response ([`body_limit`](Service::body_limit)) | 8 MiB | rejected |
/// | connected callers ([`max_connections`](Service::max_connections)) | 4,096 in total, 1,024 for each IP address | closed |
///
/// If a caller disconnects, cancels the call or gives up at its deadline, the handler is dropped. A blocking handler runs on
/// until it returns.
///
/// # Introspection
///
/// Every service responds at three additional paths, with the method `request`:
///
/// | path | response |
/// |---|---|
/// | `/.brubeck/ping` | `{"pong": true}` |
/// | `/.brubeck/info` | the version of brubeck, and the operations with name, method, path, captures, an example, `blocking` and `concurrency`; with the feature `schema` also the JSON Schemas of their types |
/// | `/.brubeck/stats` | requests, errors, cancelled requests, requests in flight, and the latency as p50 and p99 in microseconds, in total and for each operation, since the start |
#[derive(Clone, Debug)]
#[must_use]
pub struct Service {
    /// For an inherited socket, its description.
    address: String,
    /// The working directory when the address was given, if it is a relative path.
    folder: Option<PathBuf>,
    /// The name of the service, if the address has one.
    name: Option<String>,
    /// Set for an inherited socket: its name, or `None` for the first one.
    #[cfg(feature = "systemd")]
    inherited: Option<Option<String>>,
    credentials: Credentials,
    other_credentials: Option<Credentials>,
    served_keys: Vec<ServedKey>,
    uids: Vec<u32>,
    /// The passphrase of the dialects, if they are served.
    dialects: Option<Secret>,
    clear_text: bool,
    concurrency: usize,
    body_limit: Option<usize>,
    max_connections: Option<usize>,
}

impl Service {
    /// Creates a service that binds `ipc://path/of/socket` or `tcp://host:port`, with a secret that its callers must have, too, or with
    /// a [`KeyPair`](crate::KeyPair).
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::bind("tcp://0.0.0.0:9000", "my_shared_secret");
    /// ```
    ///
    /// `tcp://host:port/name` gives the service a name: callers that expect another one, because their address has it, are refused. See
    /// [`ServiceAddress::service_name`](crate::ServiceAddress::service_name).
    ///
    /// Callers use brubeck's protocol. For callers of the Python original see [`dialects`](Service::dialects) and
    /// `brubeck::legacy::Service`.
    ///
    /// `brubeck keygen` creates a secret. One that was thought of must have at least 16 characters.
    ///
    /// A host name is bound at every address that it has on this machine, and a relative path refers to the working directory at this
    /// time. The file of an `ipc` address is replaced only if the process that left it is dead, removed only if it is still the same file,
    /// and bound again within five seconds if it is removed while the service runs.
    ///
    /// The address is bound when the application starts, which fails if it is not a valid endpoint or is in use, if the secret has fewer
    /// than 16 characters, or if the key pair cannot be read.
    pub fn bind(address: impl Into<String>, credentials: impl Into<Credentials>) -> Service {
        let NamedAddress {
            address,
            service: name,
        } = NamedAddress::new(address.into());
        Service {
            folder: working_folder(&address),
            address,
            name,
            #[cfg(feature = "systemd")]
            inherited: None,
            credentials: credentials.into(),
            other_credentials: None,
            served_keys: Vec::new(),
            uids: Vec::new(),
            dialects: None,
            clear_text: false,
            concurrency: DEFAULT_CONCURRENCY,
            body_limit: None,
            max_connections: None,
        }
    }

    /// Creates a service that listens on the first socket passed by systemd or `systemfd` (`LISTEN_FDS`), over TCP or Unix.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::inherited("TLSd2TQ0DdOZ2JsHyFBq");
    /// ```
    ///
    /// Calls wait in the socket while the process is restarted. The parent process owns the file of a Unix socket and its mode; the
    /// service admits the same users as one that binds its address. The application fails to start if no socket was passed, or if it is of
    /// another type. Requires the feature `systemd`.
    #[cfg(feature = "systemd")]
    #[cfg_attr(docsrs, doc(cfg(feature = "systemd")))]
    pub fn inherited(credentials: impl Into<Credentials>) -> Service {
        Service {
            inherited: Some(None),
            ..Service::bind("the inherited socket", credentials)
        }
    }

    /// Creates a service that listens on the passed socket with this name, for a program that is passed several.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::inherited_named("calls", "TLSd2TQ0DdOZ2JsHyFBq");
    /// ```
    ///
    /// systemd sets the name to the `FileDescriptorName=` of the `.socket` unit (`LISTEN_FDNAMES`). Otherwise like
    /// [`inherited`](Service::inherited).
    #[cfg(feature = "systemd")]
    #[cfg_attr(docsrs, doc(cfg(feature = "systemd")))]
    pub fn inherited_named(name: impl Into<String>, credentials: impl Into<Credentials>) -> Service {
        let name = name.into();
        Service {
            inherited: Some(Some(name.clone())),
            ..Service::bind(format!("the inherited socket `{name}`"), credentials)
        }
    }

    /// Sets the limit for concurrent handlers. The default is 1,024. The application does not start with 0.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::bind("tcp://0.0.0.0:9000", "my_shared_secret").concurrency(4);
    /// ```
    ///
    /// In brubeck's protocol the same number of calls may wait in addition. Further calls are rejected as busy, and callers
    /// try another worker; if all workers are busy, the call may fail with [`CallError::Busy`](crate::CallError::Busy). In a dialect no
    /// calls wait: further ones get a 503 response. Calls of the two kinds are counted separately. To limit a single handler, use
    /// [`Limits::concurrency`](crate::Limits::concurrency), or the key `concurrency` of
    /// [`#[service_handler]`](../brubeck/attr.service_handler.html).
    pub fn concurrency(mut self, concurrency: usize) -> Service {
        self.concurrency = concurrency;
        self
    }

    /// Sets the limit for the body of a request and of a response, in bytes. The default is 8 MiB. The application does not start
    /// with 0.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::bind("tcp://0.0.0.0:9000", "my_shared_secret").body_limit(1 << 20);
    /// ```
    ///
    /// Callers have a limit of their own: see [`ServiceAddress::body_limit`](crate::ServiceAddress::body_limit).
    pub fn body_limit(mut self, bytes: usize) -> Service {
        self.body_limit = Some(bytes);
        self
    }

    /// Sets the limit for connected callers, both in total and for each IP address. The defaults are 4,096 and 1,024. The
    /// application does not start with 0.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::bind("tcp://0.0.0.0:9000", "my_shared_secret").max_connections(64);
    /// ```
    ///
    /// Each connection uses a file descriptor. On Linux the application lowers the limit in total at its start, and logs that, if
    /// the limit of open files is too low for it.
    pub fn max_connections(mut self, connections: usize) -> Service {
        self.max_connections = Some(connections);
        self
    }

    /// Adds a second secret or key pair to that of [`bind`](Service::bind).
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let (secret, previous) = ("TLSd2TQ0DdOZ2JsHyFBq", "jzwCWVtNJKy9G3Ml0oXe");
    /// let service = Service::bind("tcp://0.0.0.0:9000", secret).also_accept(previous);
    /// ```
    ///
    /// Use it to change the secret without downtime, together with [`ServiceAddress::also_accept`](crate::ServiceAddress::also_accept).
    /// First start every service and caller with the new secret as the second one, then with the new one as the first and the
    /// previous one as the second, then with the new one alone.
    ///
    /// The two may also be key pairs, or one of each to change from a secret to key pairs. The service accepts what either one
    /// accepts. It presents the key that the caller accepts if the caller is a Rust peer that lists at most 8 pins, and otherwise that of
    /// `bind`.
    pub fn also_accept(mut self, credentials: impl Into<Credentials>) -> Service {
        self.other_credentials = Some(credentials.into());
        self
    }

    /// Serves the key with this pin, for all operations. Other keys are served no more, unless they are listed, too.
    ///
    /// ```
    /// use brubeck::{KeyPair, Service};
    ///
    /// const SITE: &str = "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73";
    /// const REPORTS: &str = "6kDnLsCVJvGwiLIBVZCHNTpI1/6nNz2rCCPmxAzSzAg=";
    ///
    /// let service = Service::bind("tcp://0.0.0.0:9000", KeyPair::file("service.pem").accept_authority("ca.pem"))
    ///     .serve_key(SITE)
    ///     .serve_key_for(REPORTS, "thumbs::resize");
    /// ```
    ///
    /// Without this method and [`serve_key_for`](Service::serve_key_for), every key that the [`KeyPair`](crate::KeyPair) accepts is served.
    /// A call of another key ends with [`Refused`](crate::CallError::Refused), before its arguments are read. Handlers see the key
    /// with [`CallerKey`](crate::CallerKey).
    ///
    /// The application does not start with a pin that is not valid, nor together with dialects, whose callers have no keys. A
    /// [`TestSite`](crate::TestSite) does not check keys.
    pub fn serve_key(mut self, pin: impl Into<String>) -> Service {
        self.served_keys.push(ServedKey {
            pin: pin.into(),
            operation: None,
        });
        self
    }

    /// Serves the key with this pin for one operation, as [`serve_key`](Service::serve_key) does for all. May be called several times.
    ///
    /// ```
    /// use brubeck::{KeyPair, Service};
    ///
    /// const REPORTS: &str = "6kDnLsCVJvGwiLIBVZCHNTpI1/6nNz2rCCPmxAzSzAg=";
    ///
    /// let service = Service::bind("tcp://0.0.0.0:9000", KeyPair::file("service.pem").accept(REPORTS))
    ///     .serve_key_for(REPORTS, "thumbs::resize")
    ///     .serve_key_for(REPORTS, "thumbs::rotate");
    /// ```
    ///
    /// The name is that of the operation in its contract, or of the handler function, or the path as its attribute has it. The application
    /// does not start unless exactly one operation has it.
    pub fn serve_key_for(mut self, pin: impl Into<String>, operation: impl Into<String>) -> Service {
        self.served_keys.push(ServedKey {
            pin: pin.into(),
            operation: Some(operation.into()),
        });
        self
    }

    /// Admits callers that run as another user of this machine, if the address is `ipc`. May be called several times.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::bind("ipc:///run/app/slow", "TLSd2TQ0DdOZ2JsHyFBq").admit_uid(33);
    /// ```
    ///
    /// Without it only callers of the user of the service, and of root, are admitted. With it the socket file gets mode 0666, so
    /// that the others can open it; the system reports the user of each caller, and the service refuses those that are not listed.
    pub fn admit_uid(mut self, uid: u32) -> Service {
        self.uids.push(uid);
        self
    }

    /// Accepts callers of the dialects of the Python original, which send this passphrase with each request.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::bind("ipc://run/slow", "TLSd2TQ0DdOZ2JsHyFBq").dialects("my_shared_secret");
    /// ```
    ///
    /// The dialects are [`Dialect::Seed`](crate::Dialect::Seed) and [`Dialect::Branch`](crate::Dialect::Branch). The passphrase
    /// crosses the connection in clear text, so do not use the secret of [`bind`](Service::bind). It must not be empty.
    #[cfg(feature = "legacy")]
    #[cfg_attr(docsrs, doc(cfg(feature = "legacy")))]
    pub fn dialects(mut self, passphrase: impl Into<String>) -> Service {
        self.dialects = Some(Secret::new(passphrase.into()));
        self
    }

    /// Accepts callers of a dialect from other machines. Their passphrases cross the network in clear text.
    ///
    /// ```
    /// use brubeck::Service;
    ///
    /// let service = Service::bind("tcp://10.0.0.6:9000", "TLSd2TQ0DdOZ2JsHyFBq")
    ///     .dialects("my_shared_secret")
    ///     .allow_clear_text();
    /// ```
    ///
    /// An attacker who can read the network traffic can then call the service. Callers of brubeck's protocol are accepted
    /// from other machines anyway: their connections are encrypted.
    pub fn allow_clear_text(mut self) -> Service {
        self.clear_text = true;
        self
    }
}

/// The protection of the connections that a service is opened over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protection {
    /// None: the connections are in memory.
    None,
    /// Those of brubeck's protocol are [sealed](Sealing), and others may be in clear.
    Sealed,
}

/// The parts of a service whose settings are checked.
struct PreparedService {
    config: WorkerConfig,
    application: Arc<InstrumentedApplication>,
}

impl Connection for Service {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        Box::pin(async move {
            let credentials: Vec<_> = std::iter::once(&self.credentials)
                .chain(&self.other_credentials)
                .collect();
            let serve = format!("serve at {}", self.address);
            let sealing = Sealing::new(self.address.clone(), &credentials, serve)?
                .accept_clear(self.dialects.is_some())
                .admit_uids(self.uids.clone());
            sealing.prepare().await?;
            let transport = WrappedZmtp::new(Arc::new(sealing));
            let prepared = self.prepare(Protection::Sealed, application)?;
            #[cfg(feature = "systemd")]
            if let Some(name) = &self.inherited {
                let server = self.inherit(name.as_deref(), &transport)?;
                return self.serve_at(server, prepared);
            }
            let server = self.bind_over(&transport, self.folder.as_deref()).await?;
            self.serve_at(server, prepared)
        })
    }
}

impl Service {
    /// Binds the service over a transport in memory, in which a path is only a name.
    pub(crate) async fn open_in_memory(
        self,
        transport: &dyn Transport,
        application: Arc<dyn Application>,
    ) -> crate::Result<OpenConnection> {
        #[cfg(feature = "systemd")]
        if self.inherited.is_some() {
            return Err(Error::new(
                "cannot serve at an inherited socket without sockets; use `Service::bind` in a `TestSite`",
            ));
        }
        let prepared = self.prepare(Protection::None, application)?;
        let server = self.bind_over(transport, None).await?;
        self.serve_at(server, prepared)
    }

    /// Checks the settings, and prepares the application.
    fn prepare(
        &self,
        protection: Protection,
        application: Arc<dyn Application>,
    ) -> crate::Result<PreparedService> {
        self.check()?;
        let access = self.key_access(&*application)?;
        // Connections in memory have no keys.
        let access = access.filter(|_| protection == Protection::Sealed);
        let config = WorkerConfig {
            operations: served_operations(&*application),
            keys: access.as_ref().map(KeyAccess::keys),
            ..self.worker_config(protection)
        };
        let application = InstrumentedApplication::new(application).with_access(access);
        Ok(PreparedService {
            config,
            application: Arc::new(application),
        })
    }

    /// Binds the address. A relative path refers to `folder`.
    async fn bind_over(
        &self,
        transport: &dyn Transport,
        folder: Option<&Path>,
    ) -> crate::Result<RouterServer> {
        let endpoint = match (parse_endpoint(&self.address)?, folder) {
            (Endpoint::Ipc(path), Some(folder)) => Endpoint::Ipc(folder.join(path)),
            (endpoint, _) => endpoint,
        };
        let bound = transport.server(endpoint, self.server_limits()).await;
        bound.map_err(|error| serve_error(&self.address, error))
    }

    #[cfg(feature = "systemd")]
    fn inherit(&self, name: Option<&str>, transport: &WrappedZmtp) -> crate::Result<RouterServer> {
        let sockets = brubeck_sockets::inherit(name)
            .map_err(|error| Error::because(format!("cannot serve at {}", self.address), error))?;
        let server = transport.server_at(sockets, self.server_limits());
        server.map_err(|error| serve_error(&self.address, error))
    }

    /// Serves at a bound server.
    fn serve_at(
        self,
        server: RouterServer,
        PreparedService { config, application }: PreparedService,
    ) -> crate::Result<OpenConnection> {
        let clear_text = self.clear_text || server.local.is_loopback();
        let sessions = CallerSessions::new(config, application.clone(), server.outbound.clone())?;
        // A relative path is shown as it was given.
        let address = match self.folder {
            Some(_) => self.address.clone(),
            None => server.local.to_string(),
        };
        let listeners = vec![server.listener.guard()];
        // Without dialects no message reaches this handler.
        let serves_dialects = self.dialects.is_some();
        let passphrase = self.dialects.unwrap_or_default();
        let answering = legacy::LegacyRequestHandler::new(passphrase, clear_text, application);
        let bound = ServiceServer {
            sessions,
            serves_dialects,
            legacy: Arc::new(legacy::LegacyServer::new(answering, self.concurrency)),
        };
        Ok(OpenConnection {
            address,
            serve: Box::new(|stop| Box::pin(bound.serve(server, stop))),
            listeners,
        })
    }

    fn key_access(&self, application: &dyn Application) -> crate::Result<Option<KeyAccess>> {
        if self.served_keys.is_empty() {
            return Ok(None);
        }
        let serve = format!("serve at {}", self.address);
        if self.dialects.is_some() {
            return Err(Error::new(format!(
                "cannot {serve}: `Service::serve_key` limits callers by their keys, and callers of `Service::dialects` have none; serve \
                 the dialects at another address"
            )));
        }
        let operations: Vec<_> = service_specs(application).collect();
        KeyAccess::new(&self.served_keys, &operations, serve).map(Some)
    }

    fn check(&self) -> crate::Result<()> {
        let serve = || format!("serve at {}", self.address);
        if let Some(name) = &self.name {
            check_service_name(name, &serve())?;
        }
        if let Some(passphrase) = &self.dialects {
            passphrase.check(serve())?;
        }
        let zero = |setting, effect| Err(Error::zero_setting(serve(), setting, effect));
        if self.concurrency == 0 {
            return zero("Service::concurrency", "no handler could run");
        }
        if self.max_connections == Some(0) {
            return zero("Service::max_connections", "no caller could connect");
        }
        if self.body_limit == Some(0) {
            return zero("Service::body_limit", "no handler could respond");
        }
        Ok(())
    }

    /// Returns the limits of the ROUTER socket.
    fn server_limits(&self) -> ServerLimits {
        let mut limits = ServerLimits {
            max_message_bytes: self.max_body().saturating_add(MAX_ENVELOPE_BYTES),
            max_frames: MAX_FRAMES,
            unadmitted_message_bytes: Some(MAX_UNADMITTED_MESSAGE),
            ..ServerLimits::default()
        };
        if !self.uids.is_empty() {
            // Other users can open the socket then. Each connection is checked.
            limits.ipc_mode = 0o666;
        }
        if let Some(connections) = self.max_connections {
            (limits.max_connections, limits.max_connections_per_address) = (connections, connections);
        }
        // A peer whose queue overflows is disconnected, and all running and waiting calls may be of one peer.
        limits.peer_queue_messages = limits.peer_queue_messages.max(self.concurrency.saturating_mul(2));
        limits
    }

    fn max_body(&self) -> usize {
        self.body_limit.unwrap_or(MAX_BODY)
    }

    /// Returns the settings for brubeck's protocol.
    fn worker_config(&self, protection: Protection) -> WorkerConfig {
        let default = WorkerConfig::default();
        WorkerConfig {
            concurrency: self.concurrency,
            max_body: self.max_body(),
            service: ByteStr::from(self.name.clone().unwrap_or_default()),
            verified_only: protection == Protection::Sealed,
            max_sessions: self.max_connections.unwrap_or(default.max_sessions),
            // All handlers may respond to the same caller at once.
            max_unacknowledged: default.max_unacknowledged.max(self.concurrency),
            ..default
        }
    }
}

/// A bound service: brubeck's protocol and the dialects share one ROUTER socket.
struct ServiceServer {
    sessions: CallerSessions,
    serves_dialects: bool,
    legacy: Arc<legacy::LegacyServer>,
}

impl ServiceServer {
    /// Serves until the stop is requested, then until all accepted calls have ended. Sends their responses for at most
    /// [`LINGER`].
    async fn serve(self, mut server: RouterServer, mut stop: Stop) {
        let (sessions, legacy) = (self.sessions.clone(), self.legacy.clone());
        let serves_dialects = self.serves_dialects;
        let outbound = server.outbound.clone();
        // A callback, not a channel: it runs in the task of the connection that received the message. So this task also decodes
        // the message, and often runs the handler and responds.
        server.inbound.set_handler(move |event| match event {
            ServerEvent::Message { peer, frames } if has_magic(&frames) => {
                sessions.handle_message(&peer, frames)
            }
            ServerEvent::Message { peer, frames } if serves_dialects => {
                legacy.handle(peer, frames, &outbound);
            }
            ServerEvent::Message { .. } => {}
            ServerEvent::Verified { peer, credentials } => {
                sessions.handle_verified(&peer, pin_in(&credentials));
            }
            ServerEvent::Disconnected { peer } => {
                sessions.handle_disconnect(&peer);
                legacy.disconnected(&peer);
            }
        });
        stop.requested().await;
        // A successor can bind the address while this process finishes its calls.
        server.listener.close();
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

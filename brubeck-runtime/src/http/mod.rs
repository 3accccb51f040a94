//! The embedded HTTP server.

mod in_memory;
mod linger;
mod listen;
mod server;
mod service;
mod timeout_stream;
#[cfg(feature = "tls")]
mod tls;
mod upgrade;
mod websocket;

pub(crate) use in_memory::{InMemoryServer, InMemorySocket};

use crate::error::Error;
use crate::handler::{Application, Connection, OpenConnection, Stop};
use futures_util::future::BoxFuture;
use listen::HttpListener;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The embedded HTTP server: a front end that needs no other program.
///
/// It supports HTTP/1.0 and 1.1, with the feature `http2` HTTP/2, and WebSockets over HTTP/1.1 and HTTP/2.
///
/// # Examples
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Http::bind("127.0.0.1:6767")).await
/// # }
/// ```
///
/// # Limits
///
/// | limit | default | beyond it |
/// |---|---|---|
/// | time to receive the head of a request ([`header_timeout`](Http::header_timeout)) | 5 s | closed |
/// | time without a request on a connection ([`idle_timeout`](Http::idle_timeout)) | 60 s | closed |
/// | pause between two parts of a request body ([`body_timeout`](Http::body_timeout)) | 10 s | 408, closed |
/// | time without progress while sending a response ([`write_timeout`](Http::write_timeout)) | 30 s | closed |
/// | number (HTTP/1) and size of request headers | 100, 16 KiB | 431 |
/// | path and query | 8 KiB | 414 |
/// | request body ([`App::body_limit`](crate::App::body_limit), [`Limits::body_limit`](crate::Limits::body_limit)) | 1 MiB | 413, closed |
/// | a request body that is still sent after its response: discarded bytes, time, and pause | 256 MiB, 30 s, 5 s | closed |
/// | message of a WebSocket ([`App::message_limit`](crate::App::message_limit), [`Limits::message_limit`](crate::Limits::message_limit)) | 1 MiB | closed (1009) |
/// | messages of a WebSocket that its handler has not received | 4 MiB, or one message if its limit is higher; small ones count as 256 bytes | not read until there is room |
/// | messages of a [`Broadcast`](crate::Broadcast#slow-members) that wait for a WebSocket | 4 MiB if the client reads | the broadcast waits |
/// | the same for a client that reads nothing | 16 MiB and ten seconds | closed (1008) |
/// | HTTP connections ([`max_connections`](Http::max_connections)) | 10,000 | not accepted until one closes |
/// | HTTP connections of one address ([`max_connections_per_address`](Http::max_connections_per_address)) | 256 | closed |
#[derive(Clone, Debug)]
#[must_use = "a server does nothing until it is passed to `App::serve`"]
pub struct Http {
    address: ListenAddress,
    header_timeout: Duration,
    idle_timeout: Duration,
    body_timeout: Duration,
    write_timeout: Duration,
    max_connections: usize,
    max_connections_per_address: usize,
    #[cfg(feature = "tls")]
    tls: Option<TlsFiles>,
}

/// A timeout above this value, 30 years, counts as this value: an instant cannot be as late as `Duration::MAX` from now.
const MAX_TIMEOUT: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The socket to listen on.
#[derive(Clone, Debug)]
enum ListenAddress {
    Tcp(String),
    Unix {
        given: PathBuf,
        /// The working directory may change before the socket is bound.
        absolute: PathBuf,
    },
    /// An inherited socket: that with this name, or the first one.
    #[cfg(feature = "systemd")]
    Inherited(Option<String>),
}

/// The PEM files of a certificate chain and its private key.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
struct TlsFiles {
    certificates: PathBuf,
    key: PathBuf,
}

impl Http {
    /// Creates a server that listens on a TCP address: `127.0.0.1:6767`, `[::1]:0` or `localhost:8080`.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::bind("127.0.0.1:6767");
    /// ```
    ///
    /// A host name is bound at every address that it has on this machine. With port 0 the operating system chooses a port; see [`Running::address`](crate::Running::address). The address is
    /// bound when the application starts. The start fails if that is not possible, for example if the address is in use.
    pub fn bind(address: impl Into<String>) -> Http {
        Http::new(ListenAddress::Tcp(address.into()))
    }

    /// Creates a server that listens on a Unix socket, for a proxy on the same machine.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::unix("/run/shop/http.sock");
    /// ```
    ///
    /// The application fails to start if the socket is in use. A socket file that a dead process left behind is replaced, and no
    /// other file is. The file is created with the umask of the process, so the umask and the permissions of the folder decide who may
    /// connect. It is removed when the application begins to stop, if it is still the same file. If it is removed earlier, the path is bound
    /// again within five seconds. A relative path refers to the working directory at this time.
    pub fn unix(path: impl Into<PathBuf>) -> Http {
        let given = path.into();
        let absolute = std::path::absolute(&given).unwrap_or_else(|_| given.clone());
        Http::new(ListenAddress::Unix { given, absolute })
    }

    /// Creates a server that listens on the first socket passed by systemd or `systemfd` (`LISTEN_FDS`), over TCP or Unix.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::inherited();
    /// ```
    ///
    /// The application fails to start if no socket was passed, or if the first one is of another type. Requires the feature
    /// `systemd`.
    #[cfg(feature = "systemd")]
    #[cfg_attr(docsrs, doc(cfg(feature = "systemd")))]
    pub fn inherited() -> Http {
        Http::new(ListenAddress::Inherited(None))
    }

    /// Creates a server that listens on the passed socket with this name, for a program that is passed several.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// let server = Http::inherited_named("web");
    /// ```
    ///
    /// systemd sets the name to the `FileDescriptorName=` of the `.socket` unit (`LISTEN_FDNAMES`). Otherwise like
    /// [`inherited`](Http::inherited).
    #[cfg(feature = "systemd")]
    #[cfg_attr(docsrs, doc(cfg(feature = "systemd")))]
    pub fn inherited_named(name: impl Into<String>) -> Http {
        Http::new(ListenAddress::Inherited(Some(name.into())))
    }

    fn new(address: ListenAddress) -> Http {
        Http {
            address,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            max_connections_per_address: 256,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Enables TLS, with PEM files of the certificate chain and the private key.
    ///
    /// The files are read when the application starts, which fails if they cannot be used. Requires the feature `tls`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// let server = Http::bind("0.0.0.0:443").tls("fullchain.pem", "privkey.pem");
    /// ```
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Http {
        self.tls = Some(TlsFiles {
            certificates: certificates.into(),
            key: key.into(),
        });
        self
    }

    /// Sets the time to receive the head of a request, and for the TLS handshake. The default is 5 seconds.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::bind("0.0.0.0:80").header_timeout(Duration::from_secs(2));
    /// ```
    ///
    /// A connection that takes longer is closed without a response. The time begins with the first byte of the head; until then,
    /// [`idle_timeout`](Http::idle_timeout) applies. With HTTP/2 it limits only the head of the first request, and it is also the time
    /// within which a client must answer a ping. The application does not start with 0.
    pub fn header_timeout(mut self, timeout: Duration) -> Http {
        self.header_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// Sets the time for which a connection may be open without a request in progress. The default is 60 seconds.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::bind("0.0.0.0:80").idle_timeout(Duration::from_secs(15));
    /// ```
    ///
    /// Then it is closed. This limits a new connection as well as one that is kept alive between two requests, but not a WebSocket. With
    /// HTTP/2 it is also the time without data from the client after which the client is pinged: if it does not answer within the
    /// [`header_timeout`](Http::header_timeout), the connection is closed. The application does not start with 0.
    pub fn idle_timeout(mut self, timeout: Duration) -> Http {
        self.idle_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// Sets the longest pause between two parts of a request body. The default is 10 seconds.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::bind("0.0.0.0:80").body_timeout(Duration::from_secs(30));
    /// ```
    ///
    /// After a longer pause, the response is 408 and an HTTP/1 connection is closed. A handler that streams the body gets
    /// [`UploadError::TimedOut`](crate::UploadError::TimedOut), and [`BodyError::TimedOut`](crate::BodyError::TimedOut) from a
    /// [`Body`](crate::Body). Only a pause while the application waits for the body counts, so a handler that reads slowly is not affected.
    /// The size of a body has a limit of its own: [`App::body_limit`](crate::App::body_limit). The application does not start with 0.
    pub fn body_timeout(mut self, timeout: Duration) -> Http {
        self.body_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// Sets the longest time without progress while a response is sent. The default is 30 seconds.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::bind("0.0.0.0:80").write_timeout(Duration::from_secs(60));
    /// ```
    ///
    /// It limits the time for which the client accepts no bytes, not the time for the whole response. The connection is closed then, so the
    /// client gets an incomplete response. The time in which the handler works is limited by [`App::timeout`](crate::App::timeout).
    /// The application does not start with 0.
    pub fn write_timeout(mut self, timeout: Duration) -> Http {
        self.write_timeout = timeout.min(MAX_TIMEOUT);
        self
    }

    /// Sets the limit for open HTTP connections. The default is 10,000.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let server = Http::bind("0.0.0.0:80").max_connections(50_000);
    /// ```
    ///
    /// A connection that becomes a WebSocket is no longer counted. At the limit, further connections stay in the backlog of the
    /// operating system until one of the counted connections ends. [`max_connections_per_address`](Http::max_connections_per_address) keeps
    /// a single client from taking all of them. The application does not start with 0.
    pub fn max_connections(mut self, limit: usize) -> Http {
        self.max_connections = limit;
        self
    }

    /// Sets the limit for open HTTP connections from one IP address, without WebSockets. The default is 256.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// let behind_a_proxy = Http::bind("10.0.0.6:80").max_connections_per_address(10_000);
    /// ```
    ///
    /// Further connections are closed at once. Behind a proxy all connections have the address of the proxy, so raise the limit
    /// there; [`max_connections`](Http::max_connections) still limits all of them together. Connections to a Unix socket are not counted. The
    /// application does not start with 0.
    pub fn max_connections_per_address(mut self, limit: usize) -> Http {
        self.max_connections_per_address = limit;
        self
    }
}

impl Http {
    /// Returns an error if a setting is 0.
    fn check(&self) -> crate::Result<()> {
        let timeouts = [
            ("Http::header_timeout", self.header_timeout),
            ("Http::idle_timeout", self.idle_timeout),
            ("Http::body_timeout", self.body_timeout),
            ("Http::write_timeout", self.write_timeout),
        ];
        let limits = [
            ("Http::max_connections", self.max_connections),
            (
                "Http::max_connections_per_address",
                self.max_connections_per_address,
            ),
        ];
        let zero = |setting, effect| {
            Err(Error::zero_setting(
                format!("listen at {}", self.address),
                setting,
                effect,
            ))
        };
        if let Some((setting, _)) = timeouts.iter().find(|(_, timeout)| timeout.is_zero()) {
            return zero(setting, "every connection that waits would be closed at once");
        }
        if let Some((setting, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return zero(setting, "no connection would be accepted");
        }
        Ok(())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => f.write_str(address),
            ListenAddress::Unix { given, .. } => given.display().fmt(f),
            #[cfg(feature = "systemd")]
            ListenAddress::Inherited(None) => f.write_str("the inherited socket"),
            #[cfg(feature = "systemd")]
            ListenAddress::Inherited(Some(name)) => write!(f, "the inherited socket `{name}`"),
        }
    }
}

impl Connection for Http {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        Box::pin(async move {
            self.check()?;
            let (listener, address) = HttpListener::open(&self.address).await?;
            let listeners = vec![listener.guard()];
            #[cfg(feature = "tls")]
            let tls = self.tls.as_ref().map(tls::acceptor).transpose()?;
            #[cfg(feature = "tls")]
            let scheme = if tls.is_some() { "https" } else { "http" };
            #[cfg(not(feature = "tls"))]
            let scheme = "http";
            let serve = Box::new(|stop: Stop| {
                let (alive, all_ended) = mpsc::channel(1);
                let server = HttpServer {
                    settings: *self,
                    application,
                    stop,
                    _alive: alive,
                    #[cfg(feature = "tls")]
                    tls,
                };
                Box::pin(server.serve(listener, all_ended)) as BoxFuture<'static, ()>
            });
            Ok(OpenConnection {
                address: format!("{scheme}{address}"),
                serve,
                listeners,
            })
        })
    }
}

/// The settings and the application that all connections share.
struct HttpServer {
    settings: Http,
    application: Arc<dyn Application>,
    stop: Stop,
    /// Never used for sending: the channel closes when the last connection or WebSocket drops its reference to the server.
    _alive: mpsc::Sender<Infallible>,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsAcceptor>,
}

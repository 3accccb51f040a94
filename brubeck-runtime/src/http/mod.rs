//! The embedded HTTP server.

mod listen;
mod server;
mod service;
mod timeout_stream;
#[cfg(feature = "tls")]
mod tls;
mod upgrade;
mod websocket;

use crate::handler::{Application, Connection, OpenConnection, Stop};
use futures_util::future::BoxFuture;
use listen::HttpListener;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The embedded HTTP server: a front end that needs no other program.
///
/// It supports HTTP/1.0 and 1.1, WebSockets over HTTP/1.1, and, with the feature `http2`, HTTP/2.
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

/// The socket to listen on.
#[derive(Clone, Debug)]
enum ListenAddress {
    Tcp(String),
    Unix(PathBuf),
    #[cfg(feature = "systemd")]
    Inherited,
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
    /// With port 0 the operating system chooses a port; see [`Running::address`](crate::Running::address). The address is
    /// bound when the application starts. The start fails if that is not possible, for example if the address is in use.
    pub fn bind(address: impl Into<String>) -> Http {
        Http::new(ListenAddress::Tcp(address.into()))
    }

    /// Creates a server that listens on a Unix socket, for a proxy on the same machine.
    ///
    /// The application fails to start if the socket is in use. A socket file that a dead process left behind is replaced. The
    /// file is created with the umask of the process, so the umask and the permissions of the folder decide who may connect.
    /// The file is removed when the application stops.
    pub fn unix(path: impl Into<PathBuf>) -> Http {
        Http::new(ListenAddress::Unix(path.into()))
    }

    /// Creates a server that listens on the first socket passed by systemd or `systemfd` (`LISTEN_FDS`), over TCP or Unix.
    ///
    /// The application fails to start if no socket was passed, or if the first one is of another type. Requires the feature
    /// `systemd`.
    #[cfg(feature = "systemd")]
    pub fn inherited() -> Http {
        Http::new(ListenAddress::Inherited)
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
    pub fn tls(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Http {
        self.tls = Some(TlsFiles {
            certificates: certificates.into(),
            key: key.into(),
        });
        self
    }

    /// Sets the time to receive the head of a request, and for the TLS handshake. The default is 5 seconds.
    ///
    /// With HTTP/2 it limits only the head of the first request. It is also the time within which a client must answer a ping; see
    /// [`idle_timeout`](Http::idle_timeout).
    pub fn header_timeout(mut self, timeout: Duration) -> Http {
        self.header_timeout = timeout;
        self
    }

    /// Sets the time for which a connection may be open without a request in progress. The default is 60 seconds.
    ///
    /// With HTTP/2 it is also the time without data from the client after which the client is pinged.
    pub fn idle_timeout(mut self, timeout: Duration) -> Http {
        self.idle_timeout = timeout;
        self
    }

    /// Sets the longest pause between two parts of a request body. The default is 10 seconds.
    pub fn body_timeout(mut self, timeout: Duration) -> Http {
        self.body_timeout = timeout;
        self
    }

    /// Sets the longest time without progress while a response is sent. The default is 30 seconds.
    pub fn write_timeout(mut self, timeout: Duration) -> Http {
        self.write_timeout = timeout;
        self
    }

    /// Sets the limit for open HTTP connections. The default is 10,000.
    ///
    /// A connection that becomes a WebSocket is no longer counted. At the limit, further connections stay in the backlog of the
    /// operating system until one of the counted connections ends.
    pub fn max_connections(mut self, limit: usize) -> Http {
        self.max_connections = limit;
        self
    }

    /// Sets the limit for open HTTP connections from one IP address, without WebSockets. The default is 256.
    ///
    /// Further connections are closed. Behind a proxy all connections have the address of the proxy, so raise the limit
    /// there. Connections to a Unix socket are not counted.
    pub fn max_connections_per_address(mut self, limit: usize) -> Http {
        self.max_connections_per_address = limit;
        self
    }
}

impl Connection for Http {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        Box::pin(async move {
            let (listener, address) = HttpListener::open(&self.address).await?;
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

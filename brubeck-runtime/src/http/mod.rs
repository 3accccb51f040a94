//! The embedded HTTP server.

mod listen;
mod service;
mod timeout_stream;
#[cfg(feature = "tls")]
mod tls;
mod upgrade;
mod websocket;

use crate::handler::{Application, Connection, OpenConnection, Stop};
use futures_util::future::BoxFuture;
#[cfg(feature = "http2")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioTimer;
#[cfg(feature = "http2")]
use hyper_util::server::conn::auto;
use listen::{HttpListener, PerAddressLimit};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// The embedded HTTP server: the front end that needs nothing else installed.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Http::bind("127.0.0.1:6767")).await
/// # }
/// ```
///
/// HTTP/1.1, and with the feature `http2` also HTTP/2.
///
/// | limit | default | beyond it |
/// |---|---|---|
/// | time to read the head of a request | 5 s | closed |
/// | time without a request on an open connection | 60 s | closed |
/// | pause between two parts of a body | 10 s | 408, closed |
/// | time in which a client must take something of a response | 30 s | closed |
/// | headers | 100, 16 KiB | 431 |
/// | path and query | 8 KiB | 414 |
/// | body | the application's limit, or that of the route | 413, closed |
/// | open connections | 10,000 | wait to be accepted |
/// | open connections of one address | 256 | closed |
#[derive(Clone, Debug)]
#[must_use]
pub struct Http {
    at: At,
    header_timeout: Duration,
    idle_timeout: Duration,
    body_timeout: Duration,
    write_timeout: Duration,
    connections: usize,
    per_address: usize,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

/// Where to listen.
#[derive(Clone, Debug)]
enum At {
    Address(String),
    Unix(PathBuf),
    #[cfg(feature = "systemd")]
    Inherited,
}

/// The files of a certificate chain and its private key.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
struct Tls {
    certificates: PathBuf,
    key: PathBuf,
}

impl Http {
    /// Listens at this address: `127.0.0.1:6767`, `[::1]:0`, `localhost:8080`.
    pub fn bind(address: impl Into<String>) -> Http {
        Http::at(At::Address(address.into()))
    }

    /// Listens at a Unix socket, for a proxy on this machine. A socket that a dead process left behind is replaced;
    /// one that still answers is an error. The folder says who may connect.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Http {
        Http::at(At::Unix(path.into()))
    }

    /// Takes the first socket that systemd (or `systemfd`) hands over. Feature `systemd`.
    #[cfg(feature = "systemd")]
    pub fn inherited() -> Http {
        Http::at(At::Inherited)
    }

    fn at(at: At) -> Http {
        Http {
            at,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            connections: 10_000,
            per_address: 256,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Speaks TLS, with the certificate chain and the private key of these PEM files. Feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Http {
        self.tls = Some(Tls {
            certificates: certificates.into(),
            key: key.into(),
        });
        self
    }

    /// How long the head of a request may take, and the handshake of TLS.
    pub fn header_timeout(mut self, limit: Duration) -> Http {
        self.header_timeout = limit;
        self
    }

    /// How long a connection stays open without a request.
    pub fn idle_timeout(mut self, limit: Duration) -> Http {
        self.idle_timeout = limit;
        self
    }

    /// How long a body may pause.
    pub fn body_timeout(mut self, limit: Duration) -> Http {
        self.body_timeout = limit;
        self
    }

    /// How long a client may take nothing of a response.
    pub fn write_timeout(mut self, limit: Duration) -> Http {
        self.write_timeout = limit;
        self
    }

    /// How many connections may be open at once.
    pub fn max_connections(mut self, limit: usize) -> Http {
        self.connections = limit;
        self
    }

    /// How many connections of one address may be open at once. Behind a proxy all have that of the proxy.
    pub fn max_connections_per_address(mut self, limit: usize) -> Http {
        self.per_address = limit;
        self
    }
}

impl Connection for Http {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        Box::pin(async move {
            let (listener, address) = HttpListener::open(&self.at).await?;
            #[cfg(feature = "tls")]
            let tls = self.tls.as_ref().map(tls::acceptor).transpose()?;
            #[cfg(feature = "tls")]
            let scheme = if tls.is_some() { "https" } else { "http" };
            #[cfg(not(feature = "tls"))]
            let scheme = "http";
            let serve = Box::new(|stop: Stop| {
                let (alive, ended) = mpsc::channel(1);
                let server = HttpServer {
                    settings: *self,
                    application,
                    stop: stop.clone(),
                    _alive: alive,
                    #[cfg(feature = "tls")]
                    tls,
                };
                Box::pin(server.serve(listener, stop, ended)) as BoxFuture<'static, ()>
            });
            Ok(OpenConnection {
                address: format!("{scheme}{address}"),
                serve,
            })
        })
    }
}

struct HttpServer {
    settings: Http,
    application: Arc<dyn Application>,
    /// Ends WebSockets, which do not end by themselves.
    stop: Stop,
    /// Dropped with the last connection, when the server is done.
    _alive: mpsc::Sender<Infallible>,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl HttpServer {
    async fn serve(self, listener: HttpListener, mut stop: Stop, mut ended: mpsc::Receiver<Infallible>) {
        let places = Arc::new(Semaphore::new(
            self.settings.connections.min(Semaphore::MAX_PERMITS),
        ));
        let peers = PerAddressLimit::new(self.settings.per_address);
        let server = Arc::new(self);
        loop {
            let accepted = async {
                // The semaphore lives as long as this loop, so it is never closed.
                let place = places.clone().acquire_owned().await.ok();
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                () = stop.requested() => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, address)) => match peers.admit(address) {
                    Some(admitted) => {
                        let connection = server.clone().connection(stream, address);
                        tokio::spawn(async move {
                            connection.await;
                            drop((place, admitted));
                        });
                    }
                    None => tracing::debug!(?address, "closed: too many connections of one address"),
                },
                Err(error) => {
                    // Out of file descriptors: accepting again at once would burn a core.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        drop(server);
        // Nothing is ever sent: this waits for the connections, which drain, and for the WebSockets.
        ended.recv().await;
    }

    async fn connection(self: Arc<Self>, stream: listen::AcceptedStream, address: Option<IpAddr>) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            match tokio::time::timeout(self.settings.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => return self.speak(stream, address).await,
                Ok(Err(error)) => return tracing::debug!(?address, %error, "no TLS handshake"),
                Err(_) => return tracing::debug!(?address, "a TLS handshake took too long"),
            }
        }
        self.speak(stream, address).await;
    }

    async fn speak<I>(self: Arc<Self>, stream: I, address: Option<IpAddr>)
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (stream, progress) = timeout_stream::wrap(stream, &self.settings);
        let service = service::ConnectionService {
            server: self.clone(),
            address,
            progress,
        };
        // The stream knows how long a head may take; hyper alone would count the time between requests as well. That it
        // takes 100 headers is its own rule: told so, it would clear its room for them with each request.
        #[cfg(not(feature = "http2"))]
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .serve_connection(stream, service)
            .with_upgrades();
        #[cfg(feature = "http2")]
        let connection = {
            let mut http = auto::Builder::new(TokioExecutor::new());
            http.http1().timer(TokioTimer::new()).header_read_timeout(None);
            http.http2()
                .timer(TokioTimer::new())
                .max_concurrent_streams(128)
                .max_header_list_size(16 * 1024)
                .keep_alive_interval(self.settings.idle_timeout)
                .keep_alive_timeout(self.settings.header_timeout);
            http.serve_connection_with_upgrades(stream, service).into_owned()
        };
        if let Err(error) = drained(
            connection,
            |connection| connection.graceful_shutdown(),
            self.stop.clone(),
        )
        .await
        {
            tracing::debug!(?address, %error, "a connection ended early");
        }
    }
}

/// Runs a connection to its end. When the server is told to stop, `drain` has it end with what it is answering.
async fn drained<C: Future>(connection: C, drain: fn(Pin<&mut C>), stop: Stop) -> C::Output {
    let mut connection = pin!(connection);
    let news = stop.clone();
    let mut stop = stop;
    let mut requested = pin!(stop.requested());
    let (mut draining, mut told) = (false, None::<Waker>);
    poll_fn(|cx| {
        // Listened to once and not with each request, since whoever is told stays told.
        let listens = told.as_ref().is_some_and(|told| told.will_wake(cx.waker()));
        if !draining && (!listens || news.may_be_requested()) {
            told = Some(cx.waker().clone());
            draining = requested.as_mut().poll(cx).is_ready();
            if draining {
                drain(connection.as_mut());
            }
        }
        connection.as_mut().poll(cx)
    })
    .await
}

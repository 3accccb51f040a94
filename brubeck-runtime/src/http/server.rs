//! Accepts connections and runs them until they end or the server stops.

use super::listen::{AcceptedStream, HttpListener, PerAddressLimit};
use super::service::ConnectionService;
use super::timeout_stream::InFlight;
use super::{HttpServer, timeout_stream};
use crate::authority::Scheme;
use crate::handler::Stop;
use crate::peer::{RemoteAddr, WebClient};
#[cfg(feature = "http2")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioTimer;
#[cfg(feature = "http2")]
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Sleep;

/// Pause after an error of `accept`.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// The longest time that an HTTP/1 connection without a request stays open while the server stops. A request that the client is just
/// sending gets its response, which says that the connection is closed.
const CLOSE_DELAY: Duration = Duration::from_secs(1);

impl HttpServer {
    /// Serves until the stop is requested, and then until all connections and WebSockets have ended.
    ///
    /// `all_ended` is the receiver of `_alive`. It ends when the last reference to the server is dropped.
    pub(super) async fn serve(self, listener: HttpListener, mut all_ended: mpsc::Receiver<Infallible>) {
        let server = Arc::new(self);
        server.accept_connections(&listener).await;
        drop(listener);
        drop(server);
        all_ended.recv().await;
    }

    async fn accept_connections(self: &Arc<Self>, listener: &HttpListener) {
        let settings = &self.settings;
        let connection_limit = Arc::new(Semaphore::new(
            settings.max_connections.min(Semaphore::MAX_PERMITS),
        ));
        let address_limit = PerAddressLimit::new(settings.max_connections_per_address);
        let mut stop = self.stop.clone();
        loop {
            let accept = async {
                // The semaphore is never closed.
                let permit = connection_limit.clone().acquire_owned().await.ok();
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                biased;
                () = stop.requested() => return,
                () = listener.keep_name() => continue,
                accepted = accept => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually the process is out of file descriptors. Retrying without a pause would use a full core.
                    tracing::warn!(%error, retry_in = ?ACCEPT_RETRY_DELAY, "cannot accept a connection, retrying");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    continue;
                }
            };
            let Some(address_permit) = address_limit.acquire(address) else {
                tracing::debug!(
                    ?address,
                    "connection closed: too many connections from this address"
                );
                continue;
            };
            let connection = self.clone().run_connection(stream, address);
            tokio::spawn(async move {
                connection.await;
                drop((permit, address_permit));
            });
        }
    }

    async fn run_connection(self: Arc<Self>, stream: AcceptedStream, address: Option<IpAddr>) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let timeout = self.settings.header_timeout;
            match tokio::time::timeout(timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let version = Version::negotiated(stream.get_ref().1.alpn_protocol());
                    return self.serve_http(stream, address, Scheme::Https, version).await;
                }
                Ok(Err(error)) => return tracing::debug!(?address, %error, "TLS handshake failed"),
                Err(_) => return tracing::debug!(?address, ?timeout, "TLS handshake timed out"),
            }
        }
        self.serve_http(stream, address, Scheme::Http, Version::Any).await;
    }

    async fn serve_http<I>(
        self: Arc<Self>,
        stream: I,
        address: Option<IpAddr>,
        scheme: Scheme,
        version: Version,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stream, in_flight) = timeout_stream::wrap(stream, &self.settings, self.stop.clone());
        let service = ConnectionService {
            server: self.clone(),
            client: WebClient {
                // A socket for both versions of IP has IPv4-mapped addresses.
                address: address.map(|address| RemoteAddr(address.to_canonical())),
                scheme,
            },
            in_flight: in_flight.clone(),
        };
        // `TimeoutStream` applies the header timeout: that of hyper would include the idle time between two requests. Hyper
        // also has a limit of 100 headers by default. Setting it explicitly would make hyper allocate and clear room for
        // them with each request.
        #[cfg(not(feature = "http2"))]
        let Version::Any = version;
        #[cfg(not(feature = "http2"))]
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .serve_connection(stream, service)
            .with_upgrades();
        #[cfg(feature = "http2")]
        let connection = {
            let http = auto::Builder::new(TokioExecutor::new());
            let mut http = match version {
                Version::Any => http,
                Version::Http1 => http.http1_only(),
                Version::Http2 => http.http2_only(),
            };
            http.http1().timer(TokioTimer::new()).header_read_timeout(None);
            http.http2()
                .timer(TokioTimer::new())
                .max_concurrent_streams(128)
                // WebSockets (RFC 8441).
                .enable_connect_protocol()
                .max_header_list_size(16 * 1024)
                .keep_alive_interval(self.settings.idle_timeout)
                .keep_alive_timeout(self.settings.header_timeout);
            http.serve_connection_with_upgrades(stream, service).into_owned()
        };
        let served = run_until_stopped(
            connection,
            |connection| connection.graceful_shutdown(),
            &in_flight,
            self.stop.clone(),
        );
        if let Err(error) = served.await {
            tracing::debug!(?address, %error, "connection failed");
        }
    }
}

/// The versions of HTTP that a client may use on a connection.
#[derive(Clone, Copy)]
enum Version {
    /// The first bytes decide.
    Any,
    #[cfg(feature = "http2")]
    Http1,
    #[cfg(feature = "http2")]
    Http2,
}

#[cfg(feature = "tls")]
impl Version {
    /// Returns the versions for the protocol that a TLS handshake has selected (RFC 9113, section 3.2).
    fn negotiated(protocol: Option<&[u8]>) -> Version {
        match protocol {
            #[cfg(feature = "http2")]
            Some(b"h2") => Version::Http2,
            #[cfg(feature = "http2")]
            Some(b"http/1.1") => Version::Http1,
            _ => Version::Any,
        }
    }
}

/// Runs a connection to its end. Once the stop is requested, an HTTP/1 connection ends after its next response. `shutdown` ends a
/// connection after its current responses: an HTTP/2 connection at once, because it tells the client so, and an HTTP/1 connection after
/// [`CLOSE_DELAY`].
async fn run_until_stopped<C: Future>(
    connection: C,
    shutdown: fn(Pin<&mut C>),
    in_flight: &InFlight,
    stop: Stop,
) -> C::Output {
    let mut connection = pin!(connection);
    let stop_check = stop.clone();
    let mut stop = stop;
    let mut requested = pin!(stop.requested());
    let mut is_draining = false;
    let mut close_delay: Option<Pin<Box<Sleep>>> = None;
    let mut registered: Option<Waker> = None;
    poll_fn(|cx| {
        // This runs several times for each request, and polling `requested` takes a lock. The waker stays registered until
        // it is woken, so poll again only with another waker, or if the cheap check finds that the stop may be requested.
        let is_registered = registered
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        if !is_draining && (!is_registered || stop_check.may_be_requested()) {
            registered = Some(cx.waker().clone());
            is_draining = requested.as_mut().poll(cx).is_ready();
            if is_draining {
                in_flight.close_after_next_response();
                let delay = if in_flight.is_http2() {
                    Duration::ZERO
                } else {
                    CLOSE_DELAY.min(stop_check.limit() / 2)
                };
                close_delay = Some(Box::pin(tokio::time::sleep(delay)));
            }
        }
        if let Some(delay) = &mut close_delay
            && (in_flight.is_http2() || delay.as_mut().poll(cx).is_ready())
        {
            close_delay = None;
            shutdown(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    })
    .await
}

//! The embedded HTTP server.

use super::web::http_response;
use super::{Application, Connection, Opened, Stop};
use crate::error::Error;
use crate::message::{Message, RemoteAddr};
use crate::method::Method;
use crate::reply::{IntoReply, Response};
use crate::status::Status;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The embedded HTTP/1.1 server: the front end that needs nothing else installed.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Http::bind("127.0.0.1:6767")).await
/// # }
/// ```
///
/// | limit | default | beyond it |
/// |---|---|---|
/// | time to read the head of a request | 5 s | closed |
/// | pause between two parts of a body | 10 s | 408, closed |
/// | headers | 100 | 431 |
/// | body | the application's limit | 413, closed |
/// | open connections | 10,000 | wait to be accepted |
#[derive(Clone, Debug)]
#[must_use]
pub struct Http {
    address: String,
    header_timeout: Duration,
    body_timeout: Duration,
    connections: usize,
}

impl Http {
    /// Listens at this address: `127.0.0.1:6767`, `[::1]:0`, `localhost:8080`.
    pub fn bind(address: impl Into<String>) -> Http {
        Http {
            address: address.into(),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            connections: 10_000,
        }
    }

    /// How long the head of a request may take.
    pub fn header_timeout(mut self, limit: Duration) -> Http {
        self.header_timeout = limit;
        self
    }

    /// How long a body may pause.
    pub fn body_timeout(mut self, limit: Duration) -> Http {
        self.body_timeout = limit;
        self
    }

    /// How many connections may be open at once.
    pub fn max_connections(mut self, limit: usize) -> Http {
        self.connections = limit;
        self
    }
}

impl Connection for Http {
    fn open(self: Box<Self>, application: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<Opened>> {
        Box::pin(async move {
            let cannot = |error| Error::because(format!("cannot listen at {}", self.address), error);
            let listener = TcpListener::bind(&self.address).await.map_err(cannot)?;
            let address = format!("http://{}", listener.local_addr().map_err(cannot)?);
            let server = Server {
                settings: *self,
                application,
            };
            Ok(Opened {
                address,
                serve: Box::new(|stop| Box::pin(server.serve(listener, stop))),
            })
        })
    }
}

struct Server {
    settings: Http,
    application: Arc<dyn Application>,
}

impl Server {
    async fn serve(self, listener: TcpListener, mut stop: Stop) {
        let places = Arc::new(Semaphore::new(self.settings.connections));
        let graceful = GracefulShutdown::new();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.settings.header_timeout)
            .max_headers(100);
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
                Ok((stream, remote)) => {
                    let connection =
                        http.serve_connection(TokioIo::new(nodelay(stream)), server.clone().service(remote));
                    let connection = graceful.watch(connection);
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%remote, %error, "a connection ended early");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of file descriptors: accepting again at once would burn a core.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        graceful.shutdown().await;
    }

    fn service(
        self: Arc<Self>,
        remote: SocketAddr,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = http::Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send,
    > {
        service_fn(move |request| {
            let server = self.clone();
            async move { Ok(server.answer(request, remote).await.map(Full::new)) }
        })
    }

    async fn answer(&self, request: Request<Incoming>, remote: SocketAddr) -> http::Response<Bytes> {
        let head = request.method() == http::Method::HEAD;
        match self.read(request, remote).await {
            Ok(message) => http_response(self.application.clone().answer(message).await, head),
            Err(refused) => {
                // What is left of the request is not worth reading.
                let mut response = http_response(refused, head);
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
        }
    }

    async fn read(&self, request: Request<Incoming>, remote: SocketAddr) -> Result<Message, Response> {
        let refuse = |code: i32, reason: &'static str| Err(Status::new(code).message(reason).into_reply());
        if let Some(reason) = unhygienic(&request) {
            return refuse(400, reason);
        }
        let Some(method) = Method::from_http(request.method()) else {
            return refuse(501, "this method is not known here");
        };
        let limit = self.application.body_limit();
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > limit) {
            return refuse(413, "the body is too large");
        }
        let (parts, mut incoming) = request.into_parts();
        let mut body = Chunks::Empty;
        loop {
            match tokio::time::timeout(self.settings.body_timeout, incoming.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        body = body.and(data);
                        if body.len() > limit {
                            return refuse(413, "the body is too large");
                        }
                    }
                }
                Ok(Some(Err(_))) => return refuse(400, "the body is malformed"),
                Err(_) => return refuse(408, "the body did not come in time"),
            }
        }
        let target = parts
            .uri
            .path_and_query()
            .map_or_else(|| parts.uri.path(), |target| target.as_str());
        Ok(Message::web(method, target)
            .with_headers(parts.headers)
            .with_body(body.into_bytes())
            .with_extension(RemoteAddr(remote.ip())))
    }
}

/// Most bodies come in one piece, which is then not copied.
enum Chunks {
    Empty,
    One(Bytes),
    Many(BytesMut),
}

impl Chunks {
    fn and(self, data: Bytes) -> Chunks {
        match self {
            Chunks::Empty => Chunks::One(data),
            Chunks::One(first) => Chunks::Many(BytesMut::from(first)).and(data),
            Chunks::Many(mut all) => {
                all.extend_from_slice(&data);
                Chunks::Many(all)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Chunks::Empty => 0,
            Chunks::One(bytes) => bytes.len(),
            Chunks::Many(bytes) => bytes.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Chunks::Empty => Bytes::new(),
            Chunks::One(bytes) => bytes,
            Chunks::Many(bytes) => bytes.freeze(),
        }
    }
}

/// What RFC 9112 (3.2 and 6.1) tells a server to refuse and hyper lets through.
fn unhygienic<B>(request: &Request<B>) -> Option<&'static str> {
    let count = |name| request.headers().get_all(name).iter().count();
    match count(HOST) {
        0 if request.version() == Version::HTTP_11 => Some("the request has no Host"),
        0 | 1 if count(TRANSFER_ENCODING) > 1 => Some("the request has several transfer codings"),
        0 | 1 => None,
        _ => Some("the request has several Hosts"),
    }
}

fn nodelay(stream: TcpStream) -> TcpStream {
    // Without it small answers wait for an acknowledgement; a socket that refuses works all the same.
    let _ = stream.set_nodelay(true);
    stream
}

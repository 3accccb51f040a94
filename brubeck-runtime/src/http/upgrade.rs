//! WebSocket upgrades: from the handshake request to a connection that carries frames.

use super::HttpServer;
use super::timeout_stream::InFlightGuard;
use super::websocket::{self, WebSocketDriver};
use crate::handler::Stop;
use crate::response::Body;
use crate::response::http_response::error_response;
use crate::websocket::{
    Close, Deflate, INVALID_KEY, SocketSender, UpgradeHandle, handshake_key, switching_protocols,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::response::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// The status and reason for rejecting a handshake.
type UpgradeError = (StatusCode, &'static str);

/// A valid handshake that no handler has accepted yet.
pub(super) struct PendingUpgrade {
    /// The value of `sec-websocket-accept`. `None` for HTTP/2, which has no such header.
    accept: Option<HeaderValue>,
    /// Shared with the handler, which accepts the upgrade through it.
    handle: UpgradeHandle,
    sender: SocketSender,
    driver: WebSocketDriver,
    deflate: Option<Deflate>,
}

/// Prepares a WebSocket if the request is a handshake (RFC 6455, section 4.2.1), and adds the [`UpgradeHandle`] for the handler to
/// the request's extensions. Returns `None` for other requests. `max_message` is the limit for messages, in bytes.
///
/// # Errors
///
/// Returns an error if the version is not 13, or the key is not valid.
pub(super) fn parse<B>(
    request: &mut Request<B>,
    max_message: usize,
) -> Result<Option<PendingUpgrade>, UpgradeError> {
    if is_extended_connect(request) {
        let accept = check_version(request.headers()).map(|()| None)?;
        // The application routes a handshake like one of HTTP/1.1.
        *request.method_mut() = Method::GET;
        return Ok(Some(PendingUpgrade::new(request, accept, max_message)));
    }
    let headers = request.headers();
    let is_get = request.method() == Method::GET && request.version() == Version::HTTP_11;
    // Requests have few headers, so scanning their names is cheaper than the hash lookup for `UPGRADE`.
    if !is_get
        || !headers.keys().any(|name| *name == UPGRADE)
        || !contains_token(headers, UPGRADE, "websocket")
        || !contains_token(headers, CONNECTION, "upgrade")
    {
        return Ok(None);
    }
    check_version(headers)?;
    let accept = handshake_key(headers).and_then(|key| HeaderValue::try_from(accept_value(key)).ok());
    let Some(accept) = accept else {
        return Err((StatusCode::BAD_REQUEST, INVALID_KEY));
    };
    Ok(Some(PendingUpgrade::new(request, Some(accept), max_message)))
}

/// Returns `true` for a handshake over HTTP/2 (RFC 8441, section 4).
fn is_extended_connect<B>(request: &Request<B>) -> bool {
    #[cfg(feature = "http2")]
    return request.method() == Method::CONNECT
        && request
            .extensions()
            .get::<hyper::ext::Protocol>()
            .is_some_and(|protocol| protocol.as_str() == "websocket");
    #[cfg(not(feature = "http2"))]
    {
        let _ = request;
        false
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), UpgradeError> {
    match headers.get(SEC_WEBSOCKET_VERSION) {
        Some(version) if version == "13" => Ok(()),
        _ => Err((
            StatusCode::UPGRADE_REQUIRED,
            "only version 13 of the WebSocket protocol is supported",
        )),
    }
}

pub(super) fn error_to_response((code, reason): UpgradeError) -> Response<Body> {
    let mut response = error_response(code, reason);
    if code == StatusCode::UPGRADE_REQUIRED {
        let version = HeaderValue::from_static("13");
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
    }
    response
}

impl PendingUpgrade {
    fn new<B>(request: &mut Request<B>, accept: Option<HeaderValue>, max_message: usize) -> PendingUpgrade {
        let deflate = Deflate::negotiate(request.headers());
        let (driver, socket) = websocket::new(max_message, deflate);
        let sender = socket.sender();
        let handle = UpgradeHandle::new(socket);
        request.extensions_mut().insert(handle.clone());
        PendingUpgrade {
            accept,
            handle,
            sender,
            driver,
            deflate,
        }
    }

    /// Opens the WebSocket on `stream` if the handler accepted it. The response is 101 then, or 200 over HTTP/2, and the WebSocket keeps the guard until it
    /// ends. Otherwise returns the response and the guard unchanged.
    pub(super) fn complete(
        self,
        stream: OnUpgrade,
        response: Response<Body>,
        guard: InFlightGuard,
        server: Arc<HttpServer>,
    ) -> (Response<Body>, Option<InFlightGuard>) {
        let (parts, socket) = match self.accept(response) {
            Ok(accepted) => accepted,
            Err(response) => return (response, Some(guard)),
        };
        tokio::spawn(async move {
            match stream.await {
                Ok(upgraded) => socket.run(TokioIo::new(upgraded), server.stop.clone()).await,
                Err(error) => tracing::debug!(%error, "WebSocket upgrade failed"),
            }
            // The guard keeps the connection from timing out, and a shutdown waits until the server reference is dropped.
            drop((guard, server));
        });
        (Response::from_parts(parts, Body::empty()), None)
    }

    /// Returns the head of the response that opens the WebSocket, and the WebSocket to run after it.
    ///
    /// # Errors
    ///
    /// Returns the response to send instead if the handler has not accepted the handshake.
    pub(super) fn accept(self, response: Response<Body>) -> Result<(Parts, AcceptedSocket), Response<Body>> {
        let Some(accepted) = self.handle.take_accepted_for(&response) else {
            // Over HTTP/2 every successful response opens the stream, even that of a handler without a WebSocket.
            let is_wrong = self.accept.is_none() && response.status().is_success();
            let refused = || error_response(StatusCode::BAD_REQUEST, "there is no WebSocket at this path");
            return Err(if is_wrong { refused() } else { response });
        };
        let parts = switching_protocols(response, self.accept, accepted.protocol, self.deflate);
        let mut driver = self.driver;
        if let Some(limit) = accepted.message_limit {
            driver.set_message_limit(limit);
        }
        let socket = AcceptedSocket {
            handler: accepted.run,
            sender: self.sender,
            driver,
        };
        Ok((parts, socket))
    }
}

/// A WebSocket whose handler has accepted the handshake.
pub(super) struct AcceptedSocket {
    handler: BoxFuture<'static, ()>,
    sender: SocketSender,
    driver: WebSocketDriver,
}

impl AcceptedSocket {
    /// Runs the connection and the handler until both have ended. The connection is closed when the handler ends or `stop` is requested.
    pub(super) async fn run(self, stream: impl AsyncRead + AsyncWrite + Unpin, stop: Stop) {
        let handler = async {
            if AssertUnwindSafe(self.handler).catch_unwind().await.is_err() {
                tracing::error!("WebSocket handler panicked");
                self.sender.close(Close::FAILED);
            }
        };
        tokio::join!(self.driver.run(stream, stop), handler);
    }
}

/// Returns the value of `sec-websocket-accept` for a key (RFC 6455, section 4.2.2).
fn accept_value(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.finalize())
}

/// Returns `true` if the comma-separated values of a header contain the token. Ignores case.
fn contains_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|value| value.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

//! WebSocket upgrades: from the handshake request to a connection that carries frames.

use super::HttpServer;
use super::timeout_stream::InFlightGuard;
use super::websocket::{self, WebSocketDriver};
use crate::response::Body;
use crate::response::http_response::error_response;
use crate::websocket::{Close, Deflate, SocketSender, UpgradeHandle, switching_protocols};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The status and reason for rejecting a handshake.
type UpgradeError = (StatusCode, &'static str);

/// A valid handshake that no handler has accepted yet.
pub(super) struct PendingUpgrade {
    upgrade: OnUpgrade,
    /// The value of `sec-websocket-accept`.
    accept: HeaderValue,
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
/// Returns an error if the version is not 13, or the key does not have 24 characters.
pub(super) fn parse(
    request: &mut Request<Incoming>,
    max_message: usize,
) -> Result<Option<PendingUpgrade>, UpgradeError> {
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
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err((
            StatusCode::UPGRADE_REQUIRED,
            "only version 13 of the WebSocket protocol is supported",
        ));
    }
    let accept = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24)
        .and_then(|key| HeaderValue::try_from(accept_value(key.as_bytes())).ok());
    let Some(accept) = accept else {
        return Err((StatusCode::BAD_REQUEST, "the Sec-WebSocket-Key is not valid"));
    };
    let deflate = Deflate::negotiate(headers);
    let (driver, socket) = websocket::new(max_message, deflate);
    let sender = socket.sender();
    let handle = UpgradeHandle::new(socket);
    request.extensions_mut().insert(handle.clone());
    Ok(Some(PendingUpgrade {
        upgrade: hyper::upgrade::on(request),
        accept,
        handle,
        sender,
        driver,
        deflate,
    }))
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
    /// Opens the WebSocket if the handler accepted it. The response is 101 then, and the WebSocket keeps the guard until it
    /// ends. Otherwise returns the response and the guard unchanged.
    pub(super) fn complete(
        self,
        response: Response<Body>,
        guard: InFlightGuard,
        server: Arc<HttpServer>,
    ) -> (Response<Body>, Option<InFlightGuard>) {
        let Some(accepted) = self.handle.take_accepted() else {
            return (response, Some(guard));
        };
        let PendingUpgrade {
            upgrade,
            accept,
            sender,
            driver,
            deflate,
            ..
        } = self;
        let parts = switching_protocols(response, accept, accepted.protocol, deflate);
        tokio::spawn(async move {
            let stream = match upgrade.await {
                Ok(upgraded) => TokioIo::new(upgraded),
                Err(error) => return tracing::debug!(%error, "WebSocket upgrade failed"),
            };
            let handler = async {
                if AssertUnwindSafe(accepted.run).catch_unwind().await.is_err() {
                    tracing::error!("WebSocket handler panicked");
                    sender.close(Close::FAILED);
                }
            };
            tokio::join!(driver.run(stream, server.stop.clone()), handler);
            // The guard keeps the connection from timing out, and a shutdown waits until the server reference is dropped.
            drop((guard, server));
        });
        (Response::from_parts(parts, Body::empty()), None)
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

//! WebSockets of the embedded server: from a request that asks for one to the connection that is one.

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

/// A status and a reason.
type UpgradeError = (StatusCode, &'static str);

/// A WebSocket that a client asks for.
pub(super) struct PendingUpgrade {
    upgrade: OnUpgrade,
    accept: HeaderValue,
    offer: UpgradeHandle,
    sender: SocketSender,
    line: WebSocketDriver,
    deflate: Option<Deflate>,
}

/// Lays a WebSocket beside a request that asks for one; `None` for the others.
///
/// # Errors
///
/// The refusal of a request that asks for one in a way that RFC 6455 (4.2.1) does not know.
pub(super) fn asked(
    request: &mut Request<Incoming>,
    limit: usize,
) -> Result<Option<PendingUpgrade>, UpgradeError> {
    let headers = request.headers();
    let is_get = request.method() == Method::GET && request.version() == Version::HTTP_11;
    // Most requests have few headers, and this is faster seen than looked up.
    if !is_get
        || !headers.keys().any(|name| *name == UPGRADE)
        || !says(headers, UPGRADE, "websocket")
        || !says(headers, CONNECTION, "upgrade")
    {
        return Ok(None);
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err((StatusCode::UPGRADE_REQUIRED, "only version 13 is spoken here"));
    }
    let accept = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24)
        .and_then(|key| HeaderValue::try_from(accept_of(key.as_bytes())).ok());
    let Some(accept) = accept else {
        return Err((StatusCode::BAD_REQUEST, "the key of the WebSocket is none"));
    };
    let deflate = Deflate::negotiate(headers);
    let (line, socket) = websocket::line(limit, deflate);
    let sender = socket.sender();
    let offer = UpgradeHandle::new(socket);
    request.extensions_mut().insert(offer.clone());
    Ok(Some(PendingUpgrade {
        upgrade: hyper::upgrade::on(request),
        accept,
        offer,
        sender,
        line,
        deflate,
    }))
}

/// What a request is answered that asks for a WebSocket wrongly.
pub(super) fn refused((code, reason): UpgradeError) -> Response<Body> {
    let mut refused = error_response(code, reason);
    if code == StatusCode::UPGRADE_REQUIRED {
        let version = HeaderValue::from_static("13");
        refused.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
    }
    refused
}

impl PendingUpgrade {
    /// The response that opens it, where a handler took it, and then holds on to `busy`; what was answered instead, where
    /// none did.
    pub(super) fn open(
        self,
        response: Response<Body>,
        busy: InFlightGuard,
        server: Arc<HttpServer>,
    ) -> (Response<Body>, Option<InFlightGuard>) {
        let Some(accepted) = self.offer.take_accepted() else {
            return (response, Some(busy));
        };
        let PendingUpgrade {
            upgrade,
            accept,
            sender,
            line,
            deflate,
            ..
        } = self;
        let parts = switching_protocols(response, accept, accepted.protocol, deflate);
        tokio::spawn(async move {
            let stream = match upgrade.await {
                Ok(upgraded) => TokioIo::new(upgraded),
                Err(error) => return tracing::debug!(%error, "a client left before its WebSocket was open"),
            };
            let handler = async {
                if AssertUnwindSafe(accepted.run).catch_unwind().await.is_err() {
                    tracing::error!("the handler of a WebSocket panicked");
                    sender.close(Close::FAILED);
                }
            };
            tokio::join!(line.run(stream, server.stop.clone()), handler);
            // Until now the connection was in use, and the server not done.
            drop((busy, server));
        });
        (Response::from_parts(parts, Body::empty()), None)
    }
}

/// What proves to a client that it was understood (RFC 6455, 4.2.2).
fn accept_of(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.finalize())
}

fn says(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

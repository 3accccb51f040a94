//! The handshake: from an upgrade request to a WebSocket.

use super::{Close, Deflate, UpgradeHandle, WebSocket};
use crate::message::Message;
use crate::response::{Body, IntoReply, Payload, Rejection, Response};
use crate::status::Status;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use std::fmt::Display;
use std::pin::pin;

/// Extractor for a WebSocket upgrade request, for handlers that decide whether to accept the request.
///
/// Most WebSocket handlers use `#[websocket("..")]` instead, which accepts every valid request.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get(r"^/room/(?<name>[a-z]+)$")]
/// async fn room(name: String, upgrade: Upgrade) -> Result<Response, Status> {
///     if name == "private" {
///         return Err(Status::FORBIDDEN);
///     }
///     Ok(upgrade.on(async move |mut socket: WebSocket| while let Some(message) = socket.recv().await {
///         println!("{name}: {message:?}");
///     }))
/// }
/// # const ROUTES: Routes<()> = routes![room];
/// ```
///
/// Rejects with 426 if the request is not a WebSocket handshake.
///
/// Rejects with 403 if the request comes from a page of another origin, because the browser includes the cookies of the user
/// (cross-site WebSocket hijacking). Use [`Upgrade::from_anywhere`] to accept such requests.
pub struct Upgrade {
    handle: UpgradeHandle,
    headers: HeaderMap,
}

impl Upgrade {
    /// Extracts the upgrade without checking its origin.
    ///
    /// # Errors
    ///
    /// Returns a rejection with status 426 if the request is not a WebSocket handshake.
    pub fn from_anywhere(message: &Message) -> Result<Upgrade, Rejection> {
        Ok(Upgrade {
            handle: UpgradeHandle::of(message)?,
            headers: message.headers().clone(),
        })
    }

    /// Extracts the upgrade, unless it comes from a page of another origin.
    pub(crate) fn from_same_site(message: &Message) -> Result<Upgrade, Rejection> {
        let upgrade = Upgrade::from_anywhere(message)?;
        check_origin(&upgrade.headers, &[])?;
        Ok(upgrade)
    }

    /// Selects the first of these subprotocols that the client supports. If it supports none, the WebSocket has no subprotocol.
    #[must_use]
    pub fn protocols(self, protocols: &[&'static str]) -> Upgrade {
        self.handle
            .set_protocol(choose_protocol(&self.headers, protocols));
        self
    }

    /// Accepts the upgrade. Returns the response that opens the WebSocket once the handler of the request returns it; `handler` runs after
    /// that. If an argument of the handler has taken the WebSocket, the response is 500.
    pub fn on<F, R>(self, handler: impl FnOnce(WebSocket) -> F) -> Response
    where
        F: Future<Output = R> + Send + 'static,
        R: SocketOutcome,
    {
        match self.handle.take_socket() {
            Some(socket) => accept(&self.handle, handler(socket)),
            None => UpgradeHandle::already_taken().into_reply(),
        }
    }
}

/// Return types of WebSocket handlers, which determine how the connection is closed.
///
/// ```
/// use brubeck::{Close, SocketOutcome};
///
/// assert_eq!(().close(), Close::NORMAL);
/// assert_eq!(Err::<(), _>("no database").close(), Close::FAILED);
/// ```
///
/// Implemented for `()`, which closes with code 1000, for [`Close`], and for `Result`: an error is logged at the level `debug` and closes
/// the connection with code 1011.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a return type of a WebSocket handler",
    label = "a handler of a WebSocket returns nothing, or `Result<(), E>`",
    note = "use `socket.send(..)` to send a message"
)]
pub trait SocketOutcome {
    /// Returns the code and reason for closing the connection.
    fn close(self) -> Close;
}

impl SocketOutcome for () {
    fn close(self) -> Close {
        Close::NORMAL
    }
}

impl SocketOutcome for Close {
    fn close(self) -> Close {
        self
    }
}

impl<T: SocketOutcome, E: Display> SocketOutcome for Result<T, E> {
    fn close(self) -> Close {
        match self {
            Ok(outcome) => outcome.close(),
            Err(error) => {
                tracing::debug!(%error, "WebSocket handler failed");
                Close::FAILED
            }
        }
    }
}

/// Checks the origin of an upgrade request, and selects its subprotocol. Used by `#[websocket]`.
///
/// `origins` are the other origins that are allowed; `["*"]` allows all.
///
/// # Errors
///
/// Returns a rejection with status 426 if the request is not a WebSocket handshake, and with 403 if its origin is not allowed.
pub(crate) fn negotiate(
    message: &Message,
    protocols: &[&'static str],
    origins: &[&str],
) -> Result<(), Rejection> {
    let handle = UpgradeHandle::of(message)?;
    check_origin(message.headers(), origins)?;
    handle.set_protocol(choose_protocol(message.headers(), protocols));
    Ok(())
}

/// Accepts an upgrade. Returns the response that opens the WebSocket; `handler` runs after that. Used by `#[websocket]`.
pub(crate) fn accept_upgrade<F>(message: &Message, handler: F) -> Response
where
    F: Future<Output: SocketOutcome> + Send + 'static,
{
    match UpgradeHandle::of(message) {
        Ok(handle) => accept(&handle, handler),
        Err(rejection) => rejection.into_reply(),
    }
}

fn accept<F>(handle: &UpgradeHandle, handler: F) -> Response
where
    F: Future<Output: SocketOutcome> + Send + 'static,
{
    // The handler consumes the socket, so closing it afterwards requires a sender.
    let sender = handle.sender();
    handle.accept(Box::pin(async move {
        let close = pin!(handler).await.close();
        sender.close(close);
    }));
    // `Status::http` converts 101 to 500, so the front end sets the HTTP status 101. The empty payload prevents that the response is taken
    // for an error, which a catcher or an error page would replace.
    Response::new(Status::new(101)).with_payload(Payload::Empty)
}

/// Returns the head of the response 101 (Switching Protocols), with the headers of the handler's response.
pub(crate) fn switching_protocols(
    response: http::Response<Body>,
    accept: HeaderValue,
    protocol: Option<&str>,
    deflate: Option<Deflate>,
) -> Parts {
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::SWITCHING_PROTOCOLS;
    let headers = &mut parts.headers;
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(Ok(protocol)) = protocol.map(HeaderValue::from_str) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(deflate) = deflate {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, deflate.header());
    }
    parts
}

/// Returns the first of the server's subprotocols that the client supports.
fn choose_protocol(headers: &HeaderMap, protocols: &[&'static str]) -> Option<&'static str> {
    let is_supported = |protocol: &&&'static str| {
        headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .any(|name| name.trim_ascii() == protocol.as_bytes())
    };
    protocols.iter().find(is_supported).copied()
}

/// Checks that the origin of a request has the host and port of the `host` header, or is allowed.
///
/// The scheme is not compared, because a proxy may terminate TLS. Requests without an `origin` header are accepted: browsers always send
/// the header, and other clients have no cookies of a user to abuse.
fn check_origin(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Rejection> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let is_same_host = || {
        let (_, authority) = origin.split_once("://")?;
        let host = headers.get(HOST)?.to_str().ok()?;
        Some(authority.eq_ignore_ascii_case(host))
    };
    if allowed
        .iter()
        .any(|other| *other == "*" || other.eq_ignore_ascii_case(origin))
        || is_same_host() == Some(true)
    {
        return Ok(());
    }
    Err(Rejection::new(
        Status::FORBIDDEN,
        "the origin is not allowed to open this WebSocket",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{
        BroadcastEncoding, BroadcastGroup, ClientId, Closed, SocketMessage, SocketTransport,
    };
    use bytes::Bytes;
    use futures_util::future::BoxFuture;
    use std::sync::Arc;

    struct NoTransport;

    impl SocketTransport for NoTransport {
        fn send(&self, _: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
            Box::pin(std::future::ready(Err(Closed)))
        }

        fn send_or_disconnect(&self, _: Bytes) {}

        fn encoding(&self) -> BroadcastEncoding {
            BroadcastEncoding::Frame
        }

        fn close(&self, _: Close) {}

        fn closed(&self) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }

        fn group(&self) -> Option<(Arc<dyn BroadcastGroup>, ClientId)> {
            None
        }
    }

    #[test]
    fn accepted_upgrade_is_not_an_error_response() {
        let (_, inbound) = tokio::sync::mpsc::channel(1);
        let handle = UpgradeHandle::new(WebSocket::new(inbound, Arc::default(), Arc::new(NoTransport)));
        let response = accept(&handle, async {});
        assert_eq!(response.status().code(), 101);
        assert!(matches!(response.payload(), Payload::Empty), "{response:?}");
        assert!(handle.take_accepted().is_some());
    }

    #[test]
    fn rejects_other_origins_unless_allowed() {
        let check = |origin: Option<&'static str>, allowed: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("example.com:8080"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            check_origin(&headers, allowed).is_ok()
        };
        assert!(check(None, &[]));
        assert!(check(Some("http://example.com:8080"), &[]));
        assert!(check(Some("http://EXAMPLE.com:8080"), &[]));
        for other in [
            "http://example.com",
            "http://evil.example",
            "null",
            "",
            "http://evil/example.com:8080",
            "http://example.com:8080.evil.example",
        ] {
            assert!(!check(Some(other), &[]), "{other}");
            assert!(check(Some(other), &["*"]), "{other}");
        }
        assert!(check(Some("https://app.example"), &["https://app.example"]));
        assert!(!check(Some("http://app.example"), &["https://app.example"]));
    }

    #[test]
    fn server_preference_decides_subprotocol() {
        let mut headers = HeaderMap::new();
        headers.append(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static("chat.v1, chat.v2"),
        );
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("other"));
        assert_eq!(
            choose_protocol(&headers, &["chat.v3", "chat.v2", "chat.v1"]),
            Some("chat.v2")
        );
        assert_eq!(choose_protocol(&headers, &["other"]), Some("other"));
        assert_eq!(choose_protocol(&headers, &["chat"]), None);
        assert_eq!(choose_protocol(&headers, &[]), None);
    }
}

//! The handshake: from an upgrade request to a WebSocket.

use super::{Close, Deflate, UpgradeHandle, WebSocket};
use crate::authority::WebOrigin;
use crate::message::Message;
use crate::response::{Body, IntoReply, Payload, Rejection, Response};
use crate::status::Status;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use std::fmt::Display;
use std::pin::pin;

/// Extractor for a WebSocket upgrade request, for handlers that decide whether to accept the request.
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
/// Most WebSocket handlers use `#[websocket("..")]` instead, which accepts every valid request.
///
/// Rejects with 426, or over HTTP/2 with 400, if the request is not a WebSocket handshake.
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
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/public-feed$")]
    /// async fn public_feed(message: Message) -> Result<Response, Rejection> {
    ///     let upgrade = Upgrade::from_anywhere(&message)?;
    ///     Ok(upgrade.on(async move |socket: WebSocket| {
    ///         let _ = socket.send("open to every page").await;
    ///     }))
    /// }
    /// # const ROUTES: Routes<()> = routes![public_feed];
    /// ```
    ///
    /// Any page can open such a WebSocket in the name of its visitors, with their cookies. So use it for public data, or if the handler
    /// authenticates the client without cookies. `#[websocket]` has the key `origins` for a list of allowed origins.
    ///
    /// # Errors
    ///
    /// Returns a [`Rejection`] with status 426, or over HTTP/2 with 400, if the request is not a WebSocket handshake.
    pub fn from_anywhere(message: &Message) -> Result<Upgrade, Rejection> {
        Ok(Upgrade {
            handle: UpgradeHandle::of(message)?,
            headers: message.headers().clone(),
        })
    }

    /// Extracts the upgrade, unless it comes from a page of another origin.
    pub(crate) fn from_same_site(message: &Message) -> Result<Upgrade, Rejection> {
        let upgrade = Upgrade::from_anywhere(message)?;
        check_origin(message, &[])?;
        Ok(upgrade)
    }

    /// Selects the first of these subprotocols that the client supports. If it supports none, the WebSocket has no subprotocol.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/chat$")]
    /// async fn chat(upgrade: Upgrade) -> Response {
    ///     upgrade.protocols(&["chat.v2", "chat.v1"]).on(async move |socket: WebSocket| {
    ///         let _ = socket.send(socket.protocol().unwrap_or("no protocol")).await;
    ///     })
    /// }
    /// # const ROUTES: Routes<()> = routes![chat];
    /// ```
    #[must_use]
    pub fn protocols(self, protocols: &[&'static str]) -> Upgrade {
        self.handle
            .set_protocol(choose_protocol(&self.headers, protocols));
        self
    }

    /// Accepts the upgrade. Returns the response that opens the WebSocket once the handler of the request returns it.
    ///
    /// `handler` runs after that: see the example of [`Upgrade`]. If an argument of the handler has taken the WebSocket, the response is 500.
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
/// the connection with code 1011. The trait is sealed: other types do not implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a return type of a WebSocket handler",
    label = "a handler of a WebSocket returns nothing, or `Result<(), E>`",
    note = "use `socket.send(..)` to send a message"
)]
pub trait SocketOutcome: sealed::SocketOutcome {
    /// Returns the code and reason for closing the connection.
    fn close(self) -> Close;
}

mod sealed {
    pub trait SocketOutcome {}
}

impl sealed::SocketOutcome for () {}

impl SocketOutcome for () {
    fn close(self) -> Close {
        Close::NORMAL
    }
}

impl sealed::SocketOutcome for Close {}

impl SocketOutcome for Close {
    fn close(self) -> Close {
        self
    }
}

impl<T: SocketOutcome, E: Display> sealed::SocketOutcome for Result<T, E> {}

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
/// Returns a rejection if the request is not a WebSocket handshake, see [`UpgradeHandle::of`], and with 403 if its origin is not allowed.
pub(crate) fn negotiate(
    message: &Message,
    protocols: &[&'static str],
    origins: &[&str],
) -> Result<(), Rejection> {
    let handle = UpgradeHandle::of(message)?;
    check_origin(message, origins)?;
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
    Response::new(Status::new(101)).with_payload(Payload::Upgrade)
}

/// Returns the head of the response that opens a WebSocket, with the headers of the handler's response: 101 (Switching Protocols), or 200 for
/// HTTP/2 (RFC 8441), whose handshake has no `accept`.
pub(crate) fn switching_protocols(
    response: http::Response<Body>,
    accept: Option<HeaderValue>,
    protocol: Option<&str>,
    deflate: Option<Deflate>,
) -> Parts {
    let (mut parts, _) = response.into_parts();
    let headers = &mut parts.headers;
    headers.remove(CONTENT_LENGTH);
    match accept {
        Some(accept) => {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        None => parts.status = StatusCode::OK,
    }
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

/// Checks that a request comes from a page of its own origin (scheme, host and port), or from one that is allowed.
///
/// Requests without an `origin` header are accepted: browsers always send the header, and other clients have no cookies of a user to
/// abuse.
fn check_origin(message: &Message, allowed: &[&str]) -> Result<(), Rejection> {
    let Some(origin) = WebOrigin::of_page(message.headers()) else {
        return Ok(());
    };
    let own = || {
        let authority = message.authority()?;
        Some(WebOrigin::of(message.scheme(), &authority))
    };
    let is_allowed =
        |other: &&str| *other == "*" || (origin.is_some() && WebOrigin::parse(other.as_bytes()) == origin);
    if allowed.iter().any(is_allowed) || (origin.is_some() && own() == origin) {
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
    use crate::method::Method;
    use crate::websocket::tests::TestTransport;
    use http::header::{HOST, ORIGIN};
    use std::sync::Arc;

    #[test]
    fn accepted_upgrade_is_not_an_error_response() {
        let (_, inbound) = tokio::sync::mpsc::unbounded_channel();
        let transport = Arc::new(TestTransport::new());
        let handle = UpgradeHandle::new(WebSocket::new(inbound, Arc::default(), transport));
        let response = accept(&handle, async {});
        assert_eq!(response.status().code(), 101);
        assert!(matches!(response.payload(), Payload::Upgrade), "{response:?}");
        assert!(handle.take_accepted().is_some());
    }

    #[test]
    fn rejects_other_origins_unless_allowed() {
        let check_at = |host: &'static str, origin: Option<&'static str>, allowed: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            let message = Message::web(Method::Get, "/").with_headers(headers);
            check_origin(&message, allowed).is_ok()
        };
        let check =
            |origin: Option<&'static str>, allowed: &[&str]| check_at("example.com:8080", origin, allowed);
        assert!(check(None, &[]));
        assert!(check(Some("http://example.com:8080"), &[]));
        assert!(check(Some("http://EXAMPLE.com:8080"), &[]));
        assert!(check_at("example.com:80", Some("http://example.com"), &[]));
        assert!(check_at("example.com", Some("http://example.com:80"), &[]));
        for other in [
            "http://example.com",
            "https://example.com:8080",
            "http://evil.example",
            "null",
            "",
            "http://evil/example.com:8080",
            "http://example.com:8080.evil.example",
        ] {
            assert!(!check(Some(other), &[]), "{other}");
            assert!(check(Some(other), &["*"]), "{other}");
        }
        assert!(check(Some("https://app.example:443"), &["https://app.example"]));
        assert!(!check(Some("http://app.example"), &["https://app.example"]));
        assert!(!check(Some("null"), &["null"]));
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

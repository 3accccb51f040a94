//! From a request to a WebSocket.

use super::{Close, Deflate, UpgradeHandle, WebSocket};
use crate::message::Message;
use crate::response::{Body, IntoReply, Rejection, Response};
use crate::status::Status;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use std::fmt::Display;
use std::pin::pin;

/// A request that asks for a WebSocket, for a handler that decides about it by itself. Most are written with
/// `#[websocket("..")]`.
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
/// A request that asks for none is answered with 426. One that a page of another site makes is answered with 403: the
/// browser would send the user's cookies along. [`Upgrade::from_anywhere`] is for those.
pub struct Upgrade {
    offer: UpgradeHandle,
    headers: HeaderMap,
}

impl Upgrade {
    /// The request, whatever page it comes from.
    ///
    /// # Errors
    ///
    /// It asks for no WebSocket.
    pub fn from_anywhere(message: &Message) -> Result<Upgrade, Rejection> {
        Ok(Upgrade {
            offer: UpgradeHandle::of(message)?,
            headers: message.headers().clone(),
        })
    }

    /// The request, if it does not come from a page of another site.
    pub(crate) fn from_same_site(message: &Message) -> Result<Upgrade, Rejection> {
        let upgrade = Upgrade::from_anywhere(message)?;
        check_origin(&upgrade.headers, &[])?;
        Ok(upgrade)
    }

    /// Agrees to the first of these subprotocols that the client speaks; to none if it speaks none of them.
    #[must_use]
    pub fn protocols(self, protocols: &[&'static str]) -> Upgrade {
        self.offer.set_protocol(choose_protocol(&self.headers, protocols));
        self
    }

    /// The response that opens the WebSocket, and what runs then.
    pub fn on<F, R>(self, handler: impl FnOnce(WebSocket) -> F) -> Response
    where
        F: Future<Output = R> + Send + 'static,
        R: SocketOutcome,
    {
        match self.offer.take_socket() {
            Some(socket) => accept(&self.offer, handler(socket)),
            None => UpgradeHandle::already_taken().into_reply(),
        }
    }
}

/// What a handler of a WebSocket can return: nothing, or a `Result`, whose error is logged and closes the connection
/// with code 1011.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the end of a WebSocket",
    label = "a handler of a WebSocket returns nothing, or `Result<(), E>`",
    note = "send what there is to say with `socket.send(..)`"
)]
pub trait SocketOutcome {
    /// Why the connection is closed, as the client is told.
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
                tracing::debug!(%error, "the handler of a WebSocket ended with an error");
                Close::FAILED
            }
        }
    }
}

/// For `#[websocket]`: whether the client may have a WebSocket here.
///
/// `origins` are those of other sites; `["*"]` stands for all.
pub(crate) fn negotiate(
    message: &Message,
    protocols: &[&'static str],
    origins: &[&str],
) -> Result<(), Rejection> {
    let offer = UpgradeHandle::of(message)?;
    check_origin(message.headers(), origins)?;
    offer.set_protocol(choose_protocol(message.headers(), protocols));
    Ok(())
}

/// For `#[websocket]`: the response that opens it, and what runs then.
pub(crate) fn accept_upgrade<F>(message: &Message, handler: F) -> Response
where
    F: Future<Output: SocketOutcome> + Send + 'static,
{
    match UpgradeHandle::of(message) {
        Ok(offer) => accept(&offer, handler),
        Err(rejection) => rejection.into_reply(),
    }
}

fn accept<F>(offer: &UpgradeHandle, handler: F) -> Response
where
    F: Future<Output: SocketOutcome> + Send + 'static,
{
    let sender = offer.sender();
    offer.accept(Box::pin(async move {
        let close = pin!(handler).await.close();
        sender.close(close);
    }));
    Response::new(Status::new(101))
}

/// The head of the response that opens a WebSocket.
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

/// The first of the server's subprotocols that the client speaks.
fn choose_protocol(headers: &HeaderMap, protocols: &[&'static str]) -> Option<&'static str> {
    let spoken = |protocol: &&&'static str| {
        headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .any(|word| word.trim_ascii() == protocol.as_bytes())
    };
    protocols.iter().find(spoken).copied()
}

/// Clients that are no browsers send no origin, and have no cookies of somebody else.
fn check_origin(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Rejection> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let same = || {
        let (_, site) = origin.split_once("://")?;
        let host = headers.get(HOST)?.to_str().ok()?;
        Some(site.eq_ignore_ascii_case(host))
    };
    if allowed
        .iter()
        .any(|known| *known == "*" || known.eq_ignore_ascii_case(origin))
        || same() == Some(true)
    {
        return Ok(());
    }
    Err(Rejection::new(
        Status::FORBIDDEN,
        "pages of other sites may not open this WebSocket",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_refused() {
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
    fn the_servers_first_choice_is_spoken() {
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

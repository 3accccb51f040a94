//! Extractors for WebSockets, WebSocket upgrades, and the sending half of a message socket.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use crate::websocket::{SocketSender, Upgrade, UpgradeHandle, WebSocket};

/// Extracts the WebSocket of an upgrade request. Rejects with 426 if the request is not a WebSocket handshake, and with 500 if another
/// argument has taken the WebSocket.
impl<S: Send + Sync + 'static> FromMessage<S> for WebSocket {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<WebSocket, Rejection> {
        UpgradeHandle::of(cx.message())?
            .take_socket()
            .ok_or_else(UpgradeHandle::already_taken)
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<WebSocket>, Rejection> {
        match is_handshake(cx) {
            true => WebSocket::from_message(cx).await.map(Some),
            false => Ok(None),
        }
    }
}

/// Extracts the upgrade request. Rejects with 426 if the request is not a WebSocket handshake, and with 403 if it comes from a page of
/// another origin.
impl<S: Send + Sync + 'static> FromMessage<S> for Upgrade {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Upgrade, Rejection> {
        Upgrade::from_same_site(cx.message())
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Upgrade>, Rejection> {
        match is_handshake(cx) {
            true => Upgrade::from_message(cx).await.map(Some),
            false => Ok(None),
        }
    }
}

/// Returns whether the request is a WebSocket handshake.
fn is_handshake<S>(cx: &Context<S>) -> bool {
    cx.message().extension::<UpgradeHandle>().is_some()
}

/// Extracts the sending half of a message socket. Rejects with 500 in other handlers.
impl<S: Send + Sync + 'static> FromMessage<S> for SocketSender {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<SocketSender, Rejection> {
        cx.message().extension().cloned().ok_or_else(|| {
            let reason = "`SocketSender` is an argument of message socket handlers only; for a WebSocket, take a `WebSocket` and call `sender()`";
            Rejection::new(Status::INTERNAL_SERVER_ERROR, reason)
        })
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<SocketSender>, Rejection> {
        Ok(cx.message().extension().cloned())
    }
}

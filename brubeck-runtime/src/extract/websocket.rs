//! A WebSocket, the request for one, and the client of a message socket, as handler arguments.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use crate::websocket::{SocketSender, Upgrade, UpgradeHandle, WebSocket};

impl<S: Send + Sync + 'static> FromMessage<S> for WebSocket {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<WebSocket, Rejection> {
        UpgradeHandle::of(cx.message())?
            .take_socket()
            .ok_or_else(UpgradeHandle::already_taken)
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for Upgrade {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Upgrade, Rejection> {
        Upgrade::from_same_site(cx.message())
    }
}

impl<S: Send + Sync + 'static> FromMessage<S> for SocketSender {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<SocketSender, Rejection> {
        cx.message().extension().cloned().ok_or_else(|| {
            let reason = "only messages of message sockets have a client to keep; for a WebSocket take a `WebSocket`, and its `sender()`";
            Rejection::new(Status::INTERNAL_SERVER_ERROR, reason)
        })
    }
}

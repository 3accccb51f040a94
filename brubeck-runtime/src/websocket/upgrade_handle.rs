//! The WebSocket of an upgrade request, until a handler accepts it.

use super::{SocketSender, WebSocket};
use crate::message::Message;
use crate::response::Rejection;
use crate::status::Status;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};

/// The WebSocket of an upgrade request.
///
/// The front end adds it to the extensions of the message. When the handler has returned, the front end checks whether the handler
/// accepted the upgrade.
#[derive(Clone)]
pub(crate) struct UpgradeHandle(Arc<Mutex<UpgradeState>>);

struct UpgradeState {
    socket: Option<WebSocket>,
    sender: SocketSender,
    protocol: Option<&'static str>,
    accepted: Option<BoxFuture<'static, ()>>,
}

/// An upgrade that a handler has accepted.
pub(crate) struct AcceptedUpgrade {
    /// The handler. It must be run to completion, also if the connection is lost; the WebSocket is closed when it completes.
    pub(crate) run: BoxFuture<'static, ()>,
    /// The negotiated subprotocol.
    pub(crate) protocol: Option<&'static str>,
}

impl UpgradeHandle {
    pub(crate) fn new(socket: WebSocket) -> UpgradeHandle {
        UpgradeHandle(Arc::new(Mutex::new(UpgradeState {
            sender: socket.sender(),
            socket: Some(socket),
            protocol: None,
            accepted: None,
        })))
    }

    /// Returns the upgrade of a message.
    ///
    /// # Errors
    ///
    /// Returns a rejection with status 426 if the request is not a WebSocket handshake.
    pub(crate) fn of(message: &Message) -> Result<UpgradeHandle, Rejection> {
        let upgrade = message.extension::<UpgradeHandle>().cloned();
        upgrade.ok_or_else(|| {
            let reason =
                "this is a WebSocket endpoint: send a handshake with `connection: upgrade` and `upgrade: websocket`";
            Rejection::new(Status::new(426), reason)
        })
    }

    /// Returns the rejection for an extractor that finds the WebSocket taken by another one.
    pub(crate) fn already_taken() -> Rejection {
        Rejection::new(
            Status::INTERNAL_SERVER_ERROR,
            "another argument has taken the WebSocket",
        )
    }

    pub(super) fn set_protocol(&self, protocol: Option<&'static str>) {
        self.state(|state| state.protocol = protocol);
    }

    /// Returns the WebSocket, with the subprotocol that was set before. Returns `None` if the WebSocket was taken before.
    pub(crate) fn take_socket(&self) -> Option<WebSocket> {
        self.state(|state| {
            state
                .socket
                .take()
                .map(|socket| socket.with_protocol(state.protocol))
        })
    }

    pub(super) fn sender(&self) -> SocketSender {
        self.state(|state| state.sender.clone())
    }

    pub(super) fn accept(&self, run: BoxFuture<'static, ()>) {
        self.state(|state| state.accepted = Some(run));
    }

    /// Returns the accepted upgrade. Returns `None` if the handler has not accepted it.
    pub(crate) fn take_accepted(&self) -> Option<AcceptedUpgrade> {
        self.state(|state| {
            let run = state.accepted.take()?;
            let protocol = state.protocol;
            Some(AcceptedUpgrade { run, protocol })
        })
    }

    fn state<T>(&self, with: impl FnOnce(&mut UpgradeState) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

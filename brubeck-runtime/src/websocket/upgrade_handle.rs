//! A client asks for a WebSocket, until a handler takes it.

use super::{SocketSender, WebSocket};
use crate::message::Message;
use crate::response::Rejection;
use crate::status::Status;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};

/// A WebSocket that a client asks for. The front end lays it beside the message, and looks afterwards whether the
/// handler took it.
#[derive(Clone)]
pub(crate) struct UpgradeHandle(Arc<Mutex<UpgradeState>>);

struct UpgradeState {
    socket: Option<WebSocket>,
    sender: SocketSender,
    protocol: Option<&'static str>,
    accepted: Option<BoxFuture<'static, ()>>,
}

/// A WebSocket that a handler took.
pub(crate) struct AcceptedUpgrade {
    /// Runs the handler, to the end of the connection.
    pub(crate) run: BoxFuture<'static, ()>,
    /// The subprotocol that was agreed to.
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

    pub(crate) fn of(message: &Message) -> Result<UpgradeHandle, Rejection> {
        let offer = message.extension::<UpgradeHandle>().cloned();
        offer.ok_or_else(|| {
            let reason =
                "this is a WebSocket: ask for it with `connection: upgrade` and `upgrade: websocket`";
            Rejection::new(Status::new(426), reason)
        })
    }

    pub(crate) fn already_taken() -> Rejection {
        Rejection::new(Status::INTERNAL_SERVER_ERROR, "the WebSocket is taken already")
    }

    pub(super) fn set_protocol(&self, protocol: Option<&'static str>) {
        self.state(|state| state.protocol = protocol);
    }

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

    /// What the handler made of it, if it took it.
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

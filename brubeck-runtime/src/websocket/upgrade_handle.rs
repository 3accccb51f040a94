//! The WebSocket of an upgrade request, until a handler accepts it.

use super::{SocketSender, WebSocket};
use crate::message::Message;
use crate::response::Rejection;
use crate::status::Status;
use futures_util::future::BoxFuture;
use http::StatusCode;
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
    message_limit: Option<usize>,
    accepted: Option<BoxFuture<'static, ()>>,
}

/// An upgrade that a handler has accepted.
pub(crate) struct AcceptedUpgrade {
    /// The handler. It must be run to completion, also if the connection is lost; the WebSocket is closed when it completes.
    pub(crate) run: BoxFuture<'static, ()>,
    /// The negotiated subprotocol.
    pub(crate) protocol: Option<&'static str>,
    /// The limit of the route for messages, in bytes. `None` if it has none of its own.
    pub(crate) message_limit: Option<usize>,
}

impl UpgradeHandle {
    pub(crate) fn new(socket: WebSocket) -> UpgradeHandle {
        UpgradeHandle(Arc::new(Mutex::new(UpgradeState {
            sender: socket.sender(),
            socket: Some(socket),
            protocol: None,
            message_limit: None,
            accepted: None,
        })))
    }

    /// Returns the upgrade of a message.
    ///
    /// # Errors
    ///
    /// Returns a rejection if the request is not a WebSocket handshake: with status 426, or over HTTP/2 with 400, because it has no upgrades
    /// (RFC 8441).
    pub(crate) fn of(message: &Message) -> Result<UpgradeHandle, Rejection> {
        let upgrade = message.extension::<UpgradeHandle>().cloned();
        upgrade.ok_or_else(|| {
            if message.version() == http::Version::HTTP_2 {
                let reason = "this is a WebSocket endpoint: send a CONNECT with `:protocol: websocket`";
                return Rejection::new(Status::BAD_REQUEST, reason);
            }
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

    /// Sets the limit of the route for messages, in bytes.
    pub(crate) fn set_message_limit(&self, bytes: usize) {
        self.state(|state| state.message_limit = Some(bytes));
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

    /// Keeps a value until the handler of the WebSocket has ended, if the upgrade is accepted.
    pub(crate) fn keep_until_closed(&self, value: impl Send + 'static) {
        self.state(|state| {
            if let Some(run) = state.accepted.take() {
                state.accepted = Some(Box::pin(async move {
                    run.await;
                    drop(value);
                }));
            }
        });
    }

    /// Returns the accepted upgrade, if `response` opens it. Returns `None` if the handler has not accepted it, or if a hook or a layer
    /// has replaced its response.
    pub(crate) fn take_accepted_for<B>(&self, response: &http::Response<B>) -> Option<AcceptedUpgrade> {
        let accepted = self.take_accepted();
        accepted.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS)
    }

    /// Returns the accepted upgrade. Returns `None` if the handler has not accepted it.
    pub(crate) fn take_accepted(&self) -> Option<AcceptedUpgrade> {
        self.state(|state| {
            let run = state.accepted.take()?;
            Some(AcceptedUpgrade {
                run,
                protocol: state.protocol,
                message_limit: state.message_limit,
            })
        })
    }

    fn state<T>(&self, with: impl FnOnce(&mut UpgradeState) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

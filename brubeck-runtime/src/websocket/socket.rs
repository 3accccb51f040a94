//! The handler's end of a WebSocket.

use super::{Close, Closed, InboundMessage, SocketMessage, SocketTransport};
use futures_util::Stream;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A WebSocket, for as long as its handler runs.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[websocket("^/echo$")]
/// async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
///     while let Some(message) = socket.recv().await {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
/// # const ROUTES: Routes<()> = routes![echo];
/// ```
///
/// The same handler works behind Mongrel2 and on the embedded server. Pings are answered, quiet connections are pinged
/// every 30 seconds, and closed when two pings go unanswered. A text that is not UTF-8, a message larger than the body
/// limit of the application, or more than 1,024 messages that the handler has not taken, close the connection. When the
/// handler returns, the connection is closed with code 1000. With the feature `deflate` messages of 128 bytes or more are
/// deflated where the client can inflate them (RFC 7692), and its own may be.
#[derive(Debug)]
pub struct WebSocket {
    inbound: mpsc::Receiver<QueuedMessage>,
    ended: Arc<OnceLock<Close>>,
    sender: SocketSender,
    protocol: Option<&'static str>,
}

/// The sending end of a [`WebSocket`], for as many tasks as need it.
///
/// ```
/// use brubeck::prelude::*;
/// use std::time::Duration;
///
/// #[websocket("^/clock$")]
/// async fn clock(mut socket: WebSocket) {
///     let sender = socket.sender();
///     tokio::spawn(async move {
///         while sender.send("tick").await.is_ok() {
///             tokio::time::sleep(Duration::from_secs(1)).await;
///         }
///     });
///     while socket.recv().await.is_some() {}
/// }
/// # const ROUTES: Routes<()> = routes![clock];
/// ```
///
/// The handler of a message socket of Mongrel2 has it as an argument: it may be kept, and the client is sent messages
/// that answer nothing, each with a NUL behind.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[json_socket("@news")]
/// async fn subscribe(client: SocketSender, news: State<Broadcast>) {
///     news.until_closed(&client);
/// }
///
/// #[post("^/news$")]
/// async fn publish(text: Text, news: State<Broadcast>) -> String {
///     format!("{} listen", news.send(text.0).await)
/// }
/// # const ROUTES: Routes<Broadcast> = routes![subscribe, publish];
/// ```
///
/// A connection whose sender nobody keeps is only answered. Nothing may be sent to a client that asks for pages on the
/// same connection while one is on its way.
#[derive(Clone)]
pub struct SocketSender(pub(crate) Arc<dyn SocketTransport>);

/// A message on its way to a handler, which holds its place among those that may wait.
#[derive(Debug)]
pub(crate) struct QueuedMessage {
    message: InboundMessage,
    _room: Option<OwnedSemaphorePermit>,
}

impl QueuedMessage {
    pub(crate) fn new(message: InboundMessage, room: Option<OwnedSemaphorePermit>) -> QueuedMessage {
        QueuedMessage { message, _room: room }
    }
}

impl WebSocket {
    pub(crate) fn new(
        inbound: mpsc::Receiver<QueuedMessage>,
        ended: Arc<OnceLock<Close>>,
        carrier: Arc<dyn SocketTransport>,
    ) -> WebSocket {
        WebSocket {
            inbound,
            ended,
            sender: SocketSender(carrier),
            protocol: None,
        }
    }

    pub(super) fn with_protocol(self, protocol: Option<&'static str>) -> WebSocket {
        WebSocket { protocol, ..self }
    }

    /// The next message; `None` once the connection is closed. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<SocketMessage> {
        let delivered = self.inbound.recv().await?;
        self.read(delivered)
    }

    /// What came deflated shows only now whether it is as it should be.
    fn read(&mut self, delivered: QueuedMessage) -> Option<SocketMessage> {
        match delivered.message.read() {
            Ok(message) => Some(message),
            Err(close) => {
                // The first reason is the true one.
                let _ = self.ended.set(close.clone());
                self.inbound.close();
                while self.inbound.try_recv().is_ok() {}
                self.sender.close(close);
                None
            }
        }
    }

    /// Sends a message. Waits while the client is slow to take what was sent before, so that nothing piles up.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub async fn send(&self, message: impl Into<SocketMessage>) -> Result<(), Closed> {
        self.sender.send(message).await
    }

    /// Another sending end.
    pub fn sender(&self) -> SocketSender {
        self.sender.clone()
    }

    /// Closes the connection, after what was sent before.
    pub fn close(&self, close: Close) {
        self.sender.close(close);
    }

    /// Why the connection was closed, once [`recv`](WebSocket::recv) gave `None`.
    pub fn ended(&self) -> Option<&Close> {
        self.ended.get()
    }

    /// The subprotocol that both agreed to.
    pub fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }
}

/// The messages, as a stream.
impl Stream for WebSocket {
    type Item = SocketMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<SocketMessage>> {
        let delivered = ready!(self.inbound.poll_recv(cx));
        Poll::Ready(delivered.and_then(|delivered| self.read(delivered)))
    }
}

impl SocketSender {
    /// Sends a message; see [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub async fn send(&self, message: impl Into<SocketMessage>) -> Result<(), Closed> {
        self.0.send(message.into()).await
    }

    /// Closes the connection, after what was sent before.
    pub fn close(&self, close: Close) {
        self.0.close(close);
    }

    /// Returns when the connection is gone: closed by either end, or broken.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl std::fmt::Debug for SocketSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SocketSender")
    }
}

//! The WebSocket as handlers use it.

use super::{Close, Closed, InboundMessage, SocketMessage, SocketTransport};
use futures_util::Stream;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Extractor for a WebSocket connection. It receives and sends messages.
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
/// It works the same with the embedded server and with Mongrel2. When the handler returns, the connection is closed with code 1000,
/// unless the [outcome](crate::SocketOutcome) of the handler has another code.
///
/// The connection is closed by the server if
/// * the client violates the protocol (code 1002),
/// * a text message is not UTF-8, or a compressed message cannot be decompressed (code 1007),
/// * a message exceeds the [message limit](crate::Limits::message_limit) of the route or the application (code 1009),
/// * the client sends more than the handler receives, behind Mongrel2 only (code 1008, reason `too many messages are waiting`), see below,
/// * the client does not read the messages of a [`Broadcast`](crate::Broadcast#slow-members) (code 1008, reason `the client does not read its
///   messages`),
/// * the client sends no frame in return to three pings in a row (without a close frame, code 1006 for the handler). A ping is sent every
///   30 seconds; behind Mongrel2, `Mongrel2::keep_alive` changes the interval,
/// * the application shuts down (code 1001).
///
/// # Fast clients
///
/// Up to 4 MiB of messages wait for a handler that does not receive, or one message if the limit for messages is higher; small messages
/// count as 256 bytes. After that the embedded server stops reading from the connection, so that the client has to wait. Mongrel2 reads as
/// fast as a client sends and has no command to stop, so there the connection is closed with code 1008; the handler still receives the
/// messages that wait.
///
/// # Invalid messages
///
/// In the first three cases the handler still gets the messages before, and its responses are sent before the close frame, within five
/// seconds.
///
/// With the feature `deflate`, messages of 128 bytes or more are compressed (RFC 7692) if the client supports it.
///
/// Rejects with 426, or over HTTP/2 with 400, if the request is not a WebSocket handshake, and with 500 if another argument has taken the
/// WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    /// Bounded by the permits of the messages.
    inbound: mpsc::UnboundedReceiver<QueuedMessage>,
    /// The reason of the close, shared with the front end. The first one that is set wins.
    ended: Arc<OnceLock<Close>>,
    sender: SocketSender,
    protocol: Option<&'static str>,
}

/// The sending half of a [`WebSocket`], which can be cloned and used by several tasks.
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
/// In the handler of a Mongrel2 message socket, the sender is an extractor. Keep it to send messages to the client at any time. Each
/// message is terminated with a NUL byte.
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
///     format!("sent to {} clients", news.send(text.0).await)
/// }
/// # const ROUTES: Routes<Broadcast> = routes![subscribe, publish];
/// ```
///
/// A client can use the connection of a message socket for HTTP requests, too. Do not send to the client while it receives a response,
/// because the message could arrive in the middle of the response.
#[derive(Clone)]
pub struct SocketSender(pub(crate) Arc<dyn SocketTransport>);

/// A message in the queue of a handler.
#[derive(Debug)]
pub(crate) struct QueuedMessage {
    message: InboundMessage,
    /// The share of the receive buffer, released when the handler receives the message.
    _permit: OwnedSemaphorePermit,
}

impl QueuedMessage {
    pub(crate) fn new(message: InboundMessage, permit: OwnedSemaphorePermit) -> QueuedMessage {
        QueuedMessage {
            message,
            _permit: permit,
        }
    }
}

impl WebSocket {
    pub(crate) fn new(
        inbound: mpsc::UnboundedReceiver<QueuedMessage>,
        ended: Arc<OnceLock<Close>>,
        transport: Arc<dyn SocketTransport>,
    ) -> WebSocket {
        WebSocket {
            inbound,
            ended,
            sender: SocketSender(transport),
            protocol: None,
        }
    }

    pub(super) fn with_protocol(self, protocol: Option<&'static str>) -> WebSocket {
        WebSocket { protocol, ..self }
    }

    /// Receives the next message: see the example of [`WebSocket`].
    ///
    /// Returns `None` once the connection is closed and all messages that arrived before are received; [`ended`](WebSocket::ended) has the
    /// reason.
    ///
    /// This method is cancel safe: no message is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<SocketMessage> {
        let queued = self.inbound.recv().await?;
        self.decode(queued)
    }

    /// Decodes a message. If it is invalid, closes the connection and returns `None`. Only compressed messages can be invalid: all others
    /// were validated before they were queued.
    fn decode(&mut self, queued: QueuedMessage) -> Option<SocketMessage> {
        match queued.message.decode() {
            Ok(message) => Some(message),
            Err(close) => {
                // If a reason is set already, that one is kept: it came first.
                let _ = self.ended.set(close.clone());
                self.inbound.close();
                // Drops the queued messages, so that `recv` does not return messages after the invalid one.
                while self.inbound.try_recv().is_ok() {}
                self.sender.close(close);
                None
            }
        }
    }

    /// Sends a message: see the example of [`WebSocket`].
    ///
    /// Waits while the send buffer is full, because the client reads more slowly than the handler sends. A message is everything that
    /// converts into a [`SocketMessage`]: text, bytes, or [`SocketMessage::json`].
    ///
    /// # Errors
    ///
    /// Returns [`Closed`] if the connection is closed.
    pub async fn send(&self, message: impl Into<SocketMessage>) -> Result<(), Closed> {
        self.sender.send(message).await
    }

    /// Returns a sending half, for use in another task.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[websocket("^/chat$")]
    /// async fn chat(mut socket: WebSocket) {
    ///     let sender = socket.sender();
    ///     tokio::spawn(async move { sender.send("welcome").await });
    ///     while socket.recv().await.is_some() {}
    /// }
    /// # fn main() {}
    /// ```
    pub fn sender(&self) -> SocketSender {
        self.sender.clone()
    }

    /// Closes the connection, after the messages that were sent before.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[websocket("^/chat$")]
    /// async fn chat(mut socket: WebSocket) {
    ///     socket.close(Close::new(4001, "the game is over"));
    ///     while socket.recv().await.is_some() {}
    ///     println!("closed with {:?}", socket.ended());
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// Does not wait, and does nothing if the connection is closed. [`Close`] lists the codes. Messages can still be received until the
    /// peer has confirmed the close; [`ended`](WebSocket::ended) returns the code and reason of the close. A handler that returns
    /// closes the connection as well, with the [`Close`] that it returns, or 1000.
    pub fn close(&self, close: Close) {
        self.sender.close(close);
    }

    /// Returns the reason of the close. Returns `None` while the WebSocket is open. The reason is set before [`recv`](WebSocket::recv)
    /// returns `None`.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[websocket("^/chat$")]
    /// async fn chat(mut socket: WebSocket) {
    ///     while socket.recv().await.is_some() {}
    ///     println!("closed with {:?}", socket.ended().map(Close::code));
    /// }
    /// # fn main() {}
    /// ```
    pub fn ended(&self) -> Option<&Close> {
        self.ended.get()
    }

    /// Returns the negotiated subprotocol. Returns `None` if the server and the client have none in common.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[websocket("^/chat$", protocols = ["v2.chat", "v1.chat"])]
    /// async fn chat(socket: WebSocket) {
    ///     let is_new = socket.protocol() == Some("v2.chat");
    /// #   let _ = is_new;
    /// }
    /// # fn main() {}
    /// ```
    pub fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }
}

/// Yields the messages, as [`recv`](WebSocket::recv) returns them.
impl Stream for WebSocket {
    type Item = SocketMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<SocketMessage>> {
        let queued = ready!(self.inbound.poll_recv(cx));
        Poll::Ready(queued.and_then(|queued| self.decode(queued)))
    }
}

impl SocketSender {
    /// Sends a message, as [`WebSocket::send`] does: see the example of [`SocketSender`].
    ///
    /// # Errors
    ///
    /// Returns [`Closed`] if the connection is closed.
    pub async fn send(&self, message: impl Into<SocketMessage>) -> Result<(), Closed> {
        self.0.send(message.into()).await
    }

    /// Closes the connection, see [`WebSocket::close`]. A message socket has no close frames, so the client does not get the code.
    ///
    /// ```
    /// # use brubeck::Close;
    /// # use brubeck::prelude::*;
    /// fn kick(client: &SocketSender) {
    ///     client.close(Close::POLICY);
    /// }
    /// ```
    pub fn close(&self, close: Close) {
        self.0.close(close);
    }

    /// Completes when the connection is closed by either side, or lost.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// async fn forget(client: SocketSender) {
    ///     client.closed().await;
    ///     println!("the client has left");
    /// }
    /// ```
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl std::fmt::Debug for SocketSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SocketSender")
    }
}

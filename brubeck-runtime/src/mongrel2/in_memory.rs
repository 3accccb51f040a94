//! Message sockets in memory, for tests: the messages, the handlers and the encoding of Mongrel2, without Mongrel2.

use super::front_end::MessageFormat;
use crate::handler::Application;
use crate::message::Message;
use crate::method::Method;
use crate::websocket::{
    BroadcastEncoding, BroadcastGroup, BroadcastRoute, BroadcastTarget, ClientId, Close, Closed,
    GroupMessage, GroupPermit, SocketMessage, SocketSender, SocketTransport, next_socket_id,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::future::ready;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// The client of a message socket of an application. Dropping it disconnects the client.
pub(crate) struct InMemoryMessageSocket {
    application: Arc<dyn Application>,
    name: String,
    transport: Arc<InMemoryTransport>,
}

impl InMemoryMessageSocket {
    /// Creates a client of the socket with this name, `@name` or `<name`. Returns the messages to it as well, with `None` after the last one.
    pub(crate) fn connect(
        application: Arc<dyn Application>,
        name: &str,
    ) -> (InMemoryMessageSocket, mpsc::UnboundedReceiver<Option<Bytes>>) {
        let (messages, receiver) = mpsc::unbounded_channel();
        let socket = InMemoryMessageSocket {
            application,
            name: name.to_owned(),
            transport: Arc::new(InMemoryTransport(Arc::new(InMemoryClient {
                id: next_socket_id(),
                messages,
                disconnected: Semaphore::new(0),
            }))),
        };
        (socket, receiver)
    }

    /// Calls the handler of a message, and sends what it returns to the client.
    pub(crate) async fn send(&self, text: Bytes) {
        let message = Message::service(Method::Request, &format!("/{}", self.name))
            .with_body(text)
            .with_extension(SocketSender(self.transport.clone()));
        let body_limit = self.application.body_limit();
        let response = self.application.clone().answer(message).await;
        let format = MessageFormat::of_path(self.name.as_bytes());
        if let Some(encoded) = format.encode_response(response, body_limit).await {
            // Fails if the handler has closed the connection.
            let _ = self.transport.0.push(encoded);
        }
    }
}

impl Drop for InMemoryMessageSocket {
    fn drop(&mut self) {
        self.transport.0.disconnect();
    }
}

impl std::fmt::Debug for InMemoryMessageSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InMemoryMessageSocket({})", self.name)
    }
}

/// The sending half for handlers.
struct InMemoryTransport(Arc<InMemoryClient>);

/// The client of a message socket, which is a group of its own for broadcasts. It takes every message at once.
struct InMemoryClient {
    id: u64,
    messages: mpsc::UnboundedSender<Option<Bytes>>,
    /// Has no permits. It is closed when the connection is.
    disconnected: Semaphore,
}

impl InMemoryClient {
    fn push(&self, bytes: Bytes) -> Result<(), Closed> {
        if self.disconnected.is_closed() {
            return Err(Closed);
        }
        self.messages.send(Some(bytes)).map_err(|_| Closed)
    }

    fn push_broadcast(&self, GroupMessage { message, recipients }: &GroupMessage) {
        for recipient in recipients.iter() {
            // Fails if the client is gone.
            let _ = self.push(message.frame(recipient.encoding));
            recipient.position.advance(message);
        }
    }

    fn disconnect(&self) {
        self.disconnected.close();
        // Fails if the test has dropped the client.
        let _ = self.messages.send(None);
    }
}

impl SocketTransport for InMemoryTransport {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        let bytes = BroadcastEncoding::NulTerminated.encode(&message);
        Box::pin(ready(self.0.push(bytes)))
    }

    fn close(&self, _: Close) {
        self.0.disconnect();
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        // Acquiring ends with an error when the connection is closed.
        Box::pin(async { drop(self.0.disconnected.acquire().await) })
    }

    fn broadcast_route(&self) -> BroadcastRoute {
        let client = ClientId {
            connection: Bytes::new(),
            serial: self.0.id,
            number: 0,
        };
        BroadcastRoute {
            id: self.0.id,
            encoding: BroadcastEncoding::NulTerminated,
            reading: Arc::default(),
            target: BroadcastTarget::Group(self.0.clone(), client),
        }
    }
}

impl BroadcastGroup for InMemoryClient {
    fn reserve(self: Arc<Self>) -> BoxFuture<'static, Option<GroupPermit>> {
        let push: GroupPermit = Box::new(move |message| self.push_broadcast(&message));
        Box::pin(ready(Some(push)))
    }

    fn cut_off(&self, _: &ClientId) {
        self.disconnect();
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

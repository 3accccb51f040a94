//! Message sockets: connections on which clients send JSON or XML messages instead of HTTP.

use super::FrontEnd;
use super::convert_request::{self, ClientInfo};
use super::events::{FrontEndEvent, FrontEndHandle};
use super::http1::Persistence;
use super::message_format::MessageFormat;
use super::pipeline::{OutboundChunk, ResponseEnd};
use super::response_writer::ResponseWriter;
use super::socket_client_sender::{SEND_WINDOW_BYTES, SocketClientSender};
use crate::mongrel2::codec::Mongrel2Request;
use crate::peer::WebClient;
use crate::websocket::{
    BroadcastEncoding, BroadcastRoute, ClientId, Close, Closed, ReadProgress, SocketMessage, SocketSender,
    SocketTransport, next_socket_id,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Semaphore;

impl FrontEnd {
    /// Calls the handler of a message. Its response is sent as a message, too. Responds with the status 503 if too many
    /// requests are running, and closes the connection if the name of the message socket is not valid UTF-8.
    pub(super) fn handle_message(&mut self, request: &Mongrel2Request) {
        let Some(message) = convert_request::to_message(request, &self.recv_spec) else {
            return self.abort_connection(&request.ident, &request.conn_id);
        };
        let client = self.begin_request(
            &request.ident,
            &request.conn_id,
            request.headers.download_credits(),
        );
        let Some(connection) = self.connections.find(&client) else {
            return;
        };
        let reading = &connection.reading;
        let socket_client = connection
            .message_socket
            .get_or_insert_with(|| MessageSocketClient::new(client.clone(), reading.clone()));
        let message = message.with_extension(SocketSender(socket_client.transport(&self.handle)));
        let format = MessageFormat::of_path(&request.path);
        if let Some((code, _)) = self.check_capacity(&client) {
            let chunk = OutboundChunk::from(format.encode_status(&code.into()));
            return self.queue_response(&client, [chunk], Some(ResponseEnd::KeepOpen));
        }
        let info = ClientInfo {
            persistence: Persistence::Open,
            is_http_10: false,
            client: WebClient::default(),
        };
        let writer = ResponseWriter::new(client.clone(), info, self.handle.0.clone());
        let task = self
            .handlers
            .spawn(writer.respond_to_message(self.application.clone(), message, format));
        if let Some(connection) = self.connections.find(&client) {
            connection.set_task(&client, task);
        }
    }
}

/// The client of a message socket. It is dropped with its connection, and then sending to it fails.
#[derive(Debug)]
pub(super) struct MessageSocketClient {
    id: u64,
    client: ClientId,
    send_permits: Arc<Semaphore>,
    /// Has no permits. It is closed when the connection is, which wakes the tasks that wait for a permit.
    disconnected: Arc<Semaphore>,
    reading: Arc<ReadProgress>,
}

impl MessageSocketClient {
    pub(super) fn new(client: ClientId, reading: Arc<ReadProgress>) -> MessageSocketClient {
        MessageSocketClient {
            id: next_socket_id(),
            // The id identifies the client, not one of its requests.
            client: ClientId { number: 0, ..client },
            send_permits: Arc::new(Semaphore::new(SEND_WINDOW_BYTES)),
            disconnected: Arc::new(Semaphore::new(0)),
            reading,
        }
    }

    /// Creates a sending side for a handler.
    pub(super) fn transport(&self, front_end: &Arc<FrontEndHandle>) -> Arc<dyn SocketTransport> {
        Arc::new(MessageSocketTransport(SocketClientSender {
            id: self.id,
            client: self.client.clone(),
            send_permits: self.send_permits.clone(),
            disconnected: self.disconnected.clone(),
            reading: self.reading.clone(),
            front_end: front_end.clone(),
        }))
    }

    /// Returns `true` if a sending side is held somewhere, so that messages may still be sent to this client.
    pub(super) fn has_senders(&self) -> bool {
        Arc::strong_count(&self.disconnected) > 1
    }

    pub(super) fn id(&self) -> &ClientId {
        &self.client
    }
}

impl Drop for MessageSocketClient {
    fn drop(&mut self) {
        self.send_permits.close();
        self.disconnected.close();
    }
}

/// The sending side of a message socket.
struct MessageSocketTransport(SocketClientSender);

impl SocketTransport for MessageSocketTransport {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            let bytes = BroadcastEncoding::NulTerminated.encode(&message);
            let permit = self.0.reserve(bytes.len()).await?;
            let event = FrontEndEvent::Push {
                client: self.0.client.clone(),
                chunk: OutboundChunk::with_permit(bytes, permit),
            };
            self.0.send(event).await
        })
    }

    fn close(&self, close: Close) {
        self.0.close(close);
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.closed())
    }

    fn broadcast_route(&self) -> BroadcastRoute {
        self.0.broadcast_route(BroadcastEncoding::NulTerminated)
    }
}

//! The events of handlers, and the messages to Mongrel2.

use super::events::FrontEndEvent;
use super::pipeline::{OutboundChunk, ResponseEnd};
use super::{FrontEnd, MAX_OUTBOUND_MESSAGES};
use crate::mongrel2::codec::{self, ControlCommand};
use crate::mongrel2::server_link::ServerLink;
use crate::websocket::{ClientId, Close};
use brubeck_zmtp::SendError;
use bytes::Bytes;
use std::time::Instant;

impl FrontEnd {
    pub(super) fn handle_event(&mut self, event: FrontEndEvent) {
        match event {
            FrontEndEvent::Response { client, chunks, end } => {
                if end.is_some() || self.may_send(&client) {
                    self.queue_response(&client, chunks, end);
                }
            }
            FrontEndEvent::WebSocketAccepted {
                client,
                head,
                message_limit,
            } => self.accept_websocket(&client, head, message_limit),
            FrontEndEvent::Push { client, chunk } => {
                if !self.connections.push(&client, chunk) {
                    self.counts.add_stale(1);
                }
            }
            FrontEndEvent::CloseSocket { client, close } => self.close_socket(&client, &close),
            FrontEndEvent::Broadcast(message) => self.broadcast(&message),
            FrontEndEvent::CutOff { client } => self.cut_off(&client, "too much waits for it"),
            FrontEndEvent::GrantUploadCredit { client, bytes } => {
                if let Some(connection) = self.connections.find(&client) {
                    let ident = connection.ident.clone();
                    self.send_control(&ident, &[client.connection], ControlCommand::Credits(bytes));
                }
            }
        }
    }

    /// Returns `false` if the request has opened a WebSocket whose close frame was sent. A message that was on its way is dropped then,
    /// because no frame may follow a close frame.
    fn may_send(&mut self, client: &ClientId) -> bool {
        let connection = self.connections.find(client);
        connection.is_none_or(|connection| match &connection.websocket {
            Some(websocket) if websocket.client.number == client.number => !websocket.has_sent_close(),
            _ => true,
        })
    }

    /// Sends the head of the 101 response, and handles the frames that arrived before the WebSocket was accepted.
    fn accept_websocket(&mut self, client: &ClientId, head: Bytes, message_limit: Option<usize>) {
        let Some(connection) = self.connections.find(client) else {
            return self.counts.add_stale(1);
        };
        // A WebSocket handler is not aborted when its connection is closed: it receives the close, and ends by
        // itself.
        connection.pipeline.detach_task(client.number);
        let outcome = connection
            .websocket
            .as_mut()
            .map(|websocket| websocket.accept(message_limit));
        self.queue_response(client, [head.into()], None);
        self.apply_frame_outcome(client, outcome.unwrap_or_default());
        if self.is_stopping {
            self.close_socket(client, &Close::AWAY);
        }
    }

    /// Queues a part of the response to a request; the last part has an `end`. It is counted as stale if the connection
    /// was removed.
    pub(super) fn queue_response(
        &mut self,
        client: &ClientId,
        chunks: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) {
        let Some((connection, tasks)) = self.connections.add_response(client, chunks, end) else {
            return self.counts.add_stale(1);
        };
        if end.is_some() {
            // A response to an earlier request must not end the WebSocket or the upload of a pipelined one.
            let websocket = connection
                .websocket
                .take_if(|websocket| websocket.client.number == client.number);
            self.websocket_count -= usize::from(websocket.is_some());
            connection.upload.take_if(|(number, _)| *number == client.number);
        }
        tasks.into_iter().for_each(|task| task.abort());
    }

    /// Encodes the messages that the flow control allows, and passes as many as possible to the link.
    pub(super) fn flush(&mut self, link: &ServerLink) {
        let now = Instant::now();
        while self.outbound.len() < MAX_OUTBOUND_MESSAGES {
            let Some(message) = self.connections.next_message(now) else {
                break;
            };
            if !message.bytes.is_empty() {
                match codec::reply(&message.ident, &[&message.connection], &message.bytes) {
                    Ok(frames) => self.outbound.extend(frames),
                    Err(error) => tracing::error!(%error, "cannot encode a response for Mongrel2"),
                }
            }
            if message.close {
                self.send_close(&message.ident, &message.connection);
            }
        }
        if let Some(monitor) = &mut self.monitor
            && self.connections.needs_control_port()
        {
            monitor.request_snapshot();
        }
        while let Some(message) = self.outbound.front() {
            // Counted before it is sent, so that a client that has the response sees the count. If the link is full,
            // `message_sent` counts it.
            let count = || self.counts.add_messages(1);
            match link
                .outbound
                .try_send_with(self.generation, message.clone(), count)
            {
                Ok(()) => drop(self.outbound.pop_front()),
                Err(SendError::LinkDown) => self.message_sent(Err(SendError::LinkDown)),
                // The link is full or closed. The event loop sends the message when there is space, or ends.
                Err(_) => break,
            }
        }
    }

    /// Removes the first outbound message, and counts it as sent or as stale.
    pub(super) fn message_sent(&mut self, sent: Result<(), SendError>) {
        self.outbound.pop_front();
        match sent {
            Ok(()) => self.counts.add_messages(1),
            Err(_) => self.counts.add_stale(1),
        }
    }

    fn send_close(&mut self, ident: &Bytes, connection_id: &Bytes) {
        match codec::close(ident, &[connection_id]) {
            Ok(frames) => self.outbound.extend(frames),
            Err(error) => tracing::error!(%error, "cannot encode a close for Mongrel2"),
        }
    }

    /// Makes Mongrel2 close a connection now, without sending what it has queued.
    pub(super) fn cancel_connection(&mut self, ident: &Bytes, connection_id: &Bytes) {
        self.send_control(ident, std::slice::from_ref(connection_id), ControlCommand::Cancel);
    }

    pub(super) fn send_control(&mut self, ident: &Bytes, connection_ids: &[Bytes], command: ControlCommand) {
        match codec::control(ident, connection_ids, command) {
            Ok(frames) => self.outbound.extend(frames),
            Err(error) => tracing::error!(%error, "cannot encode a command for Mongrel2"),
        }
    }
}

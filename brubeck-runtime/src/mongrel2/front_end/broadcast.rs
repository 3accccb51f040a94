//! Broadcasts: the same bytes for several clients, in as few messages to Mongrel2 as possible.

use super::connection_table::BroadcastOutcome;
use super::{FrontEnd, stop_connection};
use crate::mongrel2::codec;
use crate::websocket::{BroadcastEncoding, ClientId, GroupMessage, STALL_TIMEOUT};
use bytes::Bytes;
use std::collections::HashMap;
use std::time::Instant;

impl FrontEnd {
    /// Sends a message of a broadcast. The clients that can receive it now share messages to Mongrel2; for the others it waits.
    pub(super) fn broadcast(&mut self, GroupMessage { message, recipients }: &GroupMessage) {
        let now = Instant::now();
        // A message begins with one ident, so group the connections by it.
        let mut ready: HashMap<(Bytes, BroadcastEncoding), Vec<Bytes>> = HashMap::new();
        for recipient in recipients.iter() {
            let outcome = self.connections.prepare_broadcast(recipient, message, now);
            if let BroadcastOutcome::SendNow(ident) = outcome {
                let ids = ready.entry((ident, recipient.encoding)).or_default();
                ids.push(recipient.client.connection.clone());
            }
        }
        for ((ident, encoding), ids) in ready {
            self.send_shared(&ident, &ids, &message.frame(encoding));
        }
    }

    /// Sends the same bytes to several clients, as [`broadcast`](Self::broadcast) does.
    pub(super) fn send_to_all(&mut self, clients: &[ClientId], bytes: &Bytes) {
        let now = Instant::now();
        let mut ready: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
        for client in clients {
            if let BroadcastOutcome::SendNow(ident) = self.connections.prepare_bytes(client, bytes, now) {
                ready.entry(ident).or_default().push(client.connection.clone());
            }
        }
        for (ident, ids) in ready {
            self.send_shared(&ident, &ids, bytes);
        }
    }

    fn send_shared(&mut self, ident: &Bytes, connection_ids: &[Bytes], bytes: &Bytes) {
        match codec::reply(ident, connection_ids, bytes) {
            Ok(frames) => self.outbound.extend(frames),
            Err(error) => tracing::error!(%error, "cannot encode a broadcast for Mongrel2"),
        }
    }

    /// Disconnects the clients that have read nothing of a broadcast for [`STALL_TIMEOUT`].
    pub(super) fn cut_off_stalled_clients(&mut self) {
        let now = tokio::time::Instant::now();
        let stalled: Vec<ClientId> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                connection.has_broadcasts() && connection.reading.is_blocked_for(STALL_TIMEOUT, now)
            })
            .filter_map(|(_, connection)| connection.socket_client())
            .collect();
        for client in stalled {
            self.cut_off(&client, "it has read nothing for ten seconds");
        }
    }

    /// Closes the connection of a client that does not read. The client of a WebSocket gets the close frame if it reads again in time;
    /// otherwise [`tick`](Self::tick) ends its connection.
    pub(super) fn cut_off(&mut self, client: &ClientId, reason: &'static str) {
        let Some(connection) = self.connections.find(client) else {
            return;
        };
        if connection
            .websocket
            .as_ref()
            .is_some_and(|websocket| websocket.is_cut_off())
        {
            return;
        }
        self.counts.add_slow_clients(1);
        tracing::info!(reason, "disconnected a client that does not read its messages");
        let started_frame = connection.drop_queue();
        let frame = connection
            .websocket
            .as_mut()
            .and_then(|websocket| websocket.cut_off(Instant::now()))
            .filter(|_| !started_frame);
        let Some(frame) = frame else {
            return self.end_slow_client(client);
        };
        // The flow control does not let the frame through before the client reads. Mongrel2 has room for it.
        let ident = connection.ident.clone();
        self.send_shared(&ident, std::slice::from_ref(&client.connection), &frame);
    }

    /// Ends the connection of a client that does not read, with all that Mongrel2 has queued for it.
    pub(super) fn end_slow_client(&mut self, client: &ClientId) {
        let Some(connection) = self.connections.remove(&client.connection) else {
            return;
        };
        let ident = connection.ident.clone();
        self.websocket_count -= usize::from(connection.websocket.is_some());
        stop_connection(connection);
        self.cancel_connection(&ident, &client.connection);
    }
}

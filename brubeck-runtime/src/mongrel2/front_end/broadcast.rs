//! Broadcasts: the same bytes for several clients, in as few messages to Mongrel2 as possible.

use super::connection_table::BroadcastOutcome;
use super::{FrontEnd, stop_connection};
use crate::mongrel2::codec;
use crate::websocket::ClientId;
use bytes::Bytes;
use std::collections::HashMap;
use std::time::Instant;

impl FrontEnd {
    /// Sends the same bytes to several clients. Those that can receive them now share a message; for the others the
    /// bytes are queued. A client for which too much is queued is disconnected.
    pub(super) fn broadcast(&mut self, clients: &[ClientId], bytes: &Bytes) {
        let now = Instant::now();
        // A message begins with one ident, so group the connections by it.
        let mut ready: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
        for client in clients {
            match self
                .connections
                .prepare_broadcast(client, bytes.len(), || bytes.clone().into(), now)
            {
                BroadcastOutcome::SendNow => {
                    if let Some(connection) = self.connections.find(client) {
                        let ident = connection.ident.clone();
                        ready.entry(ident).or_default().push(client.connection.clone());
                    }
                }
                BroadcastOutcome::Queued | BroadcastOutcome::Disconnected => {}
                BroadcastOutcome::TooSlow => self.disconnect_slow_client(client),
            }
        }
        for (ident, ids) in ready {
            match codec::reply(&ident, &ids, bytes) {
                Ok(frames) => self.outbound.extend(frames),
                Err(error) => tracing::error!(%error, "cannot encode a broadcast for Mongrel2"),
            }
        }
    }

    /// Closes the connection of a client that does not read what is sent to it.
    fn disconnect_slow_client(&mut self, client: &ClientId) {
        self.counts.add_slow_clients(1);
        let Some(connection) = self.connections.remove(&client.connection) else {
            return;
        };
        tracing::debug!("disconnected a client that does not read its messages");
        let ident = connection.ident.clone();
        self.websocket_count -= usize::from(connection.websocket.is_some());
        stop_connection(connection);
        self.cancel_connection(&ident, &client.connection);
    }
}

//! Periodic work: keep-alives, pings, timeouts, and the search for closed connections.

use super::FrontEnd;
use super::pipeline::ResponseEnd;
use super::websocket::{PingAction, WebSocketState};
use crate::mongrel2::codec::ControlCommand;
use crate::mongrel2::control_port_monitor::ConnectionsSnapshot;
use crate::websocket::{ClientId, ping_frame};
use bytes::Bytes;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Time without a response of the control port after which the flow control uses estimates.
const CONTROL_PORT_PATIENCE: Duration = Duration::from_secs(20);

impl FrontEnd {
    /// Runs once per [`TICK_INTERVAL`](super::TICK_INTERVAL).
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.connections.remove_idle(now);
        let timed_out: Vec<ClientId> = self
            .connections
            .iter()
            .filter_map(|(_, connection)| connection.websocket.as_ref())
            .filter(|websocket| websocket.close_timed_out(now))
            .map(|websocket| websocket.client.clone())
            .collect();
        for client in timed_out {
            let websocket = self
                .connections
                .find(&client)
                .and_then(|connection| connection.websocket.as_mut());
            let is_cut_off = websocket.as_ref().is_some_and(|websocket| websocket.is_cut_off());
            match websocket.and_then(WebSocketState::end_failed) {
                Some(outcome) => self.apply_frame_outcome(&client, outcome),
                None if is_cut_off => self.end_slow_client(&client),
                None => self.close_websocket_connection(&client),
            }
        }
        self.cut_off_stalled_clients();
        if now.saturating_duration_since(self.last_keep_alive) >= self.settings.keep_alive {
            self.last_keep_alive = now;
            self.keep_alive();
        }
        // Mongrel2 closes some connections without a notice. The snapshot shows which.
        if now.saturating_duration_since(self.last_connection_check) >= self.settings.keep_alive / 2
            && let Some(monitor) = &mut self.monitor
        {
            self.last_connection_check = now;
            monitor.request_snapshot();
        }
    }

    /// Resets the idle timers of Mongrel2 for connections with pending requests, WebSockets, and message sockets with
    /// senders. Pings the clients of WebSockets, and closes the connections of those that have not responded.
    ///
    /// If a connection does not exist any more, Mongrel2 answers its keep-alive with a disconnect notice.
    fn keep_alive(&mut self) {
        let mut ids_by_ident: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
        let (mut to_ping, mut to_disconnect) = (Vec::new(), Vec::new());
        for (connection_id, connection) in self.connections.iter() {
            if connection.is_idle() && !connection.has_message_senders() {
                continue;
            }
            let ids = ids_by_ident.entry(connection.ident.clone()).or_default();
            ids.push(connection_id.clone());
            if let Some(websocket) = &mut connection.websocket {
                match websocket.on_keep_alive() {
                    PingAction::None => {}
                    PingAction::Ping => to_ping.push(websocket.client.clone()),
                    PingAction::Disconnect => to_disconnect.push(websocket.client.clone()),
                }
            }
        }
        for (ident, ids) in ids_by_ident {
            self.send_control(&ident, &ids, ControlCommand::KeepAlive);
        }
        self.send_to_all(&to_ping, &ping_frame());
        for client in to_disconnect {
            self.close_websocket_connection(&client);
        }
    }

    fn close_websocket_connection(&mut self, client: &ClientId) {
        self.remove_websocket(client);
        self.queue_response(client, [], Some(ResponseEnd::Close));
    }

    /// Updates the flow control, and removes the connections that are not open any more.
    pub(super) fn handle_snapshot(&mut self, snapshot: ConnectionsSnapshot) {
        let now = Instant::now();
        if snapshot.requested_at < self.generation_started_at {
            // It may describe an earlier run of Mongrel2.
            if let Some(monitor) = &mut self.monitor {
                monitor.request_snapshot();
            }
            return;
        }
        self.first_snapshot_deadline = None;
        let Some(open) = snapshot.connections else {
            // A Mongrel2 that is busy, or has no time on its machine, answers late. Estimates would be wrong then: it would be sent more than it
            // keeps for a client, and would disconnect that.
            let is_recent = |at: Instant| now.saturating_duration_since(at) < CONTROL_PORT_PATIENCE;
            if !self.last_snapshot_at.is_some_and(is_recent) {
                // All connections use estimates until a later snapshot succeeds.
                self.initial_bytes_written = None;
                self.connections.control_port_lost(now);
            }
            if let Some(monitor) = &mut self.monitor {
                monitor.request_snapshot();
            }
            return;
        };
        if self.initial_bytes_written.is_none() {
            // The id is negative until the connection is known to a handler.
            let known = open.iter().filter(|connection| connection.id >= 0);
            self.initial_bytes_written = Some(
                known
                    .map(|connection| (connection.id, connection.bytes_written))
                    .collect(),
            );
        }
        let bytes_written: HashMap<Bytes, u64> = open
            .iter()
            .map(|connection| (Bytes::from(connection.id.to_string()), connection.bytes_written))
            .collect();
        let closed: Vec<Bytes> = self
            .connections
            .iter()
            // A connection with a later request may have been opened after the snapshot.
            .filter(|(connection_id, connection)| {
                connection.last_request_at < snapshot.requested_at
                    && !bytes_written.contains_key(*connection_id)
            })
            .map(|(connection_id, _)| connection_id.clone())
            .collect();
        for connection_id in closed {
            self.connection_closed(&connection_id);
        }
        let last_report_at = self.last_snapshot_at.replace(now);
        for (connection_id, bytes) in bytes_written {
            self.connections.set_bytes_written(
                &connection_id,
                bytes,
                last_report_at,
                snapshot.requested_at,
                now,
            );
        }
    }
}

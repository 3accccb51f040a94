//! What nobody tells: connections that wait, and those that are gone.

use super::FrontEnd;
use super::pipeline::ResponseEnd;
use super::websocket::PingAction;
use crate::mongrel2::codec::ControlCommand;
use crate::mongrel2::control_port_monitor::ConnectionsSnapshot;
use crate::websocket::{ClientId as Ticket, ping_frame};
use bytes::Bytes;
use std::collections::HashMap;
use std::time::Instant;

impl FrontEnd {
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.conversations.sweep(now);
        let overdue: Vec<Ticket> = self
            .conversations
            .iter()
            .filter_map(|(_, conversation)| conversation.socket.as_ref())
            .filter(|socket| socket.is_overdue(now))
            .map(|socket| socket.ticket.clone())
            .collect();
        for ticket in overdue {
            self.drop_socket(&ticket);
            self.reply(&ticket, [], Some(ResponseEnd::Close));
        }
        if now.saturating_duration_since(self.kept_alive) >= self.settings.keep_alive {
            self.kept_alive = now;
            self.keep_alive();
        }
        // Mongrel2 does not tell of every connection that ends.
        if now.saturating_duration_since(self.checked) >= self.settings.keep_alive / 2
            && let Some(watch) = &mut self.watch
        {
            self.checked = now;
            watch.ask();
        }
    }

    /// Keeps Mongrel2 from closing connections that wait, finds those that are gone, for which it sends a notice then,
    /// and asks the clients of WebSockets whether they are there.
    pub(super) fn keep_alive(&mut self) {
        let mut waiting: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
        let (mut pinged, mut dead) = (Vec::new(), Vec::new());
        for (connection, conversation) in self.conversations.iter() {
            if conversation.is_idle() && !conversation.is_kept() {
                continue;
            }
            let ids = waiting.entry(conversation.ident.clone()).or_default();
            ids.push(connection.clone());
            if let Some(socket) = &mut conversation.socket {
                match socket.pulse() {
                    PingAction::Rest => {}
                    PingAction::Ping => pinged.push(socket.ticket.clone()),
                    PingAction::Dead => dead.push(socket.ticket.clone()),
                }
            }
        }
        for (ident, ids) in waiting {
            self.control(&ident, &ids, ControlCommand::KeepAlive);
        }
        self.cast(&pinged, &ping_frame());
        for ticket in dead {
            self.drop_socket(&ticket);
            self.reply(&ticket, [], Some(ResponseEnd::Close));
        }
    }

    /// The control port answered.
    pub(super) fn watched(&mut self, status: ConnectionsSnapshot) {
        let now = Instant::now();
        if status.asked < self.since {
            if let Some(watch) = &mut self.watch {
                watch.ask();
            }
            return;
        }
        self.settling = None;
        let Some(connections) = status.connections else {
            self.before = None;
            return self.conversations.unwatched(now);
        };
        if self.before.is_none() {
            let known = connections.iter().filter(|connection| connection.id >= 0);
            self.before = Some(known.map(|known| (known.id, known.bytes_written)).collect());
        }
        let written: HashMap<Bytes, u64> = connections
            .iter()
            .map(|known| (Bytes::from(known.id.to_string()), known.bytes_written))
            .collect();
        let missing: Vec<Bytes> = self
            .conversations
            .iter()
            .filter(|(connection, conversation)| {
                conversation.heard() < status.asked && !written.contains_key(*connection)
            })
            .map(|(connection, _)| connection.clone())
            .collect();
        for connection in missing {
            self.gone(&connection);
        }
        for (connection, bytes) in written {
            self.conversations.written(&connection, bytes, now);
        }
    }
}

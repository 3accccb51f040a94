//! All connections of browsers, and which of them can be sent something.

use super::client_connection::{ClientConnection, NextMessage};
use super::flow_control::{FlowControl, SendWindow};
use super::pipeline::{OutboundChunk, ReadyChunks, ResponseEnd};
use crate::websocket::ClientId as Ticket;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// What may wait for one client beyond what its own handler has waiting.
const WAITING: usize = 4 << 20;
const WAITING_PIECES: usize = 1024;
/// After this long even a connection that must be remembered to its end is taken to be gone.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// All connections that are known.
#[derive(Debug)]
pub(super) struct ConnectionTable<T> {
    by_connection: HashMap<Bytes, ClientConnection<T>>,
    serial: u64,
    ready: VecDeque<Bytes>,
    /// Those that wait for their clients to read, and until when at most.
    blocked: BTreeMap<Bytes, Option<Instant>>,
}

/// One message for one client.
#[derive(Debug)]
pub(super) struct ClientMessage {
    pub(super) ident: Bytes,
    pub(super) connection: Bytes,
    /// Empty where nothing but the close is left.
    pub(super) bytes: Bytes,
    pub(super) close: bool,
}

/// Whether a client could be sent something, or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BroadcastOutcome {
    /// It is to be sent it now, together with others.
    Now,
    /// It gets it after what waits for it already.
    Later,
    /// It is not there any more.
    Gone,
    /// Too much is waiting for it.
    TooSlow,
}

impl<T> ConnectionTable<T> {
    pub(super) fn new() -> ConnectionTable<T> {
        ConnectionTable {
            by_connection: HashMap::new(),
            serial: 0,
            ready: VecDeque::new(),
            blocked: BTreeMap::new(),
        }
    }

    /// A client was heard on this connection.
    pub(super) fn hear(
        &mut self,
        connection: &Bytes,
        ident: &Bytes,
        flow_control: impl FnOnce() -> FlowControl,
        now: Instant,
    ) -> &mut ClientConnection<T> {
        let serial = &mut self.serial;
        let conversation = self.by_connection.entry(connection.clone()).or_insert_with(|| {
            *serial += 1;
            ClientConnection::new(ident.clone(), *serial, flow_control(), now)
        });
        conversation.heard = now;
        conversation
    }

    pub(super) fn get(&mut self, connection: &Bytes) -> Option<&mut ClientConnection<T>> {
        self.by_connection.get_mut(connection)
    }

    /// The connection of a ticket; one that was forgotten and came again is another one, though its name is the same.
    pub(super) fn of(&mut self, ticket: &Ticket) -> Option<&mut ClientConnection<T>> {
        self.by_connection
            .get_mut(&ticket.connection)
            .filter(|conversation| conversation.serial == ticket.serial)
    }

    /// Some of the reply to a request, or all of it; `None` where nobody waits for it any more. What ran on behalf of other
    /// requests that can no longer be answered comes back.
    pub(super) fn reply(
        &mut self,
        ticket: &Ticket,
        pieces: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) -> Option<(&mut ClientConnection<T>, Vec<T>)> {
        let conversation = self
            .by_connection
            .get_mut(&ticket.connection)
            .filter(|conversation| conversation.serial == ticket.serial)?;
        let due = conversation.pipeline.reply(ticket.number, pieces, end);
        let stopped = conversation.put(due);
        list(&mut self.ready, conversation, &ticket.connection);
        Some((conversation, stopped))
    }

    /// Whether this client can be sent so many bytes now, out of the order of its requests. Those that cannot get a copy
    /// of it later, made by `piece`.
    pub(super) fn cast(
        &mut self,
        ticket: &Ticket,
        bytes: usize,
        piece: impl FnOnce() -> OutboundChunk,
        now: Instant,
    ) -> BroadcastOutcome {
        let Some(conversation) = self.of(ticket) else {
            return BroadcastOutcome::Gone;
        };
        if conversation.closing {
            return BroadcastOutcome::Gone;
        }
        if conversation.waiting.is_empty()
            && matches!(conversation.flow_control.room(now), SendWindow::For(room) if room >= bytes as u64)
        {
            conversation.flow_control.sent(bytes as u64, now);
            return BroadcastOutcome::Now;
        }
        if conversation.waiting_bytes + bytes > WAITING || conversation.waiting.len() >= WAITING_PIECES {
            return BroadcastOutcome::TooSlow;
        }
        conversation.waiting_bytes += bytes;
        conversation.waiting.push_back(piece());
        // Looked up again for the list, which a borrow of all connections would not allow.
        if let Some(conversation) = self.by_connection.get_mut(&ticket.connection) {
            list(&mut self.ready, conversation, &ticket.connection);
        }
        BroadcastOutcome::Later
    }

    /// A piece for a client that answers nothing. `false` where it is not there any more.
    pub(super) fn push(&mut self, ticket: &Ticket, piece: OutboundChunk) -> bool {
        let Some(conversation) = self.of(ticket).filter(|conversation| !conversation.closing) else {
            return false;
        };
        conversation.waiting_bytes += piece.bytes.len();
        conversation.waiting.push_back(piece);
        self.look_at(&ticket.connection);
        true
    }

    /// Closes a connection after what waits for it, whatever it still asked for. What ran on its behalf comes back.
    pub(super) fn hang_up(&mut self, ticket: &Ticket) -> Vec<T> {
        let Some(conversation) = self.of(ticket) else {
            return Vec::new();
        };
        let stopped = conversation.put(ReadyChunks {
            pieces: Vec::new(),
            close: true,
        });
        self.look_at(&ticket.connection);
        stopped
    }

    /// The next message for any client, if there is one that may be sent now.
    pub(super) fn next(&mut self, now: Instant) -> Option<ClientMessage> {
        while let Some(connection) = self.ready.pop_front() {
            let Some(conversation) = self.by_connection.get_mut(&connection) else {
                continue;
            };
            conversation.listed = false;
            match conversation.take(now) {
                NextMessage::None => {}
                NextMessage::Blocked(until) => {
                    self.blocked.insert(connection, until);
                }
                NextMessage::Ready(bytes) => {
                    let close = conversation.closing && conversation.waiting.is_empty();
                    let ident = conversation.ident.clone();
                    if close {
                        self.by_connection.remove(&connection);
                    } else {
                        list(&mut self.ready, conversation, &connection);
                    }
                    return Some(ClientMessage {
                        ident,
                        connection,
                        bytes,
                        close,
                    });
                }
            }
        }
        None
    }

    /// When to look again, because of clients that wait.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.blocked.values().flatten().min().copied()
    }

    /// Looks again at those whose time has come.
    pub(super) fn awake(&mut self, now: Instant) {
        let is_due = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
        let due: Vec<Bytes> = self
            .blocked
            .iter()
            .filter(|(_, until)| is_due(until))
            .map(|(connection, _)| connection.clone())
            .collect();
        for connection in due {
            self.blocked.remove(&connection);
            self.look_at(&connection);
        }
    }

    /// Mongrel2 wrote so many bytes to a client.
    pub(super) fn credited(&mut self, connection: &Bytes, bytes: u64) {
        if let Some(conversation) = self.by_connection.get_mut(connection) {
            conversation.flow_control.credited(bytes);
            self.blocked.remove(connection);
            self.look_at(connection);
        }
    }

    /// Mongrel2 wrote so many bytes in all to a client.
    pub(super) fn written(&mut self, connection: &Bytes, bytes: u64, now: Instant) {
        if let Some(conversation) = self.by_connection.get_mut(connection) {
            conversation.flow_control.written(bytes, now);
            if self.blocked.remove(connection).is_some() {
                self.look_at(connection);
            }
        }
    }

    /// The control port says nothing any more.
    pub(super) fn unwatched(&mut self, now: Instant) {
        for conversation in self.by_connection.values_mut() {
            conversation.flow_control.unwatched(now);
        }
        for (connection, _) in std::mem::take(&mut self.blocked) {
            self.look_at(&connection);
        }
    }

    /// Whether clients wait for what only the control port can tell.
    pub(super) fn wait_for_control(&self) -> bool {
        self.blocked.keys().any(|connection| {
            self.by_connection
                .get(connection)
                .is_some_and(|conversation| conversation.flow_control.waits_for_control())
        })
    }

    fn look_at(&mut self, connection: &Bytes) {
        if let Some(conversation) = self.by_connection.get_mut(connection) {
            list(&mut self.ready, conversation, connection);
        }
    }

    /// The connection is gone: what ran on its behalf comes back, replies still to come are dropped.
    pub(super) fn forget(&mut self, connection: &Bytes) -> Option<ClientConnection<T>> {
        self.blocked.remove(connection);
        self.by_connection.remove(connection)
    }

    /// All connections are gone.
    pub(super) fn forget_all(&mut self) -> impl Iterator<Item = ClientConnection<T>> + use<T> {
        self.ready.clear();
        self.blocked.clear();
        std::mem::take(&mut self.by_connection).into_values()
    }

    /// Forgets connections of which nothing need be known any more.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.by_connection.retain(|_, conversation| {
            let old = now.saturating_duration_since(conversation.heard) > FORGOTTEN;
            !conversation.is_idle()
                || conversation.is_kept()
                || !(conversation.flow_control.is_quiet(now) || old)
        });
    }

    /// The names of connections, with the time each was heard of last.
    pub(super) fn iter(&mut self) -> impl Iterator<Item = (&Bytes, &mut ClientConnection<T>)> {
        self.by_connection.iter_mut()
    }

    /// Whether no reply is waited for and nothing is to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.by_connection.values().all(ClientConnection::is_idle)
    }
}

fn list<T>(ready: &mut VecDeque<Bytes>, conversation: &mut ClientConnection<T>, connection: &Bytes) {
    let something = !conversation.waiting.is_empty() || conversation.closing;
    if something && !conversation.listed {
        conversation.listed = true;
        ready.push_back(connection.clone());
    }
}

#[cfg(test)]
mod tests;

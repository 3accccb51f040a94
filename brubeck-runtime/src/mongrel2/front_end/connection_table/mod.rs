//! The connections of clients to one Mongrel2, and the list of those that have data to send.

use super::client_connection::{ClientConnection, NextMessage, QueuedData};
use super::flow_control::{FlowControl, ReadReport, SendWindow};
use super::pipeline::{OutboundChunk, ReadyChunks, ResponseEnd};
use crate::websocket::{ClientId, Recipient, StoredMessage, WaitingMessages};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time without a request after which an idle connection is assumed to be closed, even if its flow control has state.
const IDLE_CONNECTION_TTL: Duration = Duration::from_secs(15 * 60);

/// The open connections of one Mongrel2, as far as they are known: Mongrel2 announces neither all new nor all closed
/// ones.
///
/// A connection with queued data is in `ready` or, if the flow control did not allow a message, in `blocked`. It is in
/// both if data was queued since.
#[derive(Debug)]
pub(super) struct ConnectionTable<T> {
    by_id: HashMap<Bytes, ClientConnection<T>>,
    last_serial: u64,
    ready: VecDeque<Bytes>,
    /// The time at which a blocked connection may send, if it is known.
    blocked: BTreeMap<Bytes, Option<Instant>>,
}

/// A message for one client.
#[derive(Debug)]
pub(super) struct ClientMessage {
    pub(super) ident: Bytes,
    pub(super) connection: Bytes,
    /// May be empty if `close` is set.
    pub(super) bytes: Bytes,
    /// `true` if the connection is closed after this message.
    pub(super) close: bool,
}

/// The result of preparing bytes that several clients receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BroadcastOutcome {
    /// The caller must send the bytes now, with this ident. The flow control has counted them already.
    SendNow(Bytes),
    /// The bytes were queued, or the client is not connected any more.
    Queued,
}

impl<T> ConnectionTable<T> {
    pub(super) fn new() -> ConnectionTable<T> {
        ConnectionTable {
            by_id: HashMap::new(),
            last_serial: 0,
            ready: VecDeque::new(),
            blocked: BTreeMap::new(),
        }
    }

    /// Returns the connection on which a request arrived, and adds it if it is new.
    pub(super) fn get_or_insert(
        &mut self,
        connection_id: &Bytes,
        ident: &Bytes,
        flow_control: impl FnOnce() -> FlowControl,
        now: Instant,
    ) -> &mut ClientConnection<T> {
        let last_serial = &mut self.last_serial;
        let connection = self.by_id.entry(connection_id.clone()).or_insert_with(|| {
            *last_serial += 1;
            ClientConnection::new(ident.clone(), *last_serial, flow_control(), now)
        });
        connection.last_request_at = now;
        connection
    }

    pub(super) fn get(&mut self, connection_id: &Bytes) -> Option<&mut ClientConnection<T>> {
        self.by_id.get_mut(connection_id)
    }

    /// Returns the connection of a client. Returns `None` if it was removed, even if there is a later one with the same
    /// id.
    pub(super) fn find(&mut self, client: &ClientId) -> Option<&mut ClientConnection<T>> {
        self.by_id
            .get_mut(&client.connection)
            .filter(|connection| connection.serial == client.serial)
    }

    /// Adds a part of the response to a request; the last part has an `end`. Returns `None` if the connection was
    /// removed. Otherwise returns the connection, and the tasks of requests that cannot be answered any more.
    pub(super) fn add_response(
        &mut self,
        client: &ClientId,
        chunks: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) -> Option<(&mut ClientConnection<T>, Vec<T>)> {
        // `find` would borrow all of `self`, but `self.ready` is needed below.
        let connection = self
            .by_id
            .get_mut(&client.connection)
            .filter(|connection| connection.serial == client.serial)?;
        let ready = connection.pipeline.add_response(client.number, chunks, end);
        let tasks = connection.enqueue(ready);
        mark_ready(&mut self.ready, connection, &client.connection);
        Some((connection, tasks))
    }

    /// Prepares a message of a broadcast for one client. It does not wait for the responses to earlier requests.
    pub(super) fn prepare_broadcast(
        &mut self,
        recipient: &Recipient,
        message: &Arc<StoredMessage>,
        now: Instant,
    ) -> BroadcastOutcome {
        let Recipient {
            client,
            encoding,
            position,
        } = recipient;
        let outcome = self.prepare_shared(client, message.size(*encoding), now, |connection| {
            let is_added = match connection.queue.back_mut() {
                Some(QueuedData::Broadcast(waiting)) => waiting.extend(message, position),
                _ => false,
            };
            if !is_added {
                let waiting = WaitingMessages::new(message, *encoding, position);
                connection.queue.push_back(QueuedData::Broadcast(waiting));
            }
        });
        match outcome {
            Some(BroadcastOutcome::Queued) => BroadcastOutcome::Queued,
            // Also a client that has left counts as having taken the message.
            other => {
                position.advance(message);
                other.unwrap_or(BroadcastOutcome::Queued)
            }
        }
    }

    /// Prepares the same bytes for one of several clients.
    pub(super) fn prepare_bytes(
        &mut self,
        client: &ClientId,
        bytes: &Bytes,
        now: Instant,
    ) -> BroadcastOutcome {
        let outcome = self.prepare_shared(client, bytes.len(), now, |connection| {
            let chunk = OutboundChunk::from(bytes.clone());
            connection.queue.push_back(QueuedData::Chunk(chunk));
        });
        outcome.unwrap_or(BroadcastOutcome::Queued)
    }

    /// Counts `size` bytes as sent if the client can receive them now, or else calls `queue`. Returns `None` if the client is not connected
    /// any more, or its connection is being closed.
    fn prepare_shared(
        &mut self,
        client: &ClientId,
        size: usize,
        now: Instant,
        queue: impl FnOnce(&mut ClientConnection<T>),
    ) -> Option<BroadcastOutcome> {
        let connection = self.find(client).filter(|connection| !connection.has_ended())?;
        if connection.queue.is_empty()
            && matches!(connection.flow_control.send_window(now), SendWindow::Open(max) if max >= size as u64)
        {
            connection.flow_control.message_sent(size as u64, now);
            return Some(BroadcastOutcome::SendNow(connection.ident.clone()));
        }
        queue(connection);
        self.mark_ready_by_id(&client.connection);
        Some(BroadcastOutcome::Queued)
    }

    /// Queues a chunk that is not part of a response. Returns `false` if the client is not connected any more, or its
    /// connection is being closed.
    pub(super) fn push(&mut self, client: &ClientId, chunk: OutboundChunk) -> bool {
        let Some(connection) = self.find(client).filter(|connection| !connection.is_closing) else {
            return false;
        };
        connection.queue.push_back(QueuedData::Chunk(chunk));
        self.mark_ready_by_id(&client.connection);
        true
    }

    /// Closes a connection after the queued data, even if requests are unfinished. Returns the tasks of these
    /// requests.
    pub(super) fn close_after_queue(&mut self, client: &ClientId) -> Vec<T> {
        let Some(connection) = self.find(client) else {
            return Vec::new();
        };
        let tasks = connection.enqueue(ReadyChunks {
            chunks: Vec::new(),
            close: true,
        });
        self.mark_ready_by_id(&client.connection);
        tasks
    }

    /// Returns the next message that may be sent now to any of the clients. Removes its connection if the message is the
    /// last one.
    pub(super) fn next_message(&mut self, now: Instant) -> Option<ClientMessage> {
        while let Some(connection_id) = self.ready.pop_front() {
            let Some(connection) = self.by_id.get_mut(&connection_id) else {
                continue;
            };
            connection.is_listed = false;
            match connection.next_message(now) {
                NextMessage::None => {}
                NextMessage::Blocked(until) => {
                    self.blocked.insert(connection_id, until);
                }
                NextMessage::Ready(bytes) => {
                    let close = connection.is_closing && connection.queue.is_empty();
                    let ident = connection.ident.clone();
                    if close {
                        self.by_id.remove(&connection_id);
                    } else {
                        // At the end of the list, so that the clients take turns.
                        mark_ready(&mut self.ready, connection, &connection_id);
                    }
                    return Some(ClientMessage {
                        ident,
                        connection: connection_id,
                        bytes,
                        close,
                    });
                }
            }
        }
        None
    }

    /// Returns the earliest time at which a blocked connection may send, if any is known.
    pub(super) fn next_unblock(&self) -> Option<Instant> {
        self.blocked.values().flatten().min().copied()
    }

    /// Marks as ready those blocked connections that may send by now.
    pub(super) fn unblock_due(&mut self, now: Instant) {
        let is_due = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
        let due: Vec<Bytes> = self
            .blocked
            .iter()
            .filter(|(_, until)| is_due(until))
            .map(|(connection_id, _)| connection_id.clone())
            .collect();
        for connection_id in due {
            self.blocked.remove(&connection_id);
            self.mark_ready_by_id(&connection_id);
        }
    }

    /// Adds credit that Mongrel2 granted to a connection.
    pub(super) fn add_credit(&mut self, connection_id: &Bytes, bytes: u64) {
        if let Some(connection) = self.by_id.get_mut(connection_id) {
            connection.flow_control.add_credit(bytes);
            connection.reading.accept();
            self.blocked.remove(connection_id);
            self.mark_ready_by_id(connection_id);
        }
    }

    /// Sets the total number of bytes that Mongrel2 has written to a connection, as it reported it to a request at `requested_at`. The report
    /// before was received at `last_report_at`.
    pub(super) fn set_bytes_written(
        &mut self,
        connection_id: &Bytes,
        bytes: u64,
        last_report_at: Option<Instant>,
        requested_at: Instant,
        now: Instant,
    ) {
        if let Some(connection) = self.by_id.get_mut(connection_id) {
            match connection
                .flow_control
                .set_bytes_written(bytes, requested_at, now)
            {
                ReadReport::Advanced => drop(connection.reading.accept()),
                ReadReport::Stalled(sent_at) => {
                    let since = last_report_at.map_or(requested_at, |last| last.max(sent_at));
                    connection
                        .reading
                        .block_between(since.into(), requested_at.into());
                }
                ReadReport::Unknown => {}
            }
            if self.blocked.remove(connection_id).is_some() {
                self.mark_ready_by_id(connection_id);
            }
        }
    }

    /// Makes the flow control of all connections fall back to estimates.
    pub(super) fn control_port_lost(&mut self, now: Instant) {
        for connection in self.by_id.values_mut() {
            connection.flow_control.control_port_lost(now);
            connection.reading.accept();
        }
        for (connection_id, _) in std::mem::take(&mut self.blocked) {
            self.mark_ready_by_id(&connection_id);
        }
    }

    /// Returns `true` if a report of the control port can unblock a connection.
    pub(super) fn needs_control_port(&self) -> bool {
        self.blocked.keys().any(|connection_id| {
            self.by_id
                .get(connection_id)
                .is_some_and(|connection| connection.flow_control.needs_control_port())
        })
    }

    fn mark_ready_by_id(&mut self, connection_id: &Bytes) {
        if let Some(connection) = self.by_id.get_mut(connection_id) {
            mark_ready(&mut self.ready, connection, connection_id);
        }
    }

    /// Removes a connection. Responses to its requests are dropped from now on.
    pub(super) fn remove(&mut self, connection_id: &Bytes) -> Option<ClientConnection<T>> {
        self.blocked.remove(connection_id);
        self.by_id.remove(connection_id)
    }

    /// Removes all connections.
    pub(super) fn remove_all(&mut self) -> impl Iterator<Item = ClientConnection<T>> + use<T> {
        self.ready.clear();
        self.blocked.clear();
        std::mem::take(&mut self.by_id).into_values()
    }

    /// Removes idle connections whose flow control has no state, or whose last request was [`IDLE_CONNECTION_TTL`] ago.
    /// Keeps message sockets that have senders.
    pub(super) fn remove_idle(&mut self, now: Instant) {
        self.by_id.retain(|_, connection| {
            let is_old = now.saturating_duration_since(connection.last_request_at) > IDLE_CONNECTION_TTL;
            !connection.is_idle()
                || connection.has_message_senders()
                || !(connection.flow_control.is_initial(now) || is_old)
        });
    }

    pub(super) fn iter(&mut self) -> impl Iterator<Item = (&Bytes, &mut ClientConnection<T>)> {
        self.by_id.iter_mut()
    }

    /// Returns `true` if all connections are idle.
    pub(super) fn is_idle(&self) -> bool {
        self.by_id.values().all(ClientConnection::is_idle)
    }
}

/// Adds a connection to the ready list if it has something to send and is not in the list.
fn mark_ready<T>(ready: &mut VecDeque<Bytes>, connection: &mut ClientConnection<T>, connection_id: &Bytes) {
    let has_output = !connection.queue.is_empty() || connection.is_closing;
    if has_output && !connection.is_listed {
        connection.is_listed = true;
        ready.push_back(connection_id.clone());
    }
}

#[cfg(test)]
mod tests;

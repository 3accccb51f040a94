//! The event loop of one Mongrel2 server.
//!
//! One task owns all state: the connections of the clients, their requests in order, their WebSockets, and the
//! messages that are to be sent. Handlers run in other tasks, or inline, and send their responses to the event loop
//! as [`FrontEndEvent`]s.

mod broadcast;
mod client_connection;
mod connection_table;
mod convert_request;
pub(super) mod events;
mod flow_control;
mod http1;
mod http_requests;
mod message_format;
mod message_socket;
mod outgoing;
mod pipeline;
mod response_writer;
pub(super) mod self_waking_task;
mod socket_client_sender;
mod timers;
mod websocket;
mod websocket_requests;

use super::Settings;
use super::codec::{self, Incoming, Mongrel2Request};
use super::control_port_monitor::{ConnectionsSnapshot, ControlPortMonitor};
use super::counts::Mongrel2Counts;
use super::instance_registry::RegisteredLink;
use super::server_link::{LinkEvent, ServerLink};
use crate::handler::{Application, Stop};
use crate::websocket::{ClientId, Close};
use brubeck_zmtp::{Generation, LINGER, SendError};
use bytes::Bytes;
use client_connection::ClientConnection;
use connection_table::ConnectionTable;
use events::{FrontEndEvent, FrontEndHandle};
use flow_control::FlowControl;
pub(super) use message_format::MessageFormat;
use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior};

/// Limit of concurrent requests of one Mongrel2. Further ones are answered with 503.
const MAX_CONCURRENT_REQUESTS: usize = 1024;

/// Limit of concurrent requests on one connection.
const MAX_CONNECTION_REQUESTS: usize = 64;

/// Limit of WebSockets of one Mongrel2.
const MAX_WEBSOCKETS: usize = 8192;

/// Number of messages waiting for the link at which the event loop stops to receive events of handlers and to encode
/// responses. Messages for events that it has received already may exceed it.
const MAX_OUTBOUND_MESSAGES: usize = 1024;

/// Limit of link events that are handled in a row before their output is sent. The same for events of handlers.
const MAX_EVENT_BATCH: usize = 64;

/// Interval of checks that no event triggers, such as timeouts.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Time that the first requests of a generation wait for the control port.
const FIRST_SNAPSHOT_TIMEOUT: Duration = Duration::from_millis(500);

/// The credit that Mongrel2 grants to a new connection if `download.flow_control` is on, in bytes. It is assumed for a
/// connection whose first request did not arrive here.
const INITIAL_CREDIT: u64 = 102_400;

/// The event loop of one Mongrel2.
pub(in crate::mongrel2) struct FrontEnd {
    application: Arc<dyn Application>,
    settings: Settings,
    /// The address for responses, for services that respond to the client directly.
    recv_spec: Bytes,
    registration: RegisteredLink,
    counts: Mongrel2Counts,
    /// The current connection to Mongrel2. Requests of earlier ones are not answered.
    generation: Generation,
    /// `true` if the check of the `recv_ident` failed, so that responses could reach the wrong clients. All messages of
    /// Mongrel2 are ignored then.
    is_refused: bool,
    connections: ConnectionTable<AbortHandle>,
    handlers: JoinSet<()>,
    websocket_count: usize,
    handle: Arc<FrontEndHandle>,
    events: mpsc::Receiver<FrontEndEvent>,
    /// Encoded messages for the link.
    outbound: VecDeque<Bytes>,
    /// `true` once a request of this generation has shown that `download.flow_control` is on.
    uses_credit: bool,
    monitor: Option<ControlPortMonitor>,
    /// Bytes written to each connection, from the first snapshot of this generation, or the first one after a failure of
    /// the control port. `None` until then, and if the control port is not used.
    initial_bytes_written: Option<HashMap<i64, u64>>,
    /// The start of this generation. Earlier snapshots describe another one.
    generation_started_at: Instant,
    /// The time at which the last snapshot of this generation arrived.
    last_snapshot_at: Option<Instant>,
    /// Set while requests wait for the first snapshot of this generation.
    first_snapshot_deadline: Option<Instant>,
    last_keep_alive: Instant,
    last_connection_check: Instant,
    is_stopping: bool,
}

/// The reason for which the event loop woke up.
enum Wakeup {
    StopRequested,
    Link(Option<LinkEvent>),
    FrontEnd(FrontEndEvent),
    /// The first outbound message was passed to the link, or could not be sent.
    MessageSent(Result<(), SendError>),
    FirstSnapshotTimedOut,
    /// The time has come at which a blocked connection may send.
    ConnectionUnblocked,
    Snapshot(ConnectionsSnapshot),
    HandlerFinished,
    Tick,
}

impl FrontEnd {
    pub(in crate::mongrel2) fn new(
        application: Arc<dyn Application>,
        settings: Settings,
        registration: RegisteredLink,
        monitor: Option<ControlPortMonitor>,
        counts: Mongrel2Counts,
    ) -> FrontEnd {
        // One event of each concurrent request fits. If the channel is full, handlers wait, and `send_event` spawns a task.
        let (event_sender, events) = mpsc::channel(MAX_CONCURRENT_REQUESTS);
        let now = Instant::now();
        FrontEnd {
            application,
            recv_spec: Bytes::from(settings.recv_spec.clone()),
            settings,
            registration,
            counts,
            generation: 0,
            is_refused: false,
            connections: ConnectionTable::new(),
            handlers: JoinSet::new(),
            websocket_count: 0,
            handle: Arc::new(FrontEndHandle(event_sender)),
            events,
            outbound: VecDeque::new(),
            uses_credit: false,
            monitor,
            initial_bytes_written: None,
            generation_started_at: now,
            last_snapshot_at: None,
            first_snapshot_deadline: None,
            last_keep_alive: now,
            last_connection_check: now,
            is_stopping: false,
        }
    }

    /// Runs until `stop` is requested and all received requests are answered, or the link is closed. `first_event` is
    /// the event that was already received from the link, if any.
    pub(in crate::mongrel2) async fn serve(
        mut self,
        mut link: ServerLink,
        first_event: Option<LinkEvent>,
        mut stop: Stop,
    ) {
        if let Some(event) = first_event {
            self.handle_link_event(event);
        }
        let mut tick = tokio::time::interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_stopping || !self.is_idle() {
            let wakeup = self.next_wakeup(&mut link, &mut stop, &mut tick).await;
            if self.handle_wakeup(wakeup).is_break() {
                return;
            }
            // Handle all events that are ready before sending, so that their output is merged into few messages.
            self.handle_ready_events(&mut link);
            self.flush(&link);
        }
        link.shutdown(LINGER).await;
    }

    /// Waits until there is something to do.
    ///
    /// Receiving from Mongrel2 never waits for sending to it: Mongrel2 stops reading responses while its notices are
    /// not read.
    async fn next_wakeup(&mut self, link: &mut ServerLink, stop: &mut Stop, tick: &mut Interval) -> Wakeup {
        let message = self.outbound.front().cloned();
        let can_send = message.is_some();
        let unblock = self.connections.next_unblock();
        tokio::select! {
            () = stop.requested(), if !self.is_stopping => Wakeup::StopRequested,
            event = link.inbound.recv(), if self.first_snapshot_deadline.is_none() => Wakeup::Link(event),
            Some(event) = self.events.recv(), if self.outbound.len() < MAX_OUTBOUND_MESSAGES => {
                Wakeup::FrontEnd(event)
            }
            sent = link.outbound.send(self.generation, message.unwrap_or_default()), if can_send => {
                Wakeup::MessageSent(sent)
            }
            () = sleep_until(self.first_snapshot_deadline), if self.first_snapshot_deadline.is_some() => {
                Wakeup::FirstSnapshotTimedOut
            }
            () = sleep_until(unblock), if unblock.is_some() => Wakeup::ConnectionUnblocked,
            snapshot = next_snapshot(&mut self.monitor) => Wakeup::Snapshot(snapshot),
            Some(_) = self.handlers.join_next(), if !self.handlers.is_empty() => Wakeup::HandlerFinished,
            _ = tick.tick() => Wakeup::Tick,
        }
    }

    /// Handles a wakeup. Returns [`ControlFlow::Break`] if the link is closed.
    fn handle_wakeup(&mut self, wakeup: Wakeup) -> ControlFlow<()> {
        match wakeup {
            Wakeup::StopRequested => self.begin_shutdown(),
            Wakeup::Link(Some(event)) => self.handle_link_event(event),
            Wakeup::Link(None) | Wakeup::MessageSent(Err(SendError::Closed)) => return ControlFlow::Break(()),
            Wakeup::FrontEnd(event) => self.handle_event(event),
            Wakeup::MessageSent(sent) => self.message_sent(sent),
            Wakeup::FirstSnapshotTimedOut => self.first_snapshot_deadline = None,
            Wakeup::ConnectionUnblocked => self.connections.unblock_due(Instant::now()),
            Wakeup::Snapshot(snapshot) => self.handle_snapshot(snapshot),
            Wakeup::HandlerFinished => {}
            Wakeup::Tick => self.tick(),
        }
        ControlFlow::Continue(())
    }

    /// Handles the events that can be received without waiting.
    fn handle_ready_events(&mut self, link: &mut ServerLink) {
        for _ in 0..MAX_EVENT_BATCH {
            if self.first_snapshot_deadline.is_some() {
                break;
            }
            let Some(event) = link.inbound.try_recv() else {
                break;
            };
            self.handle_link_event(event);
        }
        for _ in 0..MAX_EVENT_BATCH {
            if self.outbound.len() >= MAX_OUTBOUND_MESSAGES {
                break;
            }
            let Ok(event) = self.events.try_recv() else { break };
            self.handle_event(event);
        }
        while self.handlers.try_join_next().is_some() {}
    }

    fn is_idle(&self) -> bool {
        self.connections.is_idle() && self.outbound.is_empty() && self.handlers.is_empty()
    }

    /// Begins to close WebSockets and idle message sockets. New requests are rejected from now on, and the others are
    /// finished. A WebSocket that the application has not accepted yet is closed when it is accepted.
    fn begin_shutdown(&mut self) {
        self.is_stopping = true;
        let now = Instant::now();
        let (mut outcomes, mut message_sockets) = (Vec::new(), Vec::new());
        for (_, connection) in self.connections.iter() {
            if connection.is_idle()
                && connection.has_message_senders()
                && let Some(message_socket) = &connection.message_socket
            {
                message_sockets.push(message_socket.id().clone());
            }
            if let Some(websocket) = &mut connection.websocket {
                let outcome = websocket.begin_close(&Close::AWAY, now);
                outcomes.push((websocket.client.clone(), outcome));
            }
        }
        for (client, outcome) in outcomes {
            self.apply_frame_outcome(&client, outcome);
        }
        for client in message_sockets {
            self.close_socket(&client, &Close::AWAY);
        }
    }

    fn handle_link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up {
                generation,
                recv_ident,
            } => {
                tracing::debug!(generation, recv_ident = %recv_ident.escape_ascii(), "connected to Mongrel2");
                self.begin_generation(generation);
                self.first_snapshot_deadline = self
                    .monitor
                    .as_ref()
                    .map(|_| Instant::now() + FIRST_SNAPSHOT_TIMEOUT);
                self.registration.set_recv_ident(&recv_ident);
                let check = self.registration.check_recv_idents();
                if let Err(error) = &check {
                    tracing::error!(%error, "ignoring all requests of this Mongrel2");
                }
                self.is_refused = check.is_err();
            }
            LinkEvent::Down { generation, reason } => {
                tracing::warn!(
                    generation,
                    reason,
                    "lost the connection to Mongrel2, reconnecting"
                );
                self.begin_generation(generation);
            }
            LinkEvent::Message { generation, .. } if generation != self.generation || self.is_refused => {}
            LinkEvent::Message { bytes, .. } => match codec::decode(&bytes) {
                Ok(Incoming::Request(request)) => self.handle_request(&request),
                Ok(Incoming::Disconnect { conn_id, .. }) => self.connection_closed(&conn_id),
                Ok(Incoming::Credits { conn_id, bytes, .. }) => self.connections.add_credit(&conn_id, bytes),
                Err(error) => self.handle_malformed_message(&error),
            },
        }
    }

    /// Drops all state of the preceding generation. Mongrel2 may have been restarted, and assigns the same connection
    /// ids to other clients.
    fn begin_generation(&mut self, generation: Generation) {
        self.generation = generation;
        self.counts.add_stale(self.outbound.len());
        self.outbound.clear();
        self.uses_credit = false;
        self.initial_bytes_written = None;
        self.generation_started_at = Instant::now();
        self.last_snapshot_at = None;
        for connection in self.connections.remove_all() {
            self.websocket_count -= usize::from(connection.websocket.is_some());
            stop_connection(connection);
        }
        if let Some(monitor) = &mut self.monitor {
            monitor.request_snapshot();
        }
    }

    /// Removes a connection that Mongrel2 has closed, or will close.
    fn connection_closed(&mut self, connection_id: &Bytes) {
        if let Some(connection) = self.connections.remove(connection_id) {
            self.websocket_count -= usize::from(connection.websocket.is_some());
            stop_connection(connection);
        }
    }

    fn handle_request(&mut self, request: &Mongrel2Request) {
        self.counts.add_requests(1);
        match request.headers.method().map(|method| &method[..]) {
            Some(b"WEBSOCKET") => self.handle_websocket_frame(request),
            Some(b"WEBSOCKET_HANDSHAKE") => self.handle_websocket_handshake(request),
            Some(b"JSON" | b"XML") => self.handle_message(request),
            None if request.headers.upload_stream().is_some() => self.handle_upload_part(request),
            _ => self.handle_http_request(request),
        }
    }

    /// Adds a request to its connection. Returns its id.
    fn begin_request(&mut self, ident: &Bytes, connection_id: &Bytes, credit: Option<u64>) -> ClientId {
        // Only the first request of a connection has credit. One that has it shows that the setting is on, for all
        // connections.
        self.uses_credit |= credit.is_some();
        let credit = credit.or(self.uses_credit.then_some(INITIAL_CREDIT));
        let bytes_written = match (&self.initial_bytes_written, parse_connection_id(connection_id)) {
            // A connection that is not in the snapshot was opened later.
            (Some(initial), Some(id)) => Some(initial.get(&id).copied().unwrap_or(0)),
            _ => None,
        };
        let flow_control = || FlowControl::new(credit, bytes_written);
        self.connections
            .get_or_insert(connection_id, ident, flow_control, Instant::now())
            .begin_request(connection_id)
    }
}

/// Ends the WebSocket of a removed connection, and aborts the handlers of its requests. The handler of an accepted
/// WebSocket is not aborted.
fn stop_connection(mut connection: ClientConnection<AbortHandle>) {
    if let Some(websocket) = &mut connection.websocket {
        websocket.disconnect(Close::BROKEN);
    }
    connection.into_tasks().for_each(|task| task.abort());
}

fn parse_connection_id(connection_id: &Bytes) -> Option<i64> {
    std::str::from_utf8(connection_id).ok()?.parse().ok()
}

/// Sleeps until `time`, if it is set.
async fn sleep_until(time: Option<Instant>) {
    if let Some(time) = time {
        tokio::time::sleep_until(time.into()).await;
    }
}

/// Waits for a snapshot. Never completes without a monitor.
async fn next_snapshot(monitor: &mut Option<ControlPortMonitor>) -> ConnectionsSnapshot {
    match monitor {
        Some(monitor) => monitor.next_snapshot().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

//! The loop that owns one link to a Mongrel2.

mod client_connection;
mod connection_table;
mod convert_request;
mod flow_control;
mod http1;
mod http_requests;
mod message_format;
mod message_socket;
mod outgoing;
mod pipeline;
mod respond;
pub(super) mod self_waking_task;
mod timers;
pub(super) mod websocket;
mod websocket_requests;

use super::codec::{Incoming, Mongrel2Request};
use super::control_port_monitor::{ConnectionsSnapshot, ControlPortMonitor};
use super::counts::Mongrel2Counts;
use super::instance_registry::RegisteredLink;
use super::{Settings, codec as wire};
use crate::handler::{Application, Stop};
use crate::mongrel2::server_link::{LinkEvent, ServerLink};
use crate::websocket::{ClientId as Ticket, Close};
use brubeck_zmtp::{Generation, LINGER, SendError};
use bytes::Bytes;
use client_connection::ClientConnection;
use connection_table::ConnectionTable;
use flow_control::FlowControl;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use websocket::{FrontEndEvent, FrontEndHandle};

/// How many requests of one Mongrel2 are worked on at once; more are answered with 503.
const IN_FLIGHT: usize = 1024;
/// How many of them may be of one connection.
const PIPELINED: usize = 64;
/// How many WebSockets one Mongrel2 may have.
const SOCKETS: usize = 8192;
/// How many messages may wait for Mongrel2, which takes them as fast as it takes anything, or not at all.
const MESSAGES: usize = 1024;
/// How many events are taken before what they brought is sent.
const BATCH: usize = 64;
/// How often things are looked at that nobody tells.
const TICK: Duration = Duration::from_secs(1);
/// How long requests of a new run wait for the control port, which tells what was written before.
const SETTLE: Duration = Duration::from_millis(500);
/// How much credit a connection has with `download.flow_control` when nothing is on its way to it.
const CREDIT: u64 = 102_400;

pub(in crate::mongrel2) struct FrontEnd {
    application: Arc<dyn Application>,
    settings: Settings,
    /// The `recv_spec`, for the services that are called on behalf of a request.
    replies_to: Bytes,
    registration: RegisteredLink,
    counts: Mongrel2Counts,
    /// The run of Mongrel2 whose requests are answered now.
    generation: Generation,
    /// Whether this Mongrel2 must not be answered.
    refused: bool,
    conversations: ConnectionTable<AbortHandle>,
    handlers: JoinSet<()>,
    sockets: usize,
    link: Arc<FrontEndHandle>,
    inbox: mpsc::Receiver<FrontEndEvent>,
    messages: VecDeque<Bytes>,
    /// Whether `download.flow_control` is on.
    credits: bool,
    watch: Option<ControlPortMonitor>,
    /// What was written to connections that were there before the first request of this run was seen.
    before: Option<HashMap<i64, u64>>,
    /// Since when this run is there; what the control port said before is about another one.
    since: Instant,
    /// Until when requests wait for the first word of the control port at most.
    settling: Option<Instant>,
    kept_alive: Instant,
    checked: Instant,
    stopping: bool,
}

impl FrontEnd {
    pub(in crate::mongrel2) fn new(
        application: Arc<dyn Application>,
        settings: Settings,
        registration: RegisteredLink,
        watch: Option<ControlPortMonitor>,
        counts: Mongrel2Counts,
    ) -> FrontEnd {
        let (events, inbox) = mpsc::channel(IN_FLIGHT);
        let now = Instant::now();
        FrontEnd {
            application,
            replies_to: Bytes::from(settings.recv_spec.clone()),
            settings,
            registration,
            counts,
            generation: 0,
            refused: false,
            conversations: ConnectionTable::new(),
            handlers: JoinSet::new(),
            sockets: 0,
            link: Arc::new(FrontEndHandle(events)),
            inbox,
            messages: VecDeque::new(),
            credits: false,
            watch,
            before: None,
            since: now,
            settling: None,
            kept_alive: now,
            checked: now,
            stopping: false,
        }
    }

    /// Serves one link until told to stop, and then until what was accepted is answered. `first`: what the link said
    /// already.
    pub(in crate::mongrel2) async fn serve(
        mut self,
        mut link: ServerLink,
        first: Option<LinkEvent>,
        mut stop: Stop,
    ) {
        if let Some(event) = first {
            self.take(event);
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.stopping || !self.is_idle() {
            let next = self.messages.front().cloned();
            let wake = self.conversations.wake();
            tokio::select! {
                () = stop.requested(), if !self.stopping => self.stop(),
                // Receiving never waits for sending: Mongrel2 stops taking replies when its notices pile up.
                event = link.inbound.recv(), if self.settling.is_none() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                Some(event) = self.inbox.recv(), if self.messages.len() < MESSAGES => self.hear(event),
                sent = link.outbound.send(self.generation, next.clone().unwrap_or_default()), if next.is_some() => {
                    if sent == Err(SendError::Closed) {
                        return;
                    }
                    self.sent(sent);
                }
                () = at(self.settling), if self.settling.is_some() => self.settling = None,
                () = at(wake), if wake.is_some() => self.conversations.awake(Instant::now()),
                status = told(&mut self.watch) => self.watched(status),
                Some(_) = self.handlers.join_next(), if !self.handlers.is_empty() => {}
                _ = tick.tick() => self.tick(),
            }
            self.catch_up(&mut link);
            self.flush(&link);
        }
        link.shutdown(LINGER).await;
    }

    /// Takes what else is there already, which leaves together with what was taken before.
    fn catch_up(&mut self, link: &mut ServerLink) {
        for _ in 0..BATCH {
            if self.settling.is_some() {
                break;
            }
            let Some(event) = link.inbound.try_recv() else {
                break;
            };
            self.take(event);
        }
        for _ in 0..BATCH {
            if self.messages.len() >= MESSAGES {
                break;
            }
            let Ok(event) = self.inbox.try_recv() else { break };
            self.hear(event);
        }
        while self.handlers.try_join_next().is_some() {}
    }

    fn is_idle(&self) -> bool {
        self.conversations.is_idle() && self.messages.is_empty() && self.handlers.is_empty()
    }

    /// Nothing more is taken; WebSockets and message sockets that are kept are closed, and everything else is answered.
    fn stop(&mut self) {
        self.stopping = true;
        let now = Instant::now();
        let (mut closes, mut kept) = (Vec::new(), Vec::new());
        for (_, conversation) in self.conversations.iter() {
            if conversation.is_idle() && conversation.is_kept() {
                kept.extend(
                    conversation
                        .listener
                        .as_ref()
                        .map(|listener| listener.ticket().clone()),
                );
            }
            if let Some(socket) = &mut conversation.socket {
                closes.extend(
                    socket
                        .shut(&Close::AWAY, now)
                        .map(|frame| (socket.ticket.clone(), frame)),
                );
            }
        }
        for (ticket, frame) in closes {
            self.reply(&ticket, [frame.into()], None);
        }
        for ticket in kept {
            self.shut(&ticket, &Close::AWAY);
        }
    }

    fn take(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up {
                generation,
                recv_ident,
            } => {
                tracing::debug!(generation, recv_ident = %recv_ident.escape_ascii(), "Mongrel2 takes replies");
                self.start_over(generation);
                self.settling = self.watch.as_ref().map(|_| Instant::now() + SETTLE);
                self.registration.subscribed(&recv_ident);
                let refused = self.registration.check().err();
                if let Some(error) = &refused {
                    tracing::error!(%error, "requests of this Mongrel2 are not answered");
                }
                self.refused = refused.is_some();
            }
            LinkEvent::Down { generation, reason } => {
                tracing::warn!(generation, reason, "the connection to Mongrel2 is lost");
                self.start_over(generation);
            }
            LinkEvent::Message { generation, .. } if generation != self.generation || self.refused => {}
            LinkEvent::Message { bytes, .. } => match wire::decode(&bytes) {
                Ok(Incoming::Request(request)) => self.ask(request),
                Ok(Incoming::Disconnect { conn_id, .. }) => self.gone(&conn_id),
                Ok(Incoming::Credits { conn_id, bytes, .. }) => self.conversations.credited(&conn_id, bytes),
                Err(error) => self.unreadable(&error),
            },
        }
    }

    /// Connections of another run of Mongrel2 are gone, and their numbers are given out again.
    fn start_over(&mut self, generation: Generation) {
        self.generation = generation;
        self.counts.add_stale(self.messages.len());
        self.messages.clear();
        self.credits = false;
        self.before = None;
        self.since = Instant::now();
        for conversation in self.conversations.forget_all() {
            self.sockets -= usize::from(conversation.socket.is_some());
            end(conversation);
        }
        if let Some(watch) = &mut self.watch {
            watch.ask();
        }
    }

    fn gone(&mut self, connection: &Bytes) {
        if let Some(conversation) = self.conversations.forget(connection) {
            self.sockets -= usize::from(conversation.socket.is_some());
            end(conversation);
        }
    }

    fn ask(&mut self, request: Mongrel2Request) {
        self.counts.add_requests(1);
        match request.headers.method().map(|method| &method[..]) {
            Some(b"WEBSOCKET") => self.frame(&request),
            Some(b"WEBSOCKET_HANDSHAKE") => self.handshake(&request),
            Some(b"JSON" | b"XML") => self.message(&request),
            None if request.headers.upload_stream().is_some() => self.part(&request),
            _ => self.http(&request),
        }
    }

    /// The connection of a request, and the number of the request.
    fn begin(&mut self, ident: &Bytes, connection: &Bytes, credit: Option<u64>) -> Ticket {
        self.credits |= credit.is_some();
        let credit = credit.or(self.credits.then_some(CREDIT));
        let watched = match (&self.before, number(connection)) {
            (Some(before), Some(number)) => Some(before.get(&number).copied().unwrap_or(0)),
            _ => None,
        };
        let flow_control = || FlowControl::new(credit, watched);
        let conversation = self
            .conversations
            .hear(connection, ident, flow_control, Instant::now());
        conversation.begin(connection)
    }
}

/// Everything that ran for a connection sees that it is gone.
fn end(mut conversation: ClientConnection<AbortHandle>) {
    if let Some(socket) = &mut conversation.socket {
        socket.gone(Close::BROKEN);
    }
    conversation.end().for_each(|task| task.abort());
}

fn number(connection: &Bytes) -> Option<i64> {
    std::str::from_utf8(connection).ok()?.parse().ok()
}

async fn at(wake: Option<Instant>) {
    if let Some(wake) = wake {
        tokio::time::sleep_until(wake.into()).await;
    }
}

async fn told(watch: &mut Option<ControlPortMonitor>) -> ConnectionsSnapshot {
    match watch {
        Some(watch) => watch.told().await,
        None => std::future::pending().await,
    }
}

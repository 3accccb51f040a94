//! The loop that owns one link to a Mongrel2.

use super::Settings;
use super::conversation::{Cast, Conversation, Conversations};
use super::counts::Mongrel2Counts;
use super::event::Event;
use super::http1::Persistence;
use super::neighbours::Neighbour;
use super::pace::Pace;
use super::pipeline::{End, Piece};
use super::request::{self, Refusal};
use super::respond::{Asking, Responding, refuse};
use super::socket::{Link, Pulse, Reaction, Socket};
use super::upload::{self, Announced, Upload};
use super::watch::{Status, Watch};
use crate::connect::transport::{Generation, LINGER, LinkEvent, Mongrel2Link, SendError};
use crate::connect::{Application, Stop};
use crate::reply::Body;
use crate::websocket::{Close, Offer, Seat as Ticket, close_frame, ping_frame};
use crate::wire::mongrel2::{self as wire, Control, Incoming, Request};
use bytes::Bytes;
use http::StatusCode;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

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
/// How much credit a connection has with `download.flow_control` when nothing is on its way to it.
const CREDIT: u64 = 102_400;

pub(super) struct Handler {
    application: Arc<dyn Application>,
    settings: Settings,
    neighbour: Neighbour,
    counts: Mongrel2Counts,
    /// The run of Mongrel2 whose requests are answered now.
    generation: Generation,
    /// Whether this Mongrel2 must not be answered.
    refused: bool,
    conversations: Conversations<AbortHandle>,
    handlers: JoinSet<()>,
    sockets: usize,
    link: Arc<Link>,
    inbox: mpsc::Receiver<Event>,
    messages: VecDeque<Bytes>,
    /// Whether `download.flow_control` is on.
    credits: bool,
    watch: Option<Watch>,
    /// What was written to connections that were there before the first request of this run was seen.
    before: Option<HashMap<i64, u64>>,
    kept_alive: Instant,
    checked: Instant,
    stopping: bool,
}

impl Handler {
    pub(super) fn new(
        application: Arc<dyn Application>,
        settings: Settings,
        neighbour: Neighbour,
        watch: Option<Watch>,
        counts: Mongrel2Counts,
    ) -> Handler {
        let (events, inbox) = mpsc::channel(IN_FLIGHT);
        let now = Instant::now();
        Handler {
            application,
            settings,
            neighbour,
            counts,
            generation: 0,
            refused: false,
            conversations: Conversations::new(),
            handlers: JoinSet::new(),
            sockets: 0,
            link: Arc::new(Link(events)),
            inbox,
            messages: VecDeque::new(),
            credits: false,
            watch,
            before: None,
            kept_alive: now,
            checked: now,
            stopping: false,
        }
    }

    /// Serves one link until told to stop, and then until what was accepted is answered. `first`: what the link said
    /// already.
    pub(super) async fn serve(mut self, mut link: Mongrel2Link, first: Option<LinkEvent>, mut stop: Stop) {
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
                event = link.inbound.recv() => match event {
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
                () = at(wake), if wake.is_some() => self.conversations.awake(Instant::now()),
                status = told(&mut self.watch) => self.watched(status),
                Some(_) = self.handlers.join_next(), if !self.handlers.is_empty() => {}
                _ = tick.tick() => self.tick(),
            }
            // What else is there already leaves together with it.
            for _ in 0..BATCH {
                if self.messages.len() >= MESSAGES {
                    break;
                }
                let Ok(event) = self.inbox.try_recv() else { break };
                self.hear(event);
            }
            self.flush(&link);
        }
        link.shutdown(LINGER).await;
    }

    fn is_idle(&self) -> bool {
        self.conversations.is_idle() && self.messages.is_empty() && self.handlers.is_empty()
    }

    /// Nothing more is taken; WebSockets are closed, and everything else is answered.
    fn stop(&mut self) {
        self.stopping = true;
        let now = Instant::now();
        let mut closes = Vec::new();
        for (_, conversation) in self.conversations.iter() {
            if let Some(socket) = &mut conversation.socket {
                closes.extend(socket.shut(&Close::AWAY, now).map(|frame| (socket.ticket.clone(), frame)));
            }
        }
        for (ticket, frame) in closes {
            self.reply(&ticket, [frame.into()], None);
        }
    }

    // ---- what Mongrel2 says ----------------------------------------------------------------------------------------

    fn take(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up {
                generation,
                recv_ident,
            } => {
                tracing::debug!(generation, recv_ident = %recv_ident.escape_ascii(), "Mongrel2 takes replies");
                self.start_over(generation);
                self.neighbour.subscribed(&recv_ident);
                let refused = self.neighbour.check().err();
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

    fn ask(&mut self, request: Request) {
        self.counts.add_requests(1);
        match request.headers.method().map(|method| &method[..]) {
            Some(b"WEBSOCKET") => self.frame(&request),
            Some(b"WEBSOCKET_HANDSHAKE") => self.handshake(&request),
            Some(b"JSON" | b"XML") => self.close(&request.ident, &request.conn_id),
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
        let pace = || Pace::new(credit, watched);
        let conversation = self.conversations.hear(connection, ident, pace, Instant::now());
        conversation.begin(connection)
    }

    fn http(&mut self, request: &Request) {
        let store = self.settings.store.as_ref();
        let announced = upload::announced(&request.headers, &request.body, store);
        if let Announced::File { name, path, done: true } = &announced {
            return self.stored(&request.conn_id, name, path.clone());
        }
        let mut asked = request::read(request, &self.settings.recv_spec);
        let ticket = self.begin(&request.ident, &request.conn_id, request.headers.download_credits());
        if announced != Announced::Whole {
            // Mongrel2 may have taken the beginning of the next request for the end of this body.
            asked.persistence = Persistence::Close;
        }
        let head = matches!(&asked.request, Ok(request) if request.method() == http::Method::HEAD);
        let mut head_of = match std::mem::replace(&mut asked.request, Err((StatusCode::BAD_REQUEST, ""))) {
            Ok(request) => request,
            Err(refusal) => return self.hear(refuse(&ticket, refusal, head, Persistence::Close)),
        };
        if let Some(refusal) = self.overload(&ticket, IN_FLIGHT) {
            return self.hear(refuse(&ticket, refusal, head, Persistence::Close));
        }
        let length = upload::length(&request.headers).unwrap_or_default();
        let (coming, body) = match announced {
            Announced::Whole => (None, Body::from(request.body.clone())),
            Announced::File { name, .. } => {
                let (upload, body, waiting) = Upload::file(name, length);
                head_of.extensions_mut().insert(waiting);
                (Some(upload), body)
            }
            Announced::Parts { last, .. } => {
                let (upload, body) =
                    Upload::parts(ticket.clone(), length, &request.body, last, self.link.clone());
                (Some(upload), body)
            }
            Announced::Nowhere => {
                let refusal = (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
                return self.hear(refuse(&ticket, refusal, head, Persistence::Close));
            }
        };
        let responding = Responding::new(ticket.clone(), &asked, self.link.0.clone());
        let request = head_of.map(|()| body);
        let task = self
            .handlers
            .spawn(responding.answer(self.application.clone(), request));
        if let Some(conversation) = self.conversations.of(&ticket) {
            conversation.upload = coming;
            conversation.runs(&ticket, task);
        }
    }

    /// Why no more can be done now.
    fn overload(&mut self, ticket: &Ticket, limit: usize) -> Option<Refusal> {
        let running = self.conversations.of(ticket).map_or(0, |conversation| conversation.running());
        let busy = self.handlers.len().saturating_sub(self.sockets) >= limit || running >= PIPELINED;
        if busy && !self.stopping {
            self.counts.add_shed(1);
        }
        let refusal = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        (self.stopping || busy).then_some(refusal)
    }

    /// What cannot be read is answered where it still says who asked.
    fn unreadable(&mut self, error: &wire::DecodeError) {
        tracing::warn!(%error, "a message of Mongrel2 was refused");
        self.counts.add_refused(1);
        if let Some((ident, connection)) = error.connection() {
            let ticket = self.begin(&ident, &connection, None);
            let refusal = (StatusCode::BAD_REQUEST, "Bad Request");
            self.hear(refuse(&ticket, refusal, false, Persistence::Close));
        }
    }

    /// Mongrel2 has written an upload to its end; nobody else removes the file.
    fn stored(&mut self, connection: &Bytes, name: &str, path: std::path::PathBuf) {
        let upload = self
            .conversations
            .get(connection)
            .and_then(|conversation| conversation.upload.as_mut())
            .filter(|upload| upload.is_file(name));
        let written = match upload {
            Some(upload) => upload.written(path),
            // Its handler has answered, or it began before this process did.
            None => crate::upload::Stored::open(path, None).map(drop),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "an upload that Mongrel2 wrote cannot be read");
            self.gone(connection);
        }
    }

    fn part(&mut self, request: &Request) {
        let part = upload::announced(&request.headers, &request.body, None);
        let upload = self
            .conversations
            .get(&request.conn_id)
            .and_then(|conversation| conversation.upload.as_ref());
        match (upload, part) {
            (Some(upload), Announced::Parts { last, .. }) => upload.part(&request.body, last),
            _ => self.cancel(&request.ident, &request.conn_id),
        }
    }

    // ---- WebSockets ------------------------------------------------------------------------------------------------

    fn handshake(&mut self, request: &Request) {
        let asked = request::read(request, &self.settings.recv_spec);
        let ticket = self.begin(&request.ident, &request.conn_id, request.headers.download_credits());
        let versions = request.headers.get_all("sec-websocket-version");
        let speaks = versions.last().is_some_and(|version| version == "13");
        let too_many = self.sockets >= SOCKETS;
        let refusal = match &asked.request {
            Err(refusal) => Some(*refusal),
            Ok(_) if !speaks => Some((StatusCode::UPGRADE_REQUIRED, "only version 13 is spoken here")),
            Ok(_) if too_many => Some((StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")),
            Ok(_) => self.overload(&ticket, IN_FLIGHT),
        };
        if let Some(refusal) = refusal {
            return self.hear(refuse(&ticket, refusal, false, Persistence::Close));
        }
        let responding = Responding::new(ticket.clone(), &asked, self.link.0.clone());
        let Ok(head) = asked.request else { return };
        let limit = self.application.body_limit();
        let (socket, ours) = Socket::new(ticket.clone(), limit, &self.link);
        let asking = Asking {
            sender: ours.sender(),
            offer: Offer::new(ours),
            accept: request.body.clone(),
        };
        let application = self.application.clone();
        let task = self
            .handlers
            .spawn(responding.open(application, head.map(|()| Body::empty()), asking));
        if let Some(conversation) = self.conversations.of(&ticket) {
            conversation.runs(&ticket, task);
            conversation.socket = Some(socket);
            self.sockets += 1;
        }
    }

    fn frame(&mut self, request: &Request) {
        let now = Instant::now();
        let known = self.conversations.get(&request.conn_id);
        let Some(conversation) = known.filter(|conversation| conversation.socket.is_some()) else {
            // It was opened by a process that is no more; a page that is told so connects again.
            let restart = close_frame(&Close::new(1012, ""));
            let ticket = self.begin(&request.ident, &request.conn_id, None);
            self.reply(&ticket, [restart.into()], Some(End::Close));
            return;
        };
        conversation.touch(now);
        let Some(socket) = &mut conversation.socket else { return };
        let ticket = socket.ticket.clone();
        let reaction = match request.headers.flags() {
            Some(first) => socket.hear(first, request.body.clone()),
            None => Reaction::default(),
        };
        self.react(&ticket, reaction);
    }

    fn react(&mut self, ticket: &Ticket, Reaction { answers, close }: Reaction) {
        if close {
            self.drop_socket(ticket);
        }
        if !answers.is_empty() || close {
            let pieces = answers.into_iter().map(Piece::from);
            self.reply(ticket, pieces, close.then_some(End::Close));
        }
    }

    fn drop_socket(&mut self, ticket: &Ticket) {
        if let Some(conversation) = self.conversations.of(ticket)
            && conversation.socket.take().is_some()
        {
            self.sockets -= 1;
        }
    }

    // ---- what handlers say -----------------------------------------------------------------------------------------

    fn hear(&mut self, event: Event) {
        match event {
            Event::Reply { ticket, pieces, end } => self.reply(&ticket, pieces, end),
            Event::Open { ticket, head } => {
                let Some(conversation) = self.conversations.of(&ticket) else {
                    return self.counts.add_stale(1);
                };
                conversation.outlives(&ticket);
                let reaction = conversation.socket.as_mut().map(Socket::open);
                self.reply(&ticket, [head.into()], None);
                self.react(&ticket, reaction.unwrap_or_default());
                if self.stopping {
                    self.shut(&ticket, &Close::AWAY);
                }
            }
            Event::Shut { ticket, close } => self.shut(&ticket, &close),
            Event::Cast { to, bytes } => self.cast(&to, &bytes),
            Event::Allow { ticket, bytes } => {
                if let Some(conversation) = self.conversations.of(&ticket) {
                    let ident = conversation.ident.clone();
                    self.control(&ident, &[ticket.connection], Control::Credits(bytes));
                }
            }
        }
    }

    fn reply(&mut self, ticket: &Ticket, pieces: impl IntoIterator<Item = Piece>, end: Option<End>) {
        match self.conversations.reply(ticket, pieces, end) {
            None => self.counts.add_stale(1),
            Some(stopped) => {
                stopped.into_iter().for_each(|task| task.abort());
                if end.is_some() {
                    self.drop_socket(ticket);
                    if let Some(conversation) = self.conversations.of(ticket) {
                        conversation.upload = None;
                    }
                }
            }
        }
    }

    fn shut(&mut self, ticket: &Ticket, close: &Close) {
        let socket = self
            .conversations
            .of(ticket)
            .and_then(|conversation| conversation.socket.as_mut());
        if let Some(frame) = socket.and_then(|socket| socket.shut(close, Instant::now())) {
            self.reply(ticket, [frame.into()], None);
        }
    }

    /// Sends the same to many: to those who wait for nothing else in one message, to the others after what they wait for.
    fn cast(&mut self, to: &[Ticket], bytes: &Bytes) {
        let now = Instant::now();
        let mut together: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
        for ticket in to {
            match self
                .conversations
                .cast(ticket, bytes.len(), || bytes.clone().into(), now)
            {
                Cast::Now => {
                    if let Some(conversation) = self.conversations.of(ticket) {
                        let ident = conversation.ident.clone();
                        together.entry(ident).or_default().push(ticket.connection.clone());
                    }
                }
                Cast::Later | Cast::Gone => {}
                Cast::TooSlow => self.cut(ticket),
            }
        }
        for (ident, ids) in together {
            match wire::reply(&ident, &ids, bytes) {
                Ok(messages) => self.messages.extend(messages),
                Err(error) => tracing::error!(%error, "a message for Mongrel2 could not be written"),
            }
        }
    }

    /// A client that does not read is let go.
    fn cut(&mut self, ticket: &Ticket) {
        self.counts.add_cut(1);
        let Some(conversation) = self.conversations.forget(&ticket.connection) else { return };
        tracing::debug!("a client that does not read is cut off");
        let ident = conversation.ident.clone();
        self.sockets -= usize::from(conversation.socket.is_some());
        end(conversation);
        self.cancel(&ident, &ticket.connection);
    }

    // ---- what goes to Mongrel2 -------------------------------------------------------------------------------------

    /// Hands over what may go now: one message for each client that is due.
    fn flush(&mut self, link: &Mongrel2Link) {
        let now = Instant::now();
        while self.messages.len() < MESSAGES {
            let Some(outgoing) = self.conversations.next(now) else { break };
            let to = [outgoing.connection];
            if !outgoing.bytes.is_empty() {
                match wire::reply(&outgoing.ident, &to, &outgoing.bytes) {
                    Ok(messages) => self.messages.extend(messages),
                    Err(error) => tracing::error!(%error, "a reply for Mongrel2 could not be written"),
                }
            }
            if outgoing.close {
                let [connection] = &to;
                self.close(&outgoing.ident, connection);
            }
        }
        if let Some(watch) = &mut self.watch
            && self.conversations.wait_for_control()
        {
            watch.ask();
        }
        while let Some(message) = self.messages.front() {
            match link.outbound.try_send(self.generation, message.clone()) {
                // What waits longer is handed over when there is room.
                Err(SendError::Full | SendError::Closed) => break,
                sent => self.sent(sent),
            }
        }
    }

    fn sent(&mut self, sent: Result<(), SendError>) {
        self.messages.pop_front();
        match sent {
            Ok(()) => self.counts.add_messages(1),
            Err(_) => self.counts.add_stale(1),
        }
    }

    fn close(&mut self, ident: &Bytes, connection: &Bytes) {
        match wire::close(ident, &[connection]) {
            Ok(messages) => self.messages.extend(messages),
            Err(error) => tracing::error!(%error, "a connection of Mongrel2 could not be closed"),
        }
    }

    fn cancel(&mut self, ident: &Bytes, connection: &Bytes) {
        self.control(ident, std::slice::from_ref(connection), Control::Cancel);
    }

    fn control(&mut self, ident: &Bytes, connections: &[Bytes], command: Control) {
        match wire::control(ident, connections, command) {
            Ok(messages) => self.messages.extend(messages),
            Err(error) => tracing::error!(%error, "a command for Mongrel2 could not be written"),
        }
    }

    // ---- what nobody says ------------------------------------------------------------------------------------------

    fn tick(&mut self) {
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
            self.reply(&ticket, [], Some(End::Close));
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
    fn keep_alive(&mut self) {
        let mut waiting: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
        let (mut pinged, mut dead) = (Vec::new(), Vec::new());
        for (connection, conversation) in self.conversations.iter() {
            if conversation.is_idle() {
                continue;
            }
            let ids = waiting.entry(conversation.ident.clone()).or_default();
            ids.push(connection.clone());
            if let Some(socket) = &mut conversation.socket {
                match socket.pulse() {
                    Pulse::Rest => {}
                    Pulse::Ping => pinged.push(socket.ticket.clone()),
                    Pulse::Dead => dead.push(socket.ticket.clone()),
                }
            }
        }
        for (ident, ids) in waiting {
            self.control(&ident, &ids, Control::KeepAlive);
        }
        self.cast(&pinged, &ping_frame());
        for ticket in dead {
            self.drop_socket(&ticket);
            self.reply(&ticket, [], Some(End::Close));
        }
    }

    /// The control port answered.
    fn watched(&mut self, status: Status) {
        let now = Instant::now();
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

/// Everything that ran for a connection sees that it is gone.
fn end(mut conversation: Conversation<AbortHandle>) {
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

async fn told(watch: &mut Option<Watch>) -> Status {
    match watch {
        Some(watch) => watch.told().await,
        None => std::future::pending().await,
    }
}

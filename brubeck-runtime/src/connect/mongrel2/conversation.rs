//! The connections of browsers, each with what it waits for and what waits for it.

use super::pace::{Pace, Room};
use super::pipeline::{Due, End, Piece, Pipeline};
use super::socket::Socket;
use super::upload::Upload;
use crate::websocket::Seat as Ticket;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Small pieces are joined up to this size.
const JOINED: usize = 256 << 10;
/// What may wait for one client beyond what its own handler has waiting.
const WAITING: usize = 4 << 20;
const WAITING_PIECES: usize = 1024;
/// After this long even a connection that must be remembered to its end is taken to be gone.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// One connection of a browser to Mongrel2.
#[derive(Debug)]
pub(super) struct Conversation<T> {
    /// The Mongrel2 it is a connection to.
    pub(super) ident: Bytes,
    serial: u64,
    pipeline: Pipeline<T>,
    pub(super) socket: Option<Socket>,
    pub(super) upload: Option<Upload>,
    waiting: VecDeque<Piece>,
    waiting_bytes: usize,
    /// Whether it is closed after what is waiting.
    closing: bool,
    pace: Pace,
    heard: Instant,
    /// Whether it stands in the list of those that can be sent something.
    listed: bool,
}

/// All connections that are known.
#[derive(Debug)]
pub(super) struct Conversations<T> {
    by_connection: HashMap<Bytes, Conversation<T>>,
    serial: u64,
    ready: VecDeque<Bytes>,
    /// Those that wait for their clients to read, and until when at most.
    blocked: BTreeMap<Bytes, Option<Instant>>,
}

/// One message for one client.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) ident: Bytes,
    pub(super) connection: Bytes,
    /// Empty where nothing but the close is left.
    pub(super) bytes: Bytes,
    pub(super) close: bool,
}

/// Whether a client could be sent something, or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// It is to be sent it now, together with others.
    Now,
    /// It gets it after what waits for it already.
    Later,
    /// It is not there any more.
    Gone,
    /// Too much is waiting for it.
    TooSlow,
}

impl<T> Conversations<T> {
    pub(super) fn new() -> Conversations<T> {
        Conversations {
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
        pace: impl FnOnce() -> Pace,
        now: Instant,
    ) -> &mut Conversation<T> {
        let serial = &mut self.serial;
        let conversation = self.by_connection.entry(connection.clone()).or_insert_with(|| {
            *serial += 1;
            Conversation {
                ident: ident.clone(),
                serial: *serial,
                pipeline: Pipeline::new(),
                socket: None,
                upload: None,
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                closing: false,
                pace: pace(),
                heard: now,
                listed: false,
            }
        });
        conversation.heard = now;
        conversation
    }

    pub(super) fn get(&mut self, connection: &Bytes) -> Option<&mut Conversation<T>> {
        self.by_connection.get_mut(connection)
    }

    /// The connection of a ticket; one that was forgotten and came again is another one, though its name is the same.
    pub(super) fn of(&mut self, ticket: &Ticket) -> Option<&mut Conversation<T>> {
        self.by_connection
            .get_mut(&ticket.connection)
            .filter(|conversation| conversation.serial == ticket.serial)
    }

    /// Some of the reply to a request, or all of it. `false` where nobody waits for it any more.
    pub(super) fn reply(
        &mut self,
        ticket: &Ticket,
        pieces: impl IntoIterator<Item = Piece>,
        end: Option<End>,
    ) -> Option<Vec<T>> {
        let conversation = self
            .by_connection
            .get_mut(&ticket.connection)
            .filter(|conversation| conversation.serial == ticket.serial)?;
        let due = conversation.pipeline.reply(ticket.number, pieces, end);
        let stopped = conversation.put(due);
        list(&mut self.ready, conversation, &ticket.connection);
        Some(stopped)
    }

    /// Whether this client can be sent so many bytes now, out of the order of its requests. Those that cannot get a copy
    /// of it later, made by `piece`.
    pub(super) fn cast(
        &mut self,
        ticket: &Ticket,
        bytes: usize,
        piece: impl FnOnce() -> Piece,
        now: Instant,
    ) -> Cast {
        let Some(conversation) = self.of(ticket) else {
            return Cast::Gone;
        };
        if conversation.closing {
            return Cast::Gone;
        }
        if conversation.waiting.is_empty()
            && matches!(conversation.pace.room(now), Room::For(room) if room >= bytes as u64)
        {
            conversation.pace.sent(bytes as u64, now);
            return Cast::Now;
        }
        if conversation.waiting_bytes + bytes > WAITING || conversation.waiting.len() >= WAITING_PIECES {
            return Cast::TooSlow;
        }
        conversation.waiting_bytes += bytes;
        conversation.waiting.push_back(piece());
        // Looked up again for the list, which a borrow of all connections would not allow.
        if let Some(conversation) = self.by_connection.get_mut(&ticket.connection) {
            list(&mut self.ready, conversation, &ticket.connection);
        }
        Cast::Later
    }

    /// The next message for any client, if there is one that may be sent now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Outgoing> {
        while let Some(connection) = self.ready.pop_front() {
            let Some(conversation) = self.by_connection.get_mut(&connection) else {
                continue;
            };
            conversation.listed = false;
            match conversation.take(now) {
                Take::Nothing => {}
                Take::Blocked(until) => {
                    self.blocked.insert(connection, until);
                }
                Take::Message(bytes) => {
                    let close = conversation.closing && conversation.waiting.is_empty();
                    let ident = conversation.ident.clone();
                    if close {
                        self.by_connection.remove(&connection);
                    } else {
                        list(&mut self.ready, conversation, &connection);
                    }
                    return Some(Outgoing {
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
            conversation.pace.credited(bytes);
            self.blocked.remove(connection);
            self.look_at(connection);
        }
    }

    /// Mongrel2 wrote so many bytes in all to a client.
    pub(super) fn written(&mut self, connection: &Bytes, bytes: u64, now: Instant) {
        if let Some(conversation) = self.by_connection.get_mut(connection) {
            conversation.pace.written(bytes, now);
            if self.blocked.remove(connection).is_some() {
                self.look_at(connection);
            }
        }
    }

    /// The control port says nothing any more.
    pub(super) fn unwatched(&mut self, now: Instant) {
        for conversation in self.by_connection.values_mut() {
            conversation.pace.unwatched(now);
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
                .is_some_and(|conversation| conversation.pace.waits_for_control())
        })
    }

    fn look_at(&mut self, connection: &Bytes) {
        if let Some(conversation) = self.by_connection.get_mut(connection) {
            list(&mut self.ready, conversation, connection);
        }
    }

    /// The connection is gone: what ran on its behalf comes back, replies still to come are dropped.
    pub(super) fn forget(&mut self, connection: &Bytes) -> Option<Conversation<T>> {
        self.blocked.remove(connection);
        self.by_connection.remove(connection)
    }

    /// All connections are gone.
    pub(super) fn forget_all(&mut self) -> impl Iterator<Item = Conversation<T>> + use<T> {
        self.ready.clear();
        self.blocked.clear();
        std::mem::take(&mut self.by_connection).into_values()
    }

    /// Forgets connections of which nothing need be known any more.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.by_connection.retain(|_, conversation| {
            let old = now.saturating_duration_since(conversation.heard) > FORGOTTEN;
            !conversation.is_idle() || !(conversation.pace.is_quiet(now) || old)
        });
    }

    /// The names of connections, with the time each was heard of last.
    pub(super) fn iter(&mut self) -> impl Iterator<Item = (&Bytes, &mut Conversation<T>)> {
        self.by_connection.iter_mut()
    }

    /// Whether no reply is waited for and nothing is to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.by_connection.values().all(Conversation::is_idle)
    }
}

fn list<T>(ready: &mut VecDeque<Bytes>, conversation: &mut Conversation<T>, connection: &Bytes) {
    let something = !conversation.waiting.is_empty() || conversation.closing;
    if something && !conversation.listed {
        conversation.listed = true;
        ready.push_back(connection.clone());
    }
}

enum Take {
    Nothing,
    Blocked(Option<Instant>),
    Message(Bytes),
}

impl<T> Conversation<T> {
    /// A request came.
    pub(super) fn begin(&mut self, connection: &Bytes) -> Ticket {
        if self.pipeline.is_idle() && self.waiting.is_empty() {
            self.pace.asked_again();
        }
        Ticket {
            connection: connection.clone(),
            serial: self.serial,
            number: self.pipeline.begin(),
        }
    }

    /// This runs on behalf of a request; it is given back when the connection is gone.
    pub(super) fn runs(&mut self, ticket: &Ticket, task: T) {
        self.pipeline.runs(ticket.number, task);
    }

    /// What ran on behalf of a request goes on when the connection is gone.
    pub(super) fn outlives(&mut self, ticket: &Ticket) {
        self.pipeline.outlives(ticket.number);
    }

    pub(super) fn running(&self) -> usize {
        self.pipeline.running()
    }

    pub(super) fn touch(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Whether somebody works for it or it is sent something.
    pub(super) fn is_idle(&self) -> bool {
        self.socket.is_none() && self.pipeline.is_idle() && self.waiting.is_empty() && !self.closing
    }

    /// Ends it: what ran on its behalf comes back.
    pub(super) fn end(mut self) -> impl Iterator<Item = T> + use<T> {
        self.pipeline.stop()
    }

    fn put(&mut self, due: Due) -> Vec<T> {
        if self.closing {
            return Vec::new();
        }
        for piece in due.pieces {
            // An empty message would close the connection.
            if !piece.bytes.is_empty() {
                self.waiting_bytes += piece.bytes.len();
                self.waiting.push_back(piece);
            }
        }
        self.closing = due.close;
        match due.close {
            true => self.pipeline.stop().collect(),
            false => Vec::new(),
        }
    }

    /// Joins what may go now into one message.
    fn take(&mut self, now: Instant) -> Take {
        if self.waiting.is_empty() && !self.closing {
            return Take::Nothing;
        }
        let room = match self.pace.room(now) {
            Room::For(room) => usize::try_from(room).unwrap_or(usize::MAX),
            // A close has no bytes, and with credit only bytes count.
            Room::After(_) if self.waiting.is_empty() && self.pace.counts_bytes() => 0,
            Room::After(until) => return Take::Blocked(until),
        };
        let mut joined = BytesMut::new();
        let mut first = Bytes::new();
        while let Some(piece) = self.waiting.front_mut() {
            let have = first.len() + joined.len();
            let left = room.saturating_sub(have);
            if left == 0 || (have > 0 && have + piece.bytes.len() > JOINED) {
                break;
            }
            let bytes = piece.bytes.split_to(piece.bytes.len().min(left));
            let whole = piece.bytes.is_empty();
            self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes.len());
            // One piece alone, as most replies are, is not copied.
            match (first.is_empty(), joined.is_empty()) {
                (true, true) => first = bytes,
                (false, true) => {
                    joined.extend_from_slice(&first);
                    joined.extend_from_slice(&bytes);
                    first.clear();
                }
                _ => joined.extend_from_slice(&bytes),
            }
            if whole {
                self.waiting.pop_front();
            }
        }
        let message = if joined.is_empty() { first } else { joined.freeze() };
        self.pace.sent(message.len() as u64, now);
        Take::Message(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(credit: Option<u64>) -> (Conversations<()>, Ticket, Instant) {
        let mut all = Conversations::new();
        let now = Instant::now();
        let id = Bytes::from("7");
        let ticket = all
            .hear(&id, &Bytes::from("m2"), || Pace::new(credit, None), now)
            .begin(&id);
        (all, ticket, now)
    }

    fn piece(bytes: &[u8]) -> Piece {
        Bytes::copy_from_slice(bytes).into()
    }

    #[test]
    fn what_is_ready_leaves_as_one_message() {
        let (mut all, ticket, now) = with(None);
        for part in [&b"a"[..], b"b", b"c"] {
            all.reply(&ticket, [piece(part)], None).unwrap();
        }
        let sent = all.next(now).unwrap();
        assert_eq!((&sent.bytes[..], sent.close), (&b"abc"[..], false));
        assert!(all.next(now).is_none());
        all.reply(&ticket, [piece(b"d")], Some(End::Close)).unwrap();
        let sent = all.next(now).unwrap();
        assert_eq!((&sent.bytes[..], sent.close), (&b"d"[..], true));
        assert!(all.is_idle());
        assert!(all.reply(&ticket, [piece(b"late")], None).is_none());
    }

    #[test]
    fn a_slow_client_is_never_sent_more_than_it_may_have_waiting() {
        let (mut all, ticket, now) = with(None);
        let mut sent = 0;
        for _ in 0..1000 {
            all.reply(&ticket, [piece(&[b'x'; 1000])], None).unwrap();
            while all.next(now).is_some() {
                sent += 1;
            }
        }
        assert_eq!(sent, super::super::pace::MOST);
        let wake = all.wake().unwrap();
        all.awake(wake);
        let next = all.next(wake).unwrap();
        assert!(next.bytes.len() > 100_000, "{}", next.bytes.len());
    }

    #[test]
    fn credit_cuts_a_reply_into_pieces() {
        let (mut all, ticket, now) = with(Some(10));
        all.reply(&ticket, [piece(&[b'x'; 25])], Some(End::Close)).unwrap();
        assert_eq!(all.next(now).unwrap().bytes.len(), 10);
        assert!(all.next(now).is_none());
        all.credited(&"7".into(), 10);
        assert_eq!(all.next(now).unwrap().bytes.len(), 10);
        all.credited(&"7".into(), 10);
        let last = all.next(now).unwrap();
        assert_eq!((last.bytes.len(), last.close), (5, true));
    }

    #[test]
    fn a_reply_for_a_connection_that_went_and_came_again_is_dropped() {
        let (mut all, old, now) = with(None);
        all.forget(&"7".into()).unwrap();
        let new = all
            .hear(&"7".into(), &"m2".into(), || Pace::new(None, None), now)
            .begin(&"7".into());
        assert!(all.reply(&old, [piece(b"stale")], Some(End::Open)).is_none());
        assert!(all.reply(&new, [piece(b"fresh")], Some(End::Open)).is_some());
        assert_eq!(&all.next(now).unwrap().bytes[..], b"fresh");
        all.sweep(now + Duration::from_secs(1));
        assert!(all.get(&"7".into()).is_none());
    }

    #[test]
    fn a_cast_waits_behind_what_waits_already() {
        let (mut all, ticket, now) = with(None);
        let cast = |all: &mut Conversations<()>| all.cast(&ticket, 1, || piece(b"c"), now);
        assert_eq!(cast(&mut all), Cast::Now);
        all.reply(&ticket, [piece(b"a")], None).unwrap();
        assert_eq!(cast(&mut all), Cast::Later);
        assert_eq!(&all.next(now).unwrap().bytes[..], b"ac");
        while cast(&mut all) == Cast::Now {}
        let slow = (0..2000).map(|_| cast(&mut all)).find(|cast| *cast != Cast::Later);
        assert_eq!(slow, Some(Cast::TooSlow));
    }
}

//! Replies in the order of their requests: Mongrel2 writes what it is given in the order in which it comes, and hands
//! over pipelined requests all at once.

use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::sync::OwnedSemaphorePermit;

/// The requests of one connection that wait for their replies. `T` stands for what runs on behalf of one.
#[derive(Debug)]
pub(in crate::mongrel2) struct Pipeline<T> {
    /// The number of the next request.
    next: u64,
    /// The request whose reply is sent next.
    due: u64,
    running: BTreeMap<u64, T>,
    waiting: BTreeMap<u64, BufferedResponse>,
    /// The request after whose reply the connection is closed, where that is known.
    last: Option<u64>,
    closed: bool,
}

/// What there is of a reply that is not due yet.
#[derive(Debug, Default)]
struct BufferedResponse {
    pieces: Vec<OutboundChunk>,
    end: Option<ResponseEnd>,
}

/// A piece of what a client is sent.
#[derive(Debug)]
pub(in crate::mongrel2) struct OutboundChunk {
    pub(super) bytes: Bytes,
    /// Its place among what whoever made it may have waiting; given back when it is handed over.
    _place: Option<OwnedSemaphorePermit>,
}

/// What happens to a connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum ResponseEnd {
    /// The next request is answered.
    Open,
    /// It is closed.
    Close,
}

impl From<Bytes> for OutboundChunk {
    fn from(bytes: Bytes) -> OutboundChunk {
        OutboundChunk { bytes, _place: None }
    }
}

impl OutboundChunk {
    /// A piece that takes up room until it is handed over.
    pub(super) fn placed(bytes: Bytes, place: OwnedSemaphorePermit) -> OutboundChunk {
        OutboundChunk {
            bytes,
            _place: Some(place),
        }
    }
}

/// What can be sent now.
#[derive(Debug, Default)]
pub(in crate::mongrel2) struct ReadyChunks {
    pub(super) pieces: Vec<OutboundChunk>,
    pub(super) close: bool,
}

impl<T> Pipeline<T> {
    pub(super) fn new() -> Pipeline<T> {
        Pipeline {
            next: 0,
            due: 0,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            last: None,
            closed: false,
        }
    }

    /// A request came; its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// This runs on behalf of the request; it is given back when the connection is forgotten.
    pub(super) fn runs(&mut self, number: u64, task: T) {
        if number >= self.due {
            self.running.insert(number, task);
        }
    }

    /// What runs on behalf of the request goes on when the connection is forgotten.
    pub(super) fn outlives(&mut self, number: u64) {
        self.running.remove(&number);
    }

    /// Some of the reply to a request, or all of it with its end. What can be sent now comes back.
    pub(super) fn reply(
        &mut self,
        number: u64,
        pieces: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) -> ReadyChunks {
        let mut due = ReadyChunks::default();
        if self.closed || number < self.due {
            return due;
        }
        if let Some(end) = end
            && number == self.due
            && self.waiting.is_empty()
        {
            // Most replies are whole and come in order.
            self.running.remove(&number);
            self.due += 1;
            due.pieces.extend(pieces);
            if end == ResponseEnd::Close {
                self.last = Some(number);
                due.close = true;
                self.closed = true;
            }
            return due;
        }
        let reply = self.waiting.entry(number).or_default();
        reply.pieces.extend(pieces);
        reply.end = end;
        if end.is_some() {
            self.running.remove(&number);
        }
        if end == Some(ResponseEnd::Close) {
            self.last = Some(self.last.map_or(number, |last| last.min(number)));
        }
        while let Some(reply) = self.waiting.get_mut(&self.due) {
            due.pieces.append(&mut reply.pieces);
            let Some(end) = reply.end else { break };
            self.waiting.remove(&self.due);
            self.due += 1;
            if end == ResponseEnd::Close {
                due.close = true;
                self.closed = true;
                self.waiting.clear();
                break;
            }
        }
        due
    }

    /// Whether the connection is closed before this request could be answered: then it is not to be looked at
    /// (RFC 9112, section 9.6).
    pub(super) fn ends_before(&self, number: u64) -> bool {
        self.last.is_some_and(|last| last < number)
    }

    /// How many handlers run on behalf of this connection.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether no reply is waited for.
    pub(super) fn is_idle(&self) -> bool {
        self.closed || self.due == self.next
    }

    /// What runs on behalf of requests whose replies can no longer be sent.
    pub(super) fn stop(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.closed = true;
        self.waiting.clear();
        std::mem::take(&mut self.running).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(text: &str) -> [OutboundChunk; 1] {
        [Bytes::copy_from_slice(text.as_bytes()).into()]
    }

    fn text(due: ReadyChunks) -> String {
        let bytes = due
            .pieces
            .iter()
            .map(|piece| &piece.bytes[..])
            .collect::<Vec<_>>();
        String::from_utf8(bytes.concat()).unwrap()
    }

    #[test]
    fn a_later_reply_waits_for_an_earlier_one() {
        let mut pipeline = Pipeline::<()>::new();
        let (first, second) = (pipeline.begin(), pipeline.begin());
        assert_eq!(
            text(pipeline.reply(second, piece("b"), Some(ResponseEnd::Open))),
            ""
        );
        assert_eq!(
            text(pipeline.reply(first, piece("a"), Some(ResponseEnd::Open))),
            "ab"
        );
        assert!(pipeline.is_idle());
    }

    #[test]
    fn pieces_of_the_reply_that_is_due_leave_at_once() {
        let mut pipeline = Pipeline::<()>::new();
        let (first, second) = (pipeline.begin(), pipeline.begin());
        assert_eq!(text(pipeline.reply(first, piece("a"), None)), "a");
        assert_eq!(text(pipeline.reply(second, piece("x"), None)), "");
        assert_eq!(
            text(pipeline.reply(first, piece("b"), Some(ResponseEnd::Open))),
            "bx"
        );
        assert_eq!(
            text(pipeline.reply(second, piece("y"), Some(ResponseEnd::Open))),
            "y"
        );
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut pipeline = Pipeline::new();
        let (first, second) = (pipeline.begin(), pipeline.begin());
        pipeline.runs(second, "handler");
        let due = pipeline.reply(first, piece("a"), Some(ResponseEnd::Close));
        assert!(due.close);
        assert_eq!(text(due), "a");
        assert_eq!(
            text(pipeline.reply(second, piece("b"), Some(ResponseEnd::Open))),
            ""
        );
        assert!(pipeline.is_idle());
    }

    #[test]
    fn what_follows_a_reply_that_closes_is_not_looked_at_even_while_that_reply_waits() {
        let mut pipeline = Pipeline::<()>::new();
        let [first, second, third] = std::array::from_fn(|_| pipeline.begin());
        assert_eq!(
            text(pipeline.reply(second, piece("b"), Some(ResponseEnd::Close))),
            ""
        );
        let ends = [first, second, third].map(|number| pipeline.ends_before(number));
        assert_eq!(ends, [false, false, true]);
        let due = pipeline.reply(first, piece("a"), Some(ResponseEnd::Open));
        assert!(due.close);
        assert_eq!(text(due), "ab");
        assert!(pipeline.is_idle());
    }

    #[test]
    fn what_runs_for_a_connection_that_is_gone_comes_back() {
        let mut pipeline = Pipeline::new();
        let first = pipeline.begin();
        pipeline.runs(first, "handler");
        assert_eq!(pipeline.stop().collect::<Vec<_>>(), ["handler"]);
        assert_eq!(
            text(pipeline.reply(first, piece("stale"), Some(ResponseEnd::Open))),
            ""
        );
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_the_handlers_replies_leave_in_the_order_of_the_requests(
            order in Just((0..12u64).chain(0..12).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut pipeline = Pipeline::<()>::new();
            for _ in 0..12 {
                pipeline.begin();
            }
            let mut begun = std::collections::HashSet::new();
            let mut sent = String::new();
            for number in order {
                let letter = char::from(b'a' + number as u8).to_string();
                let end = (!begun.insert(number)).then_some(ResponseEnd::Open);
                sent += &text(pipeline.reply(number, piece(&letter), end));
            }
            prop_assert_eq!(sent, "aabbccddeeffgghhiijjkkll");
            prop_assert!(pipeline.is_idle());
        }
    }
}

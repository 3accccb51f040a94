//! Replies in the order of their requests: Mongrel2 writes what it is given in the order in which it
//! comes, and hands over pipelined requests all at once.

use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, HashMap};

/// The connections that wait for replies. `T` stands for what runs on behalf of a request.
pub(super) struct Pipelines<T> {
    by_connection: HashMap<Bytes, Pipeline<T>>,
    serial: u64,
}

struct Pipeline<T> {
    serial: u64,
    /// The number of the next request.
    next: u64,
    /// The request whose reply is sent next.
    due: u64,
    running: BTreeMap<u64, T>,
    ready: BTreeMap<u64, Reply>,
}

/// One reply, as bytes of HTTP.
pub(super) struct Reply {
    pub(super) bytes: Bytes,
    /// The connection is closed after it.
    pub(super) close: bool,
}

/// The place of a request in the order of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) connection: Bytes,
    serial: u64,
    number: u64,
}

impl<T> Pipelines<T> {
    pub(super) fn new() -> Pipelines<T> {
        Pipelines {
            by_connection: HashMap::new(),
            serial: 0,
        }
    }

    /// A request came on this connection.
    pub(super) fn begin(&mut self, connection: Bytes) -> Ticket {
        let fresh = || {
            self.serial += 1;
            let serial = self.serial;
            Pipeline {
                serial,
                next: 0,
                due: 0,
                running: BTreeMap::new(),
                ready: BTreeMap::new(),
            }
        };
        let pipeline = self.by_connection.entry(connection.clone()).or_insert_with(fresh);
        let number = pipeline.next;
        pipeline.next += 1;
        Ticket {
            connection,
            serial: pipeline.serial,
            number,
        }
    }

    /// This runs on behalf of the request; it is given back when the connection is forgotten.
    pub(super) fn runs(&mut self, ticket: &Ticket, task: T) {
        if let Some(pipeline) = self.of(ticket) {
            pipeline.running.insert(ticket.number, task);
        }
    }

    /// The reply of a request is ready. What can be sent now comes back joined into one, because
    /// Mongrel2 drops a client for which more than 16 messages wait.
    pub(super) fn finish(&mut self, ticket: &Ticket, reply: Reply) -> Option<Reply> {
        let pipeline = self.of(ticket)?;
        pipeline.running.remove(&ticket.number);
        pipeline.ready.insert(ticket.number, reply);
        let mut now: Option<Reply> = None;
        while let Some(next) = pipeline.ready.remove(&pipeline.due) {
            pipeline.due += 1;
            now = Some(match now {
                None => next,
                Some(first) => {
                    let mut joined = BytesMut::from(first.bytes);
                    joined.extend_from_slice(&next.bytes);
                    Reply {
                        bytes: joined.freeze(),
                        close: next.close,
                    }
                }
            });
            if now.as_ref().is_some_and(|reply| reply.close) {
                break;
            }
        }
        let closed = now.as_ref().is_some_and(|reply| reply.close);
        if closed || pipeline.due == pipeline.next {
            self.by_connection.remove(&ticket.connection);
        }
        now
    }

    /// The connection is gone: what ran on its behalf comes back, replies still to come are dropped.
    pub(super) fn forget(&mut self, connection: &Bytes) -> impl Iterator<Item = T> + use<T> {
        self.by_connection
            .remove(connection)
            .into_iter()
            .flat_map(|pipeline| pipeline.running.into_values())
    }

    /// All connections are gone.
    pub(super) fn forget_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.by_connection)
            .into_values()
            .flat_map(|pipeline| pipeline.running.into_values())
    }

    /// Whether no reply is waited for.
    pub(super) fn is_idle(&self) -> bool {
        self.by_connection.is_empty()
    }

    /// A connection that was forgotten and came again is another one, though its id is the same.
    fn of(&mut self, ticket: &Ticket) -> Option<&mut Pipeline<T>> {
        self.by_connection
            .get_mut(&ticket.connection)
            .filter(|pipeline| pipeline.serial == ticket.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(text: &str) -> Reply {
        Reply {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            close: false,
        }
    }

    fn text(reply: Option<Reply>) -> Option<String> {
        reply.map(|reply| String::from_utf8(reply.bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_later_reply_waits_for_an_earlier_one_and_both_leave_as_one() {
        let mut pipelines = Pipelines::<()>::new();
        let first = pipelines.begin("7".into());
        let second = pipelines.begin("7".into());
        let other = pipelines.begin("8".into());
        assert_eq!(text(pipelines.finish(&second, reply("b"))), None);
        assert_eq!(text(pipelines.finish(&other, reply("x"))).as_deref(), Some("x"));
        assert_eq!(text(pipelines.finish(&first, reply("a"))).as_deref(), Some("ab"));
        assert!(pipelines.is_idle());
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut pipelines = Pipelines::<()>::new();
        let first = pipelines.begin("7".into());
        let second = pipelines.begin("7".into());
        assert_eq!(text(pipelines.finish(&second, reply("b"))), None);
        let sent = pipelines
            .finish(
                &first,
                Reply {
                    close: true,
                    ..reply("a")
                },
            )
            .unwrap();
        assert!(sent.close);
        assert_eq!(&sent.bytes[..], b"a");
        assert!(pipelines.is_idle());
    }

    #[test]
    fn a_reply_for_a_connection_that_went_and_came_again_is_dropped() {
        let mut pipelines = Pipelines::new();
        let old = pipelines.begin("7".into());
        pipelines.runs(&old, "handler");
        assert_eq!(pipelines.forget(&"7".into()).collect::<Vec<_>>(), ["handler"]);
        let new = pipelines.begin("7".into());
        assert_eq!(text(pipelines.finish(&old, reply("stale"))), None);
        assert_eq!(
            text(pipelines.finish(&new, reply("fresh"))).as_deref(),
            Some("fresh")
        );
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_the_handlers_replies_leave_in_the_order_of_the_requests(
            order in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut pipelines = Pipelines::<()>::new();
            let tickets: Vec<Ticket> = order.iter().map(|_| pipelines.begin("1".into())).collect();
            let mut sent = String::new();
            for &index in &order {
                let letter = char::from(b'a' + index as u8).to_string();
                sent += &text(pipelines.finish(&tickets[index], reply(&letter))).unwrap_or_default();
            }
            prop_assert_eq!(sent, "abcdefghijkl");
            prop_assert!(pipelines.is_idle());
        }
    }
}

//! Keeps the responses of a connection in the order of its requests.
//!
//! Mongrel2 passes on pipelined requests all at once, and writes responses in the order in which it receives them. So
//! a response that is ready early is buffered here until the preceding ones are complete.

use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::sync::OwnedSemaphorePermit;

/// The unfinished requests of one connection. `T` is the task of a request.
#[derive(Debug)]
pub(in crate::mongrel2) struct Pipeline<T> {
    /// The number of the next request to arrive.
    next_number: u64,
    /// The number of the request whose response is being sent.
    current: u64,
    tasks: BTreeMap<u64, T>,
    /// Responses, and parts of them, that cannot be sent yet.
    buffered: BTreeMap<u64, BufferedResponse>,
    /// The request after whose response the connection is closed, if known.
    closes_after: Option<u64>,
    is_closed: bool,
}

/// The part of a response that cannot be sent yet.
#[derive(Debug, Default)]
struct BufferedResponse {
    chunks: Vec<OutboundChunk>,
    end: Option<ResponseEnd>,
}

/// Bytes for a client.
#[derive(Debug)]
pub(in crate::mongrel2) struct OutboundChunk {
    pub(super) bytes: Bytes,
    /// Returned to the send window of its sender when the chunk leaves the queue of its connection: when the flow
    /// control lets all of it be sent, or when it is dropped.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The state of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum ResponseEnd {
    /// The connection stays open for the next response.
    KeepOpen,
    /// The connection is closed.
    Close,
}

impl From<Bytes> for OutboundChunk {
    fn from(bytes: Bytes) -> OutboundChunk {
        OutboundChunk { bytes, _permit: None }
    }
}

impl OutboundChunk {
    /// Creates a chunk that holds a permit of a send window.
    pub(super) fn with_permit(bytes: Bytes, permit: OwnedSemaphorePermit) -> OutboundChunk {
        OutboundChunk {
            bytes,
            _permit: Some(permit),
        }
    }
}

/// The bytes that can be sent to a client now.
#[derive(Debug, Default)]
pub(in crate::mongrel2) struct ReadyChunks {
    pub(super) chunks: Vec<OutboundChunk>,
    /// `true` if the connection is closed after them.
    pub(super) close: bool,
}

impl<T> Pipeline<T> {
    pub(super) fn new() -> Pipeline<T> {
        Pipeline {
            next_number: 0,
            current: 0,
            tasks: BTreeMap::new(),
            buffered: BTreeMap::new(),
            closes_after: None,
            is_closed: false,
        }
    }

    /// Adds a request. Returns its number.
    pub(super) fn begin_request(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Sets the task of a request, unless its response is complete. [`close`](Self::close) returns the task.
    pub(super) fn set_task(&mut self, number: u64, task: T) {
        if number >= self.current {
            self.tasks.insert(number, task);
        }
    }

    /// Removes the task of a request, so that it continues when the connection is closed.
    pub(super) fn detach_task(&mut self, number: u64) {
        self.tasks.remove(&number);
    }

    /// Adds a part of the response to a request; the last part has an `end`. Returns the bytes that can be sent now.
    pub(super) fn add_response(
        &mut self,
        number: u64,
        chunks: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) -> ReadyChunks {
        let mut ready = ReadyChunks::default();
        if self.is_closed || number < self.current {
            return ready;
        }
        if let Some(end) = end
            && number == self.current
            && self.buffered.is_empty()
        {
            // The common case: the last part of the current response, and nothing else is buffered.
            self.tasks.remove(&number);
            self.current += 1;
            ready.chunks.extend(chunks);
            if end == ResponseEnd::Close {
                self.closes_after = Some(number);
                ready.close = true;
                self.is_closed = true;
            }
            return ready;
        }
        let response = self.buffered.entry(number).or_default();
        response.chunks.extend(chunks);
        response.end = end;
        if end.is_some() {
            self.tasks.remove(&number);
        }
        if end == Some(ResponseEnd::Close) {
            self.closes_after = Some(self.closes_after.map_or(number, |last| last.min(number)));
        }
        // Take the current response, and the following ones as long as they are complete.
        while let Some(response) = self.buffered.get_mut(&self.current) {
            ready.chunks.append(&mut response.chunks);
            let Some(end) = response.end else { break };
            self.buffered.remove(&self.current);
            self.current += 1;
            if end == ResponseEnd::Close {
                ready.close = true;
                self.is_closed = true;
                self.buffered.clear();
                break;
            }
        }
        ready
    }

    /// Returns `true` if the connection is closed before this request is answered. Such a request must not be
    /// processed (RFC 9112, section 9.6).
    pub(super) fn closes_before(&self, number: u64) -> bool {
        self.closes_after.is_some_and(|last| last < number)
    }

    /// Returns the number of running tasks.
    pub(super) fn running_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Returns `true` if there are no unfinished requests that will be answered.
    pub(super) fn is_idle(&self) -> bool {
        self.is_closed || self.current == self.next_number
    }

    /// Drops all further responses. Returns the tasks of their requests.
    pub(super) fn close(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.is_closed = true;
        self.buffered.clear();
        std::mem::take(&mut self.tasks).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(text: &str) -> [OutboundChunk; 1] {
        [Bytes::copy_from_slice(text.as_bytes()).into()]
    }

    fn text(ready: ReadyChunks) -> String {
        let bytes = ready
            .chunks
            .iter()
            .map(|chunk| &chunk.bytes[..])
            .collect::<Vec<_>>();
        String::from_utf8(bytes.concat()).unwrap()
    }

    #[test]
    fn buffers_response_until_the_preceding_one_is_complete() {
        let mut pipeline = Pipeline::<()>::new();
        let (first, second) = (pipeline.begin_request(), pipeline.begin_request());
        assert_eq!(
            text(pipeline.add_response(second, chunk("b"), Some(ResponseEnd::KeepOpen))),
            ""
        );
        assert_eq!(
            text(pipeline.add_response(first, chunk("a"), Some(ResponseEnd::KeepOpen))),
            "ab"
        );
        assert!(pipeline.is_idle());
    }

    #[test]
    fn sends_parts_of_the_current_response_immediately() {
        let mut pipeline = Pipeline::<()>::new();
        let (first, second) = (pipeline.begin_request(), pipeline.begin_request());
        assert_eq!(text(pipeline.add_response(first, chunk("a"), None)), "a");
        assert_eq!(text(pipeline.add_response(second, chunk("x"), None)), "");
        assert_eq!(
            text(pipeline.add_response(first, chunk("b"), Some(ResponseEnd::KeepOpen))),
            "bx"
        );
        assert_eq!(
            text(pipeline.add_response(second, chunk("y"), Some(ResponseEnd::KeepOpen))),
            "y"
        );
    }

    #[test]
    fn drops_responses_after_close() {
        let mut pipeline = Pipeline::new();
        let (first, second) = (pipeline.begin_request(), pipeline.begin_request());
        pipeline.set_task(second, "handler");
        let ready = pipeline.add_response(first, chunk("a"), Some(ResponseEnd::Close));
        assert!(ready.close);
        assert_eq!(text(ready), "a");
        assert_eq!(
            text(pipeline.add_response(second, chunk("b"), Some(ResponseEnd::KeepOpen))),
            ""
        );
        assert!(pipeline.is_idle());
    }

    #[test]
    fn ignores_requests_after_a_buffered_response_that_closes() {
        let mut pipeline = Pipeline::<()>::new();
        let [first, second, third] = std::array::from_fn(|_| pipeline.begin_request());
        assert_eq!(
            text(pipeline.add_response(second, chunk("b"), Some(ResponseEnd::Close))),
            ""
        );
        let closes_before = [first, second, third].map(|number| pipeline.closes_before(number));
        assert_eq!(closes_before, [false, false, true]);
        let ready = pipeline.add_response(first, chunk("a"), Some(ResponseEnd::KeepOpen));
        assert!(ready.close);
        assert_eq!(text(ready), "ab");
        assert!(pipeline.is_idle());
    }

    #[test]
    fn close_returns_running_tasks() {
        let mut pipeline = Pipeline::new();
        let first = pipeline.begin_request();
        pipeline.set_task(first, "handler");
        assert_eq!(pipeline.close().collect::<Vec<_>>(), ["handler"]);
        assert_eq!(
            text(pipeline.add_response(first, chunk("stale"), Some(ResponseEnd::KeepOpen))),
            ""
        );
    }

    proptest! {
        #[test]
        fn responses_are_in_request_order_for_any_handler_order(
            order in Just((0..12u64).chain(0..12).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut pipeline = Pipeline::<()>::new();
            for _ in 0..12 {
                pipeline.begin_request();
            }
            let mut started = std::collections::HashSet::new();
            let mut sent = String::new();
            for number in order {
                let letter = char::from(b'a' + number as u8).to_string();
                let end = (!started.insert(number)).then_some(ResponseEnd::KeepOpen);
                sent += &text(pipeline.add_response(number, chunk(&letter), end));
            }
            prop_assert_eq!(sent, "aabbccddeeffgghhiijjkkll");
            prop_assert!(pipeline.is_idle());
        }
    }
}

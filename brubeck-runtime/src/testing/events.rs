//! Server-sent events, one by one.

use super::TestResponse;
use super::patience::wait_for;
use crate::response::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, Location};
use std::time::Duration;

/// The server-sent events of a response, from [`TestRequest::events`](super::TestRequest::events).
///
/// They are read as browsers read them: comments and events without data are left out. Dropping it is a client that disconnects.
///
/// # Examples
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
/// use futures_util::stream::{self, StreamExt};
/// use std::time::Duration;
///
/// #[get("^/ticks$")]
/// async fn ticks() -> Events {
///     Events::new(stream::iter(1..=3).then(async |n| {
///         tokio::time::sleep(Duration::from_secs(60)).await;
///         Event::data(n.to_string()).name("tick")
///     }))
/// }
///
/// const ROUTES: Routes<()> = routes![ticks];
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
/// # async fn main() {
/// let client = TestClient::new(App::new(ROUTES, ()));
/// let mut ticks = client.get("/ticks").events().await;
/// ticks.assert_silent(Duration::from_secs(59)).await;
/// ticks.assert_event("tick", "1").await;
/// let second = ticks.recv().await.unwrap();
/// assert_eq!((second.name(), second.data()), ("tick", "2"));
/// ticks.assert_event("tick", "3").await;
/// assert_eq!(ticks.recv().await, None);
/// # }
/// ```
#[derive(Debug)]
pub struct TestEvents {
    response: TestResponse,
    body: Body,
    parser: EventParser,
    received: VecDeque<TestEvent>,
    is_broken: bool,
}

/// An event of [`TestEvents`], as a browser fires it.
///
/// ```
/// # use brubeck::testing::TestClient;
/// # async fn example(client: TestClient) {
/// let mut news = client.get("/news").events().await;
/// let event = news.recv().await.unwrap();
/// assert_eq!((event.name(), event.data(), event.id()), ("message", "hello", "7"));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestEvent {
    name: String,
    data: String,
    id: String,
}

impl TestEvent {
    /// Returns the name: see the example of [`TestEvent`]. It is `message` if the server sent none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the data: see the example of [`TestEvent`]. Lines are separated by `\n`.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Returns the last id that the server sent, with this event or before: see the example of [`TestEvent`].
    ///
    /// A browser sends it as `last-event-id` when it reconnects. It is empty if there was none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Deserializes the data from JSON.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut prices = client.get("/prices").events().await;
    /// let price: u32 = prices.recv().await.unwrap().json();
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the data is not JSON, or does not match the type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_str(&self.data) {
            Ok(value) => value,
            Err(error) => panic!("cannot deserialize the data of {self:?}: {error}"),
        }
    }
}

impl TestEvents {
    pub(super) async fn new(
        request_line: String,
        response: Response<Body>,
        caller: &'static Location<'static>,
    ) -> TestEvents {
        let is_event_stream = response.headers().get(CONTENT_TYPE).is_some_and(|value| {
            let media_type = value
                .as_bytes()
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        });
        if response.status() != StatusCode::OK || !is_event_stream {
            let response = TestResponse::collect(request_line, response).await;
            panic!("the response is not a stream of events, at {caller}\n{response}");
        }
        let (parts, body) = response.into_parts();
        TestEvents {
            response: TestResponse::new(request_line, parts, Bytes::new()),
            body,
            parser: EventParser::default(),
            received: VecDeque::new(),
            is_broken: false,
        }
    }

    /// Returns the head of the response.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let events = client.get("/prices").events().await;
    /// events.response().assert_header("cache-control", "no-cache");
    /// # }
    /// ```
    pub fn response(&self) -> &TestResponse {
        &self.response
    }

    /// Receives the next event: see the example of [`TestEvents`]. Returns `None` at the end of the stream.
    ///
    /// # Panics
    ///
    /// Panics if the stream breaks off, for example because of a panic in it, or if there is no event within 10 seconds, or within a day of a
    /// paused clock.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Option<TestEvent>> + Send {
        let caller = Location::caller();
        async move {
            let event = wait_for(self.next(), caller, || "received no event and no end".to_owned()).await;
            assert!(!self.is_broken, "the stream of events broke off, at {caller}");
            event
        }
    }

    /// Asserts that the next event has this name and data: see the example of [`TestEvents`]. The name is `message` if the server sent none.
    ///
    /// # Panics
    ///
    /// Panics if it has not, or if the stream ends.
    #[track_caller]
    pub fn assert_event(&mut self, name: &str, data: &str) -> impl Future<Output = ()> + Send {
        let (caller, expected) = (Location::caller(), (name.to_owned(), data.to_owned()));
        async move {
            let event = wait_for(self.next(), caller, || {
                format!("expected the event {expected:?}, and received none")
            });
            match event.await {
                Some(event) if (&event.name, &event.data) == (&expected.0, &expected.1) => {}
                Some(event) => panic!("expected the event {expected:?}, got {event:?}, at {caller}"),
                None => panic!(
                    "expected the event {expected:?}, but {}, at {caller}",
                    self.describe_end()
                ),
            }
        }
    }

    /// Asserts that no event arrives for this time, and that the stream does not end: see the example of [`TestEvents`].
    ///
    /// # Panics
    ///
    /// Panics if an event arrives, or if the stream ends.
    #[track_caller]
    pub fn assert_silent(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move {
            match tokio::time::timeout(time, self.next()).await {
                Err(_) => {}
                Ok(Some(event)) => panic!("expected no event for {time:?}, got {event:?}, at {caller}"),
                Ok(None) => panic!(
                    "expected no event for {time:?}, but {}, at {caller}",
                    self.describe_end()
                ),
            }
        }
    }

    /// Asserts that the stream breaks off after the events that were received, as browsers see an error in it.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut events = client.get("/import/progress").events().await;
    /// events.assert_event("message", "50 %").await;
    /// events.assert_broken().await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if an event arrives, or if the stream ends.
    #[track_caller]
    pub fn assert_broken(&mut self) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move {
            let next = wait_for(self.next(), caller, || {
                "expected that the stream breaks off, and it did not".to_owned()
            });
            match next.await {
                Some(event) => panic!("expected that the stream breaks off, got {event:?}, at {caller}"),
                None => assert!(
                    self.is_broken,
                    "expected that the stream breaks off, but it ended, at {caller}"
                ),
            }
        }
    }

    /// Returns the next event. Cancel safe.
    async fn next(&mut self) -> Option<TestEvent> {
        loop {
            if let Some(event) = self.received.pop_front() {
                return Some(event);
            }
            if self.is_broken {
                return None;
            }
            // A panic in a stream breaks the connection of a client, and no more.
            match AssertUnwindSafe(self.body.frame()).catch_unwind().await {
                Ok(None) => return None,
                Ok(Some(Ok(frame))) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.parser.read(bytes, &mut self.received);
                    }
                }
                Ok(Some(Err(_))) | Err(_) => self.is_broken = true,
            }
        }
    }

    fn describe_end(&self) -> &'static str {
        if self.is_broken {
            "the stream broke off"
        } else {
            "the stream ended"
        }
    }
}

/// Parses an event stream (HTML standard, section 9.2.6).
#[derive(Debug, Default)]
struct EventParser {
    /// The current line.
    line: Vec<u8>,
    /// The last byte was `\r`, so a `\n` is part of the same line break.
    is_after_cr: bool,
    name: String,
    data: String,
    has_data: bool,
    last_id: String,
}

impl EventParser {
    fn read(&mut self, bytes: &[u8], events: &mut VecDeque<TestEvent>) {
        for &byte in bytes {
            let continues_break = self.is_after_cr && byte == b'\n';
            self.is_after_cr = byte == b'\r';
            match byte {
                b'\n' if continues_break => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                byte => self.line.push(byte),
            }
        }
    }

    /// Interprets the line. Returns the event that it completes.
    fn end_line(&mut self) -> Option<TestEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            return std::mem::take(&mut self.has_data).then(|| TestEvent {
                name: if name.is_empty() {
                    "message".to_owned()
                } else {
                    name
                },
                data,
                id: self.last_id.clone(),
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" => value.clone_into(&mut self.last_id),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments, which have an empty field, and the delay of reconnections.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_in_pieces_of_any_size() {
        let stream = b": hi\n\ndata: a\rdata:b\r\n\r\nevent: x\nid: 7\nretry: 1\ndata\n\nid: 8\n\ndata:  c\n\ndata: lost";
        for size in 1..stream.len() {
            let (mut parser, mut events) = (EventParser::default(), VecDeque::new());
            stream
                .chunks(size)
                .for_each(|chunk| parser.read(chunk, &mut events));
            let seen: Vec<_> = events
                .iter()
                .map(|event| (event.name(), event.data(), event.id()))
                .collect();
            assert_eq!(
                seen,
                [("message", "a\nb", ""), ("x", "", "7"), ("message", " c", "8")]
            );
        }
    }
}

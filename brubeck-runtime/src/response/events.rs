//! Server-sent events.

use super::{Body, IntoReply, Response};
use crate::status::Status;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;
use tokio::time::timeout;

/// The default time without an event after which a comment is sent.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A reply that streams server-sent events, for the `EventSource` of browsers.
///
/// ```
/// use brubeck::prelude::*;
/// use futures_util::stream;
///
/// #[get("^/count$")]
/// async fn count() -> Events {
///     Events::new(stream::iter((1..=3).map(|n| Event::data(n.to_string()).name("count"))))
/// }
/// ```
///
/// If there is no event for 15 seconds, a comment is sent to keep the connection alive. The stream of events is dropped when the
/// client disconnects. The format is that of the
/// [HTML standard](https://html.spec.whatwg.org/multipage/server-sent-events.html).
#[derive(Debug)]
pub struct Events(Body);

impl Events {
    /// Creates a reply from a stream of events, with a keep-alive interval of 15 seconds.
    pub fn new(events: impl Stream<Item = Event> + Send + 'static) -> Events {
        Events::with_keep_alive(events, KEEP_ALIVE_INTERVAL)
    }

    /// Creates a reply from a stream of events. A comment is sent if there is no event for `interval`.
    pub fn with_keep_alive(events: impl Stream<Item = Event> + Send + 'static, interval: Duration) -> Events {
        // Pinned on the heap, because `unfold` moves the stream between its steps.
        let chunks = futures_util::stream::unfold(Box::pin(events), move |mut events| async move {
            match timeout(interval, events.next()).await {
                Ok(Some(event)) => Some((Ok::<_, Infallible>(event.encode()), events)),
                Ok(None) => None,
                Err(_) => Some((Ok(Bytes::from_static(b":\n\n")), events)),
            }
        });
        Events(Body::from_stream(chunks))
    }
}

impl IntoReply for Events {
    fn into_reply(self) -> Response {
        let mut response = Response::stream(Status::OK, "text/event-stream", self.0);
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// A server-sent event.
///
/// ```
/// use brubeck::Event;
///
/// let event = Event::data("two\nlines").name("greeting").id("7");
/// assert_eq!(event.to_string(), "event: greeting\nid: 7\ndata: two\ndata: lines\n\n");
/// ```
///
/// Values cannot inject fields or end the event: line breaks and NUL are removed from names and ids, and line breaks in the data
/// start another `data` line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: String,
}

impl Event {
    /// Creates an event with text as its data.
    pub fn data(text: impl Into<String>) -> Event {
        Event {
            data: text.into(),
            ..Event::default()
        }
    }

    /// Creates an event with a JSON value as its data.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be serialized.
    pub fn json(value: &impl Serialize) -> serde_json::Result<Event> {
        serde_json::to_string(value).map(Event::data)
    }

    /// Sets the name of the event, for `addEventListener`. Without a name, browsers use `message`.
    pub fn name(mut self, name: impl Into<String>) -> Event {
        self.name = Some(name.into());
        self
    }

    /// Sets the id of the event. Browsers send it in the header `last-event-id` when they reconnect.
    pub fn id(mut self, id: impl Into<String>) -> Event {
        self.id = Some(id.into());
        self
    }

    /// Sets the time, in whole milliseconds, that the browser waits before it reconnects.
    pub fn retry(mut self, delay: Duration) -> Event {
        self.retry = Some(delay);
        self
    }

    fn encode(&self) -> Bytes {
        self.to_string().into()
    }
}

/// Writes the event in the wire format.
impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (field, value) in [("event", &self.name), ("id", &self.id)] {
            if let Some(value) = value {
                write!(f, "{field}: ")?;
                value
                    .chars()
                    .filter(|c| !matches!(c, '\r' | '\n' | '\0'))
                    .try_for_each(|c| f.write_char(c))?;
                f.write_char('\n')?;
            }
        }
        if let Some(retry) = self.retry {
            writeln!(f, "retry: {}", retry.as_millis())?;
        }
        // The format allows `\r`, `\n` and `\r\n` as line breaks, and joins `data` lines with `\n`.
        for line in self.data.replace("\r\n", "\n").split(['\r', '\n']) {
            writeln!(f, "data: {line}")?;
        }
        f.write_char('\n')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[test]
    fn values_cannot_inject_fields() {
        let event = Event::data("a\r\nid: 9\rb\n\nc")
            .name("x\nretry: 1")
            .retry(Duration::from_secs(2));
        assert_eq!(
            event.to_string(),
            "event: xretry: 1\nretry: 2000\ndata: a\ndata: id: 9\ndata: b\ndata: \ndata: c\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn sends_comments_while_there_is_no_event() {
        let later = stream::once(async {
            tokio::time::sleep(Duration::from_secs(31)).await;
            Event::data("at last")
        });
        let text = Events::new(later).0.collect(1000).await.unwrap();
        assert_eq!(text, ":\n\n:\n\ndata: at last\n\n");
    }
}

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

/// A stream of server-sent events: the browser's `EventSource` reads it for as long as both want.
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
/// A comment every 15 seconds keeps the connection alive where there is nothing to say. A browser that goes away
/// drops the stream.
#[derive(Debug)]
pub struct Events(Body);

impl Events {
    /// The events of a stream.
    pub fn new(events: impl Stream<Item = Event> + Send + 'static) -> Events {
        Events::with_keep_alive(events, Duration::from_secs(15))
    }

    /// The events of a stream, with a comment after each silence of this length.
    pub fn with_keep_alive(events: impl Stream<Item = Event> + Send + 'static, silence: Duration) -> Events {
        let texts = futures_util::stream::unfold(Box::pin(events), move |mut events| async move {
            match timeout(silence, events.next()).await {
                Ok(Some(event)) => Some((Ok::<_, Infallible>(event.text()), events)),
                Ok(None) => None,
                Err(_) => Some((Ok(Bytes::from_static(b":\n\n")), events)),
            }
        });
        Events(Body::from_stream(texts))
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

/// One server-sent event.
///
/// ```
/// use brubeck::Event;
///
/// let event = Event::data("two\nlines").name("greeting").id("7");
/// assert_eq!(event.to_string(), "event: greeting\nid: 7\ndata: two\ndata: lines\n\n");
/// ```
///
/// No text can end the event or add a field to it: line ends in a name or an id are left out, and those of the
/// data start a new line of data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: String,
}

impl Event {
    /// An event with this text.
    pub fn data(text: impl Into<String>) -> Event {
        Event {
            data: text.into(),
            ..Event::default()
        }
    }

    /// An event with a JSON value.
    ///
    /// # Errors
    ///
    /// The value cannot be serialised.
    pub fn json(value: &impl Serialize) -> serde_json::Result<Event> {
        serde_json::to_string(value).map(Event::data)
    }

    /// The name under which the page listens for it; `message` without.
    pub fn name(mut self, name: impl Into<String>) -> Event {
        self.name = Some(name.into());
        self
    }

    /// What the browser sends as `last-event-id` when it connects again.
    pub fn id(mut self, id: impl Into<String>) -> Event {
        self.id = Some(id.into());
        self
    }

    /// How long the browser waits before it connects again.
    pub fn retry(mut self, pause: Duration) -> Event {
        self.retry = Some(pause);
        self
    }

    fn text(&self) -> Bytes {
        self.to_string().into()
    }
}

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
    fn no_text_adds_a_field() {
        let event = Event::data("a\r\nid: 9\rb\n\nc")
            .name("x\nretry: 1")
            .retry(Duration::from_secs(2));
        assert_eq!(
            event.to_string(),
            "event: xretry: 1\nretry: 2000\ndata: a\ndata: id: 9\ndata: b\ndata: \ndata: c\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled() {
        let later = stream::once(async {
            tokio::time::sleep(Duration::from_secs(31)).await;
            Event::data("at last")
        });
        let text = Events::new(later).0.collect(1000).await.unwrap();
        assert_eq!(text, ":\n\n:\n\ndata: at last\n\n");
    }
}

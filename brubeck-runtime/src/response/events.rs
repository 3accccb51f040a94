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
/// client disconnects. It also ends when the application [drains](crate::App::drain); browsers then connect again. If the stream panics, the events that it has yielded are sent, and then the connection is closed. The format is that of the
/// [HTML standard](https://html.spec.whatwg.org/multipage/server-sent-events.html).
#[derive(Debug)]
pub struct Events(Body);

impl Events {
    /// Creates a reply from a stream of events, with a keep-alive interval of 15 seconds.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use futures_util::stream;
    ///
    /// #[get("/news")]
    /// async fn news() -> Events {
    ///     Events::new(stream::iter(["one", "two"].map(Event::data)))
    /// }
    /// # const ROUTES: Routes<()> = routes![news];
    /// ```
    ///
    /// For another interval, use [`with_keep_alive`](Events::with_keep_alive).
    pub fn new(events: impl Stream<Item = Event> + Send + 'static) -> Events {
        Events::with_keep_alive(events, KEEP_ALIVE_INTERVAL)
    }

    /// Creates a reply from a stream of events. A comment is sent if there is no event for `interval`.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use futures_util::stream;
    /// use std::time::Duration;
    ///
    /// #[get("^/alarms$")]
    /// async fn alarms() -> Events {
    ///     Events::with_keep_alive(stream::pending::<Event>(), Duration::from_secs(60))
    /// }
    /// # const ROUTES: Routes<()> = routes![alarms];
    /// ```
    ///
    /// Choose an interval that is shorter than the idle timeout of the proxies between the application and its clients.
    pub fn with_keep_alive(events: impl Stream<Item = Event> + Send + 'static, interval: Duration) -> Events {
        // Pinned on the heap, because `unfold` moves the stream between its steps.
        let chunks = futures_util::stream::unfold(Box::pin(events), move |mut events| async move {
            match timeout(interval, events.next()).await {
                Ok(Some(event)) => Some((Ok::<_, Infallible>(event.encode()), events)),
                Ok(None) => None,
                Err(_) => Some((Ok(Bytes::from_static(b":\n\n")), events)),
            }
        });
        Events(Body::from_stream(chunks).endless())
    }
}

impl IntoReply for Events {
    const UNSENDABLE: Option<&'static str> = Some(
        "a service cannot send `Events`, which are a stream\nhelp: return the events that there are: `Json<Vec<T>>`",
    );

    fn into_reply(self) -> Response {
        let mut response = Response::stream(Status::OK, "text/event-stream", self.0);
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// A server-sent event, for [`Events`].
///
/// ```
/// use brubeck::Event;
///
/// let event = Event::data("two\nlines").name("greeting").id("7");
/// assert_eq!(event.to_string(), "event: greeting\nid: 7\ndata: two\ndata: lines\n\n");
/// ```
///
/// Values cannot inject fields or end the event: line breaks and NUL are removed from names and ids, and line breaks in the data or
/// in a comment start another line of it.
///
/// A browser fires an event only if it has data, which may be empty. An event [without data](Event::new) sets the id or the delay of
/// reconnections, or sends a comment, and nothing is fired:
///
/// ```
/// use brubeck::Event;
/// use std::time::Duration;
///
/// let settings = Event::new().comment("hello").retry(Duration::from_secs(3));
/// assert_eq!(settings.to_string(), ": hello\nretry: 3000\n\n");
/// assert_eq!(Event::data("").to_string(), "data: \n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    comment: Option<String>,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
}

impl Event {
    /// Creates an event without data, which browsers do not fire.
    ///
    /// ```
    /// # use brubeck::Event;
    /// assert_eq!(Event::new().id("7").to_string(), "id: 7\n\n");
    /// ```
    pub fn new() -> Event {
        Event::default()
    }

    /// Creates an event with text as its data. Browsers fire it even if the text is empty.
    ///
    /// ```
    /// # use brubeck::Event;
    /// assert_eq!(Event::data("two\nlines").to_string(), "data: two\ndata: lines\n\n");
    /// ```
    pub fn data(text: impl Into<String>) -> Event {
        Event {
            data: Some(text.into()),
            ..Event::default()
        }
    }

    /// Creates an event with a JSON value as its data.
    ///
    /// ```
    /// use brubeck::Event;
    ///
    /// let event = Event::json(&serde_json::json!({ "price": 7 }))?.name("price");
    /// assert_eq!(event.to_string(), "event: price\ndata: {\"price\":7}\n\n");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`serde_json::Error`] if the value cannot be serialized, such as a map whose keys are structs.
    pub fn json(value: &impl Serialize) -> serde_json::Result<Event> {
        serde_json::to_string(value).map(Event::data)
    }

    /// Sets a comment, which browsers ignore. It is sent before the fields of the event.
    ///
    /// ```
    /// # use brubeck::Event;
    /// assert_eq!(Event::new().comment("still here").to_string(), ": still here\n\n");
    /// ```
    pub fn comment(mut self, text: impl Into<String>) -> Event {
        self.comment = Some(text.into());
        self
    }

    /// Sets the name of the event, for `addEventListener`. Without a name, browsers use `message`.
    ///
    /// ```
    /// # use brubeck::Event;
    /// assert_eq!(Event::data("7").name("price").to_string(), "event: price\ndata: 7\n\n");
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Event {
        self.name = Some(name.into());
        self
    }

    /// Sets the id of the event. Browsers send it in the header `last-event-id`, in UTF-8, when they reconnect.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use futures_util::stream;
    ///
    /// #[get("^/count$")]
    /// async fn count(last_event_id: Option<Header<u64>>) -> Events {
    ///     let next = last_event_id.map_or(1, |id| id.saturating_add(1));
    ///     Events::new(stream::iter((next..=100).map(|n| Event::data(format!("event {n}")).id(n.to_string()))))
    /// }
    /// # const ROUTES: Routes<()> = routes![count];
    /// ```
    pub fn id(mut self, id: impl Into<String>) -> Event {
        self.id = Some(id.into());
        self
    }

    /// Sets the time, in whole milliseconds, that the browser waits before it reconnects.
    ///
    /// ```
    /// # use brubeck::Event;
    /// use std::time::Duration;
    ///
    /// assert_eq!(Event::data("7").retry(Duration::from_secs(5)).to_string(), "retry: 5000\ndata: 7\n\n");
    /// ```
    ///
    /// Without it, the browser chooses the time, usually a few seconds.
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
        if let Some(comment) = &self.comment {
            write_lines(f, "", comment)?;
        }
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
        if let Some(data) = &self.data {
            write_lines(f, "data", data)?;
        }
        f.write_char('\n')
    }
}

/// Writes each line of a text as a line of the field. The format allows `\r`, `\n` and `\r\n` as line breaks, and browsers join `data`
/// lines with `\n`.
fn write_lines(f: &mut std::fmt::Formatter<'_>, field: &str, text: &str) -> std::fmt::Result {
    text.replace("\r\n", "\n")
        .split(['\r', '\n'])
        .try_for_each(|line| writeln!(f, "{field}: {line}"))
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

    /// Returns the events that a browser fires: name, data and last event id. Written after the parser of the HTML standard.
    fn fired(stream: &str) -> Vec<(String, String, String)> {
        let (mut events, mut name, mut data, mut last_id) =
            (Vec::new(), String::new(), String::new(), String::new());
        for line in stream.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if let Some(data) = data.strip_suffix('\n') {
                        let name = if name.is_empty() { "message" } else { &name };
                        events.push((name.to_owned(), data.to_owned(), last_id.clone()));
                    }
                    name.clear();
                    data.clear();
                }
                "event" => name = value.to_owned(),
                "data" => data += &format!("{value}\n"),
                "id" => last_id = value.to_owned(),
                _ => {}
            }
        }
        events
    }

    #[test]
    fn browsers_fire_exactly_the_events_with_data() {
        let names = [None, Some("tick")];
        let ids = [None, Some("7")];
        let retries = [None, Some(Duration::from_millis(1500))];
        let comments = [None, Some(""), Some("two\nlines"), Some("data: no")];
        let contents = [
            None,
            Some(""),
            Some("text"),
            Some("two\r\nlines\r"),
            Some(": colon"),
        ];
        let (mut all, mut expected) = (String::new(), Vec::new());
        let mut last_id = String::new();
        for name in names {
            for id in ids {
                for retry in retries {
                    for comment in comments {
                        for content in contents {
                            let mut event = content.map_or_else(Event::new, Event::data);
                            event.name = name.map(str::to_owned);
                            event.id = id.map(str::to_owned);
                            event.retry = retry;
                            event.comment = comment.map(str::to_owned);
                            all += &event.to_string();
                            if let Some(id) = id {
                                last_id = id.to_owned();
                            }
                            if let Some(content) = content {
                                let name = name.unwrap_or("message").to_owned();
                                let data = content.replace("\r\n", "\n").replace('\r', "\n");
                                expected.push((name, data, last_id.clone()));
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(expected.len(), 2 * 2 * 2 * 4 * 4);
        assert_eq!(fired(&all), expected);
        assert_eq!(fired(&Event::new().to_string()), []);
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

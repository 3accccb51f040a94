//! The HTTP/1.1 encoding of responses, which Mongrel2 writes to the client unchanged.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{StatusCode, response};
use std::cell::RefCell;
use std::fmt::Write;
use std::time::SystemTime;

/// The state of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum Persistence {
    /// The connection stays open, as is the default in HTTP/1.1.
    Open,
    /// The connection of an HTTP/1.0 client stays open. The response must confirm it with `connection: keep-alive`.
    KeepAlive,
    /// The connection is closed.
    Close,
}

impl Persistence {
    /// Returns the state that the version and the `connection` headers of a request ask for (RFC 9112, section 9.3).
    pub(in crate::mongrel2) fn of(version: Option<&[u8]>, headers: &HeaderMap) -> Persistence {
        let has_token = |expected: &str| {
            let values = headers.get_all(CONNECTION).iter();
            values
                .flat_map(|value| value.as_bytes().split(|b| *b == b','))
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(expected.as_bytes()))
        };
        match (
            version == Some(b"HTTP/1.0"),
            has_token("close"),
            has_token("keep-alive"),
        ) {
            (_, true, _) | (true, false, false) => Persistence::Close,
            (true, false, true) => Persistence::KeepAlive,
            (false, false, _) => Persistence::Open,
        }
    }
}

/// The delimitation of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum Framing {
    /// By `content-length`, or there is no body.
    Length,
    /// By the chunked transfer coding.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

impl Framing {
    /// Returns the framing of a streamed body.
    pub(in crate::mongrel2) fn of_stream(parts: &response::Parts, is_http_10: bool) -> Framing {
        match (parts.headers.contains_key(CONTENT_LENGTH), is_http_10) {
            (true, _) => Framing::Length,
            (false, false) => Framing::Chunked,
            (false, true) => Framing::UntilClose,
        }
    }

    /// Encodes a part of the body. An empty part stays empty, because an empty chunk would end the body.
    pub(in crate::mongrel2) fn encode_chunk(self, bytes: Bytes) -> Bytes {
        if self != Framing::Chunked || bytes.is_empty() {
            return bytes;
        }
        let mut chunk = BytesMut::with_capacity(bytes.len() + 20);
        chunk.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        chunk.extend_from_slice(&bytes);
        chunk.extend_from_slice(b"\r\n");
        chunk.freeze()
    }

    /// Returns the bytes after the last part of the body.
    pub(in crate::mongrel2) fn terminator(self) -> Bytes {
        match self {
            Framing::Chunked => Bytes::from_static(b"0\r\n\r\n"),
            Framing::Length | Framing::UntilClose => Bytes::new(),
        }
    }
}

/// Encodes the head of a response.
///
/// Sets `transfer-encoding` if the body is chunked. Unless the status is 101, replaces `connection` by the value for
/// `persistence`, or removes it if the connection stays open by default. Adds a `content-length` header if `content_length` is
/// set, and a `date` unless the response has one.
pub(in crate::mongrel2) fn encode_head(
    mut parts: response::Parts,
    framing: Framing,
    content_length: Option<usize>,
    persistence: Persistence,
    now: SystemTime,
) -> BytesMut {
    let headers = &mut parts.headers;
    if framing == Framing::Chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let connection = match persistence {
        _ if parts.status == StatusCode::SWITCHING_PROTOCOLS => None,
        Persistence::Open => {
            // A `connection` header of the handler would contradict the state of the connection.
            headers.remove(CONNECTION);
            None
        }
        Persistence::KeepAlive => Some("keep-alive"),
        Persistence::Close => Some("close"),
    };
    if let Some(connection) = connection {
        headers.insert(CONNECTION, HeaderValue::from_static(connection));
    }
    let mut text = BytesMut::with_capacity(256);
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(parts.status.as_str().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(parts.status.canonical_reason().unwrap_or("<none>").as_bytes());
    text.extend_from_slice(b"\r\n");
    for (name, value) in &parts.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    if let Some(length) = content_length {
        // Writing to a buffer does not fail.
        let _ = write!(text, "content-length: {length}\r\n");
    }
    if !parts.headers.contains_key(DATE) {
        text.extend_from_slice(b"date: ");
        put_date(&mut text, now);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Appends the date of a response. Each thread formats it once per second.
fn put_date(text: &mut BytesMut, now: SystemTime) {
    thread_local! {
        static CACHED: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let second = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    CACHED.with_borrow_mut(|(cached_second, date)| {
        if *cached_second != second {
            (*cached_second, *date) = (second, httpdate::fmt_http_date(now));
        }
        text.extend_from_slice(date.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persistence_follows_version_and_connection_header() {
        let persistence = |version: &str, connection: &[&'static str]| {
            let headers = connection
                .iter()
                .map(|value| (CONNECTION, HeaderValue::from_static(value)))
                .collect();
            Persistence::of(Some(version.as_bytes()), &headers)
        };
        assert_eq!(persistence("HTTP/1.1", &[]), Persistence::Open);
        assert_eq!(persistence("HTTP/1.1", &["keep-alive"]), Persistence::Open);
        assert_eq!(persistence("HTTP/1.1", &["upgrade, Close"]), Persistence::Close);
        assert_eq!(persistence("HTTP/1.1", &["upgrade", "close"]), Persistence::Close);
        assert_eq!(persistence("HTTP/1.0", &[]), Persistence::Close);
        assert_eq!(persistence("HTTP/1.0", &["Keep-Alive"]), Persistence::KeepAlive);
        assert_eq!(
            persistence("HTTP/1.0", &["keep-alive, close"]),
            Persistence::Close
        );
    }

    fn parts(headers: &[(&'static str, &'static str)]) -> response::Parts {
        let mut response = http::Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn encode_head_adds_connection_length_and_date() {
        let parts = parts(&[("content-type", "text/plain")]);
        let head = encode_head(
            parts,
            Framing::Length,
            Some(2),
            Persistence::Close,
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(
            std::str::from_utf8(&head).unwrap(),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 2\r\n\
             date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"
        );
    }

    #[test]
    fn encode_head_replaces_connection_header_of_handler() {
        let parts = parts(&[("connection", "close"), ("date", "today")]);
        let head = encode_head(
            parts,
            Framing::Chunked,
            None,
            Persistence::Open,
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(
            std::str::from_utf8(&head).unwrap(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ndate: today\r\n\r\n"
        );
    }

    #[test]
    fn uses_chunked_coding_only_for_http_1_1() {
        let unknown = parts(&[]);
        assert_eq!(Framing::of_stream(&unknown, false), Framing::Chunked);
        assert_eq!(Framing::of_stream(&unknown, true), Framing::UntilClose);
        let known = parts(&[("content-length", "7")]);
        assert_eq!(Framing::of_stream(&known, false), Framing::Length);
        assert_eq!(
            Framing::Chunked.encode_chunk("hello hello hello".into()),
            "11\r\nhello hello hello\r\n"
        );
        assert_eq!(Framing::Chunked.encode_chunk("".into()), "");
        assert_eq!(Framing::Chunked.terminator(), "0\r\n\r\n");
        assert_eq!(Framing::UntilClose.encode_chunk("hello".into()), "hello");
    }
}

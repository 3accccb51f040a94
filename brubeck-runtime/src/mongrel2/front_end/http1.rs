//! The HTTP/1.1 text of a response: Mongrel2 passes it to the browser as it is.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{StatusCode, response};
use std::cell::RefCell;
use std::fmt::Write;
use std::time::SystemTime;

/// What the client wants to happen to its connection after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum Persistence {
    /// HTTP/1.1: it stays open.
    Open,
    /// HTTP/1.0 that asked for it: it stays open, and the reply says so.
    KeepAlive,
    /// It is closed.
    Close,
}

impl Persistence {
    /// Read from the version and the `connection` headers (RFC 9112, 9.3).
    pub(in crate::mongrel2) fn of(version: Option<&[u8]>, headers: &HeaderMap) -> Persistence {
        let says = |word: &str| {
            let values = headers.get_all(CONNECTION).iter();
            values
                .flat_map(|value| value.as_bytes().split(|b| *b == b','))
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        match (version == Some(b"HTTP/1.0"), says("close"), says("keep-alive")) {
            (_, true, _) | (true, false, false) => Persistence::Close,
            (true, false, true) => Persistence::KeepAlive,
            (false, false, _) => Persistence::Open,
        }
    }
}

/// How the client finds the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum Framing {
    /// By its length, or there is none.
    Length,
    /// Every piece says how long it is.
    Chunked,
    /// The connection is closed behind it.
    ToTheEnd,
}

impl Framing {
    /// Of a body that comes in pieces.
    pub(in crate::mongrel2) fn of(parts: &response::Parts, is_http_10: bool) -> Framing {
        match (parts.headers.contains_key(CONTENT_LENGTH), is_http_10) {
            (true, _) => Framing::Length,
            (false, false) => Framing::Chunked,
            (false, true) => Framing::ToTheEnd,
        }
    }

    /// A piece of the body as it goes to the browser.
    pub(in crate::mongrel2) fn piece(self, bytes: Bytes) -> Bytes {
        if self != Framing::Chunked || bytes.is_empty() {
            return bytes;
        }
        let mut piece = BytesMut::with_capacity(bytes.len() + 20);
        piece.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        piece.extend_from_slice(&bytes);
        piece.extend_from_slice(b"\r\n");
        piece.freeze()
    }

    /// What ends the body.
    pub(in crate::mongrel2) fn last(self) -> Bytes {
        match self {
            Framing::Chunked => Bytes::from_static(b"0\r\n\r\n"),
            Framing::Length | Framing::ToTheEnd => Bytes::new(),
        }
    }
}

/// The head as it goes to the browser, with the length of the body where that is not told yet.
pub(in crate::mongrel2) fn head(
    mut parts: response::Parts,
    framing: Framing,
    untold: Option<usize>,
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
            // What a handler says of the connection would not be what happens to it.
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
    if let Some(length) = untold {
        // Writing to memory does not fail.
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

/// Writes the date of a response, which is made once in a second for each thread.
fn put_date(text: &mut BytesMut, now: SystemTime) {
    thread_local! {
        static MADE: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let second = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    MADE.with_borrow_mut(|(made, date)| {
        if *made != second {
            (*made, *date) = (second, httpdate::fmt_http_date(now));
        }
        text.extend_from_slice(date.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_closed_and_who_stays() {
        let of = |version: &str, connection: &[&'static str]| {
            let headers = connection
                .iter()
                .map(|value| (CONNECTION, HeaderValue::from_static(value)))
                .collect();
            Persistence::of(Some(version.as_bytes()), &headers)
        };
        assert_eq!(of("HTTP/1.1", &[]), Persistence::Open);
        assert_eq!(of("HTTP/1.1", &["keep-alive"]), Persistence::Open);
        assert_eq!(of("HTTP/1.1", &["upgrade, Close"]), Persistence::Close);
        assert_eq!(of("HTTP/1.1", &["upgrade", "close"]), Persistence::Close);
        assert_eq!(of("HTTP/1.0", &[]), Persistence::Close);
        assert_eq!(of("HTTP/1.0", &["Keep-Alive"]), Persistence::KeepAlive);
        assert_eq!(of("HTTP/1.0", &["keep-alive, close"]), Persistence::Close);
    }

    fn parts(headers: &[(&'static str, &'static str)]) -> response::Parts {
        let mut response = http::Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_head_is_complete() {
        let parts = parts(&[("content-type", "text/plain")]);
        let text = head(
            parts,
            Framing::Length,
            Some(2),
            Persistence::Close,
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 2\r\n\
             date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"
        );
    }

    #[test]
    fn only_the_connection_says_whether_it_stays_open() {
        let parts = parts(&[("connection", "close"), ("date", "today")]);
        let text = head(
            parts,
            Framing::Chunked,
            None,
            Persistence::Open,
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ndate: today\r\n\r\n"
        );
    }

    #[test]
    fn chunks_are_for_those_who_know_them() {
        let unknown = parts(&[]);
        assert_eq!(Framing::of(&unknown, false), Framing::Chunked);
        assert_eq!(Framing::of(&unknown, true), Framing::ToTheEnd);
        let known = parts(&[("content-length", "7")]);
        assert_eq!(Framing::of(&known, false), Framing::Length);
        assert_eq!(
            Framing::Chunked.piece("hello hello hello".into()),
            "11\r\nhello hello hello\r\n"
        );
        assert_eq!(Framing::Chunked.piece("".into()), "");
        assert_eq!(Framing::Chunked.last(), "0\r\n\r\n");
        assert_eq!(Framing::ToTheEnd.piece("hello".into()), "hello");
    }
}

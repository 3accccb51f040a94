//! The HTTP/1.1 text of a response: Mongrel2 passes it to the browser as it is.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, DATE, HeaderMap, HeaderValue};
use std::time::SystemTime;

/// What the client wants to happen to its connection after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// HTTP/1.1: it stays open.
    Open,
    /// HTTP/1.0 that asked for it: it stays open, and the reply says so.
    KeepAlive,
    /// It is closed.
    Close,
}

impl Persistence {
    /// Read from the version and the `connection` headers (RFC 9112, 9.3).
    pub(super) fn of(version: Option<&[u8]>, headers: &HeaderMap) -> Persistence {
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

/// Head and body as they go to the browser.
pub(super) fn text(mut response: http::Response<Bytes>, persistence: Persistence, now: SystemTime) -> Bytes {
    match persistence {
        Persistence::Open => None,
        Persistence::KeepAlive => response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("keep-alive")),
        Persistence::Close => response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close")),
    };
    if !response.headers().contains_key(DATE)
        && let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now))
    {
        response.headers_mut().insert(DATE, date);
    }
    let mut text = BytesMut::with_capacity(256 + response.body().len());
    let status = response.status();
    text.extend_from_slice(b"HTTP/1.1 ");
    text.extend_from_slice(status.as_str().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(status.canonical_reason().unwrap_or("<none>").as_bytes());
    text.extend_from_slice(b"\r\n");
    for (name, value) in response.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(response.body());
    text.freeze()
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

    #[test]
    fn the_text_is_complete() {
        let response = http::Response::builder()
            .header("content-length", 2)
            .body(Bytes::from("hi"))
            .unwrap();
        let text = text(response, Persistence::Close, SystemTime::UNIX_EPOCH);
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\
             date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nhi"
        );
    }
}

//! Converts the responses of handlers into HTTP responses, for all front ends.

use super::{Body, Payload, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http_body::Body as _;

/// Converts a response into an HTTP response. [`apply_framing`] completes its headers.
#[inline]
pub(crate) fn http_response(response: Response) -> http::Response<Body> {
    let (status, mut headers, payload) = response.into_parts();
    let mut code = status.http();
    let body = match payload {
        Payload::Json(body) | Payload::Bytes(body) => Body::from(body),
        Payload::Stream(body) => body,
        Payload::Message | Payload::Problem(_) => {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            Body::from(status.text().to_owned())
        }
        // `Empty`, and the payloads that the application has replaced before, or that are not for HTTP.
        _ => {
            if code == StatusCode::OK {
                code = StatusCode::NO_CONTENT;
            }
            Body::empty()
        }
    };
    let mut http = http::Response::new(body);
    *http.status_mut() = code;
    *http.headers_mut() = headers;
    http
}

/// Which layer adds the `content-length` header of a body in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthSource {
    /// [`apply_framing`] adds it.
    Response,
    /// The HTTP connection adds it when it writes the response. [`apply_framing`] adds it for HEAD requests, for empty bodies, and for
    /// responses with framing headers.
    Connection,
}

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Corrects the framing headers of a response. `content-length` is set to the length of the body, if that is known, unless the HTTP
/// connection adds it. A `content-length` of the handler is kept if it is valid and the length is not known, or if the request was a HEAD
/// and the body is empty. `transfer-encoding` and `keep-alive` are removed, because only the connection decides about them.
///
/// A response with status 204 or 304 loses its body, its length and its media type. If `head` is `true`, the request was a HEAD: the
/// body is removed, and its length is kept.
pub(crate) fn apply_framing(response: &mut http::Response<Body>, head: bool, length_source: LengthSource) {
    let status = response.status();
    // Most responses have few headers, and none of these. Iterating over them is faster than three lookups.
    let framed = response
        .headers()
        .keys()
        .any(|name| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING || *name == KEEP_ALIVE);
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if length_source == LengthSource::Connection
        && !framed
        && !head
        && !bodiless
        && !status.is_informational()
    {
        // The common case: nothing to correct. The connection does not add the length of an empty body, so that is set below.
        let in_memory = response.body().bytes();
        if in_memory.is_some_and(|bytes| !bytes.is_empty()) {
            return;
        }
    }
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    headers.remove(&KEEP_ALIVE);
    if bodiless {
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
    } else if let Some(length) = length
        // A handler that responds to HEAD itself sets the length of a body that it does not send.
        && !(head && length == 0 && headers.contains_key(CONTENT_LENGTH))
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        sanitize_content_length(headers);
    }
    if head || bodiless {
        *response.body_mut() = Body::empty();
    }
}

/// Keeps the first `content-length` if it is valid, and removes all others. With several of them, or an invalid one, a proxy and the
/// client could disagree about the end of the response.
fn sanitize_content_length(headers: &mut HeaderMap) {
    let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .filter(digits);
    let length = text.and_then(|text| text.parse::<u64>().ok());
    match length {
        Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        None => drop(headers.remove(CONTENT_LENGTH)),
    }
}

/// Creates the response of a front end to a request that no handler gets, because it is invalid or refused.
pub(crate) fn error_response(code: StatusCode, reason: &'static str) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(Bytes::from_static(reason.as_bytes())));
    *response.status_mut() = code;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    apply_framing(&mut response, false, LengthSource::Response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::IntoReply;
    use crate::status::Status;

    fn sent(reply: impl IntoReply, head: bool) -> http::Response<Body> {
        framed(reply.into_reply(), head, LengthSource::Response)
    }

    fn framed(response: Response, head: bool, length_source: LengthSource) -> http::Response<Body> {
        let mut http = http_response(response);
        apply_framing(&mut http, head, length_source);
        http
    }

    #[test]
    fn connection_adds_length_of_bodies_in_memory_only() {
        let framed = |response: Response, head| framed(response, head, LengthSource::Connection);
        let length_of = |response: http::Response<Body>| response.headers().get(CONTENT_LENGTH).cloned();
        assert_eq!(length_of(framed("hello".into_reply(), false)), None);
        assert_eq!(length_of(framed("hello".into_reply(), true)).unwrap(), "5");
        assert_eq!(length_of(framed("".into_reply(), false)).unwrap(), "0");
        let reply = ([("content-length", "7"), ("keep-alive", "timeout=5")], "hello").into_reply();
        let response = framed(reply, false);
        assert_eq!(response.headers().len(), 2, "{:?}", response.headers());
        assert_eq!(length_of(response).unwrap(), "5");
    }

    #[test]
    fn head_response_has_length_without_body() {
        let http = sent("hello", true);
        assert_eq!(http.headers()[CONTENT_LENGTH], "5");
        assert!(http.body().bytes().unwrap().is_empty());
    }

    #[test]
    fn empty_payload_is_204_without_length() {
        for reply in [().into_reply(), Status::NO_CONTENT.into_reply()] {
            let http = sent(reply, false);
            assert_eq!(http.status(), 204);
            assert!(http.headers().is_empty() && http.body().bytes().unwrap().is_empty());
        }
    }

    #[test]
    fn status_message_is_body() {
        let http = sent(Status::NOT_FOUND, false);
        assert_eq!(
            (http.status().as_u16(), &http.body().bytes().unwrap()[..]),
            (404, &b"Not Found"[..])
        );
    }

    #[test]
    fn replaces_framing_headers_of_handler() {
        let headers = [
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"),
        ];
        let http = sent((headers, "hello"), false);
        assert_eq!(http.headers().len(), 2, "{:?}", http.headers());
        assert_eq!(http.headers()[CONTENT_LENGTH], "5");

        let stream = || Body::from_stream(futures_util::stream::empty::<Result<Bytes, std::io::Error>>());
        let http = sent(
            ([("content-length", "7"), ("content-length", "8")], stream()),
            false,
        );
        assert_eq!(http.headers().get_all(CONTENT_LENGTH).iter().count(), 1);
        let http = sent(([("content-length", "+7")], stream()), false);
        assert!(!http.headers().contains_key(CONTENT_LENGTH));
    }
}

//! Converts the responses of handlers into HTTP responses, for all front ends.

use super::response_stream::ResponseStream;
use super::{Body, Payload, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    TRANSFER_ENCODING, UPGRADE,
};
use http_body::Body as _;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// Converts a response into an HTTP response. [`apply_framing`] completes its headers.
#[inline]
pub(crate) fn http_response(response: Response) -> http::Response<Body> {
    let (status, mut headers, payload) = response.into_parts();
    let mut code = status.http();
    let opens_websocket = matches!(payload, Payload::Upgrade);
    if code == StatusCode::INTERNAL_SERVER_ERROR && status.code() != 500 && !opens_websocket {
        tracing::error!(
            code = status.code(),
            "the status of a response is not an HTTP status from 200 to 999, responding with status 500"
        );
    }
    let body = match payload {
        Payload::Json(body) | Payload::Bytes(body) => Body::from(body),
        Payload::Stream(body) => Body::new(ResponseStream::new(body)),
        Payload::Message | Payload::Problem(_) => {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            Body::from(status.text().to_owned())
        }
        Payload::Upgrade => {
            if status.code() == i32::from(StatusCode::SWITCHING_PROTOCOLS.as_u16()) {
                code = StatusCode::SWITCHING_PROTOCOLS;
            }
            Body::empty()
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
/// A response with status 101, 204, 205 or 304 loses its body, its length and its media type; 205 has the length 0 (RFC 9110, section
/// 15.3.6). If `head` is `true`, the request was a HEAD: the body is removed, and its length is kept.
///
/// Characters that a URI cannot contain are percent-encoded in `location` and `content-location`. A 426 without `upgrade` names
/// WebSockets (RFC 9110, section 15.5.22).
pub(crate) fn apply_framing(response: &mut http::Response<Body>, head: bool, length_source: LengthSource) {
    let status = response.status();
    // Most responses have few headers, and none of these. Iterating over them is faster than three lookups.
    let framed = response.headers().keys().any(|name| {
        *name == CONTENT_LENGTH
            || *name == TRANSFER_ENCODING
            || *name == KEEP_ALIVE
            || *name == LOCATION
            || *name == CONTENT_LOCATION
    });
    let bodiless = matches!(
        status,
        StatusCode::SWITCHING_PROTOCOLS
            | StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::NOT_MODIFIED
    );
    if length_source == LengthSource::Connection
        && !framed
        && !head
        && !bodiless
        && !status.is_informational()
        && status != StatusCode::UPGRADE_REQUIRED
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
    if framed {
        encode_uri(headers, LOCATION);
        encode_uri(headers, CONTENT_LOCATION);
    }
    if status == StatusCode::UPGRADE_REQUIRED && !headers.contains_key(UPGRADE) {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if bodiless {
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
        if status == StatusCode::RESET_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
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

/// The characters that a URI reference cannot contain (RFC 3986, appendix A). `%` is not among them: an escape stays as it is.
const NOT_IN_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Percent-encodes the characters of a header that a URI cannot contain, as browsers do.
fn encode_uri(headers: &mut HeaderMap, name: HeaderName) {
    let Some(value) = headers.get_mut(name) else {
        return;
    };
    let encoded = without_broken_escapes(&percent_encode(value.as_bytes(), NOT_IN_URI).to_string());
    if encoded.as_bytes() != value.as_bytes()
        && let Ok(encoded) = HeaderValue::try_from(encoded)
    {
        *value = encoded;
    }
}

/// Percent-encodes each `%` that is not followed by two hexadecimal digits.
fn without_broken_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut encoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_escape =
            matches!(part.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
        encoded.push_str(if is_escape { "%" } else { "%25" });
        encoded.push_str(part);
    }
    encoded
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
    use crate::response::{IntoReply, Redirect};
    use crate::status::Status;
    use proptest::prelude::*;

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
    fn opening_websocket_is_101_unless_a_hook_has_changed_the_status() {
        let opening = || Response::new(Status::new(101)).with_payload(Payload::Upgrade);
        let http = sent(opening(), false);
        assert_eq!(http.status(), 101);
        assert!(http.headers().is_empty(), "{:?}", http.headers());
        assert_eq!(sent(opening().with_status(403), false).status(), 403);
        assert_eq!(sent(Status::new(101), false).status(), 500);
    }

    #[test]
    fn location_is_a_uri() {
        let location = |target: &str| {
            let http = sent(Redirect::to(target), false);
            http.headers()[LOCATION].to_str().unwrap().to_owned()
        };
        assert_eq!(location("/straße"), "/stra%C3%9Fe");
        assert_eq!(
            location("/a b?q=\"<ü>\"#{x}"),
            "/a%20b?q=%22%3C%C3%BC%3E%22#%7Bx%7D"
        );
        assert_eq!(
            location("https://a.example/%C3%9F?a=1&b=[2]"),
            "https://a.example/%C3%9F?a=1&b=[2]"
        );
        assert_eq!(location("/100%"), "/100%25");
        assert_eq!(location("/%zz%4%C3%A9%%20%"), "/%25zz%254%C3%A9%25%20%25");
        let reply = ([("location", "/é")], (Status::new(201), "x"));
        assert_eq!(sent(reply, false).headers()[LOCATION], "/%C3%A9");
    }

    #[test]
    fn required_upgrade_is_named() {
        let http = framed(
            (Status::new(426), "x").into_reply(),
            false,
            LengthSource::Connection,
        );
        assert_eq!(http.headers()[UPGRADE], "websocket");
    }

    #[test]
    fn reset_content_has_no_content() {
        let http = sent((Status::new(205), "x"), false);
        assert_eq!(
            (http.headers().len(), &http.headers()[CONTENT_LENGTH]),
            (1, &HeaderValue::from(0))
        );
        assert!(http.body().bytes().unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_reply_has_content_that_its_status_forbids_or_an_invalid_header(
            code in 100_i32..600,
            name in "[a-z-]{1,12}|content-length|transfer-encoding|location|content-type",
            value in "\\PC{0,12}|[0-9]{1,3}|\\s.{0,4}|/[%a-f0-9z]{0,9}",
            body in "[a-z]{0,8}",
            is_head in any::<bool>(),
            source in prop_oneof![Just(LengthSource::Response), Just(LengthSource::Connection)],
        ) {
            let response = Response::text(Status::new(code), body).with_header(&name, &value);
            let http = framed(response, is_head, source);
            let status = http.status();
            let body = http.body().bytes().unwrap();
            prop_assert!(!status.is_informational());
            if is_head || matches!(status.as_u16(), 204 | 205 | 304) {
                prop_assert!(body.is_empty());
            }
            let length = http.headers().get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().parse::<usize>().unwrap());
            match status.as_u16() {
                204 | 304 => prop_assert_eq!(length, None),
                _ if !is_head => prop_assert_eq!(length.unwrap_or(body.len()), body.len()),
                _ => {}
            }
            prop_assert!(!http.headers().contains_key(TRANSFER_ENCODING));
            for (name, value) in http.headers() {
                let is_field_value = value.as_bytes().iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
                prop_assert!(is_field_value, "{name}: {value:?}");
                if *name == LOCATION {
                    prop_assert!(value.as_bytes().is_ascii() && !value.as_bytes().contains(&b' '));
                    let escapes = value.to_str().unwrap().split('%').skip(1);
                    for escape in escapes {
                        let digits = escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
                        prop_assert_eq!(digits, 2, "{:?}", value);
                    }
                }
            }
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

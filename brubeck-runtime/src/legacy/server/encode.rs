//! Encodes the response of a handler in the dialect of the caller.

use crate::codec::EncodeError;
use crate::legacy::codec::{self, JsonText, LegacyEnvelope, Timestamp, encode_response};
use crate::outcome::Outcome;
use crate::response::{Payload, Response};
use crate::rpc::convert::wire_headers;
use crate::status::Status;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};
use std::time::{SystemTime, UNIX_EPOCH};

/// Encodes a response. Returns the frames that follow the identity of the peer.
pub(super) fn encode(
    request: &LegacyEnvelope,
    response: Response,
    received_at: SystemTime,
) -> Result<Vec<Bytes>, EncodeError> {
    let outcome = response.outcome();
    let (status, headers, payload) = response.into_shared_parts();
    let now = millis(SystemTime::now());
    let (status, body) = match body(&status, outcome, payload, now) {
        Some(body) => (status, body),
        None => {
            tracing::error!(path = %request.path.escape_ascii(), "the handler returned a response that JSON cannot represent; responding with status 500");
            let status = Status::INTERNAL_SERVER_ERROR;
            let body = with_status_fields(&status, now, b"{}");
            (status, body)
        }
    };
    let mut encoded = codec::LegacyResponse::to(request, status.code(), status.text());
    encoded.envelope.times.start = Timestamp::from_millis(millis(received_at));
    encoded.envelope.times.end = Timestamp::from_millis(now);
    encoded.headers = encode_headers(&headers);
    encoded.body = JsonText::from(body);
    let [_identity, delimiter, payload] = encode_response(&encoded)?;
    Ok(vec![delimiter, payload])
}

/// Encodes the body as JSON. Returns `None` if the payload is a file, a stream whose bytes are not known, or not UTF-8.
fn body(status: &Status, outcome: Outcome, payload: Payload, now: u64) -> Option<Vec<u8>> {
    match payload {
        Payload::Json(text) if text.starts_with(b"{") => Some(with_status_fields(status, now, &text)),
        Payload::Json(text) => Some(text.into()),
        Payload::Bytes(bytes) => serde_json::to_vec(std::str::from_utf8(&bytes).ok()?).ok(),
        Payload::Stream(body) => serde_json::to_vec(std::str::from_utf8(body.bytes()?).ok()?).ok(),
        #[cfg(feature = "files")]
        Payload::File(_) => None,
        #[cfg(feature = "templates")]
        Payload::View(_) => Some(with_status_fields(status, now, b"{}")),
        // The body of a failure is the error of the contract.
        Payload::Problem(problem) if outcome == Outcome::Failure => Some(with_status_fields(
            status,
            now,
            &serde_json::to_vec(&problem).ok()?,
        )),
        Payload::Empty
        | Payload::Message
        | Payload::Problem(_)
        | Payload::HandlerValue(_)
        | Payload::Upgrade => Some(with_status_fields(status, now, b"{}")),
    }
}

/// Adds the status and the time to an object, because Python callers read them from the body.
fn with_status_fields(status: &Status, now: u64, object: &[u8]) -> Vec<u8> {
    let mut fields = Map::new();
    fields.insert("status_code".into(), status.code().into());
    fields.insert("status_msg".into(), status.text().into());
    fields.insert("timestamp".into(), now.into());
    if ["status_code", "status_msg", "timestamp"]
        .iter()
        .any(|name| contains(object, name))
    {
        // The object may have a field with one of these names, which then takes precedence. Parse the object to find out.
        if let Ok(Value::Object(own)) = serde_json::from_slice(object) {
            fields.extend(own);
        }
        return serde_json::to_vec(&fields).unwrap_or_default();
    }
    // Otherwise join the two objects as text, which saves parsing the payload.
    let mut text = serde_json::to_vec(&fields).unwrap_or_default();
    if let Some(inside) = object
        .strip_prefix(b"{")
        .filter(|rest| rest.trim_ascii_start() != b"}")
    {
        // Replace the closing brace of the first object by a comma.
        text.pop();
        text.push(b',');
        text.extend_from_slice(inside);
    }
    text
}

fn contains(text: &[u8], name: &str) -> bool {
    text.windows(name.len()).any(|window| window == name.as_bytes())
}

/// Encodes the headers with a textual value, except for the content type, which the dialect implies.
fn encode_headers(headers: &HeaderMap) -> JsonText {
    let fields: Map<String, Value> = wire_headers(headers)
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    if fields.is_empty() {
        return JsonText::default();
    }
    JsonText::from(serde_json::to_vec(&fields).unwrap_or_default())
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::{IntoReply, Reply};

    fn text(reply: impl IntoReply) -> String {
        let (status, _, payload) = reply.into_reply().into_parts();
        String::from_utf8(body(&status, Outcome::Value, payload, 7).unwrap()).unwrap()
    }

    #[test]
    fn body_contains_the_payload_and_the_status() {
        assert_eq!(
            text(Reply::empty().field("k", "v").status(500, "it broke")),
            r#"{"status_code":500,"status_msg":"it broke","timestamp":7,"k":"v"}"#
        );
        assert_eq!(text(()), r#"{"status_code":200,"status_msg":"OK","timestamp":7}"#);
        assert_eq!(
            text(Status::NOT_FOUND),
            r#"{"status_code":404,"status_msg":"Not Found","timestamp":7}"#
        );
    }

    #[test]
    fn fields_of_the_payload_take_precedence() {
        assert_eq!(
            text(Reply::empty().field("status_code", 7).field("a", 1)),
            r#"{"a":1,"status_code":7,"status_msg":"OK","timestamp":7}"#
        );
        assert_eq!(
            text(Reply::empty().field("a", "timestamp")),
            r#"{"a":"timestamp","status_code":200,"status_msg":"OK","timestamp":7}"#
        );
    }

    #[test]
    fn other_json_and_text_get_no_status_fields() {
        assert_eq!(text(Reply::new([1, 2])), "[1,2]");
        assert_eq!(text("it\nis"), r#""it\nis""#);
    }
}

//! Between messages and replies of handlers and those of the wire.

use super::api::{JsonObjectWriter, ServiceRequest, ServiceResponse};
use super::codec::{ByteStr, CallRequest, WireReply};
use crate::message::{CallMeta, Message};
use crate::method::Method;
use crate::response::{Payload, Response};
use crate::small_bytes;
use crate::status::Status;
use crate::trace::Trace;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokio::time::Instant;

/// What a request asks: its named arguments and its body become one JSON object.
pub(super) fn to_call_request(request: ServiceRequest, nowait: bool) -> CallRequest {
    let text = |(name, value): (String, Value)| (name.into(), plain(value).into());
    let trace = request.trace.as_ref();
    CallRequest {
        traceparent: trace.map(Trace::traceparent).unwrap_or_default().into(),
        tracestate: trace.map(Trace::tracestate).unwrap_or_default().to_owned().into(),
        headers: request.headers.into_iter().map(text).collect(),
        body: body(request.arguments, request.body),
        hops: request.hops,
        idempotent: request.idempotent,
        nowait,
        ..CallRequest::new(request.method.as_str(), request.path)
    }
}

fn body(arguments: JsonObjectWriter, body: Bytes) -> Bytes {
    if arguments.is_empty() {
        return body;
    }
    if body.is_empty() {
        return small_bytes::freeze(arguments.into_text());
    }
    let mut fields: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    fields.extend(arguments.as_map().clone());
    // A map of JSON values is JSON.
    serde_json::to_vec(&fields).unwrap_or_default().into()
}

/// The message of a handler; `Err` says what the caller got wrong.
pub(super) fn to_message(ask: &CallRequest, until: Instant) -> Result<Message, Status> {
    let method: Method = ask
        .method
        .parse()
        .ok()
        .filter(|method| *method != Method::Response)
        .ok_or_else(|| {
            Status::BAD_REQUEST.message(format!("`{}` is not a method of a service", ask.method))
        })?;
    Ok(Message::service(method, &ask.path)
        .with_headers(http_headers(texts(&ask.headers)))
        .with_body(ask.body.clone())
        .with_deadline(until)
        .with_call(CallMeta {
            traceparent: ask.traceparent.clone(),
            tracestate: ask.tracestate.clone(),
            hops: ask.hops,
        }))
}

/// What a handler's response says on the wire.
fn reply(response: Response) -> WireReply {
    let (status, headers, payload) = response.into_shared_parts();
    let body = match payload {
        Payload::Json(text) => text,
        Payload::Bytes(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => serde_json::to_vec(text).unwrap_or_default().into(),
            Err(_) => {
                tracing::error!("a handler answered bytes, which no caller of a service can read");
                return failure(Status::INTERNAL_SERVER_ERROR);
            }
        },
        _ => Bytes::from_static(b"{}"),
    };
    let headers = wire_headers(&headers)
        .map(|(name, value)| (name.to_owned().into(), value.to_owned().into()))
        .collect();
    WireReply {
        status: status.code(),
        message: status.into_text().into(),
        headers,
        body,
    }
}

/// The same, or a failure where that cannot be written.
pub(super) fn to_wire_reply(response: Response) -> WireReply {
    let reply = reply(response);
    match reply.validate() {
        Ok(()) => reply,
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            failure(Status::INTERNAL_SERVER_ERROR)
        }
    }
}

/// A reply that says nothing but its status.
fn failure(status: Status) -> WireReply {
    WireReply {
        status: status.code(),
        message: status.into_text().into(),
        headers: Vec::new(),
        body: Bytes::from_static(b"{}"),
    }
}

/// The answer that a caller gets.
pub(super) fn to_service_response(reply: WireReply) -> ServiceResponse<Bytes> {
    let mut status = Status::new(reply.status);
    if reply.message != status.text() {
        status = status.message(reply.message.to_string());
    }
    ServiceResponse {
        status,
        headers: http_headers(texts(&reply.headers)),
        body: reply.body,
    }
}

fn texts(pairs: &[(ByteStr, ByteStr)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The headers as HTTP knows them. Peers of a service may use other names; those are left out.
pub(crate) fn http_headers(pairs: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let header = (
            HeaderName::try_from(name.as_ref()),
            HeaderValue::try_from(value.as_ref()),
        );
        if let (Ok(name), Ok(value)) = header {
            headers.append(name, value);
        }
    }
    headers
}

/// The headers that go over the wire of a service: those that are text, but for the media type, which the wire tells.
pub(crate) fn wire_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .iter()
        .filter(|(name, _)| *name != CONTENT_TYPE)
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
}

/// The text of a header value that was written as JSON.
pub(crate) fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_body_are_one_object() {
        let text = |request: ServiceRequest| {
            String::from_utf8(to_call_request(request, false).body.to_vec()).unwrap()
        };
        assert_eq!(text(ServiceRequest::new("/a").argument("b", 1)), r#"{"b":1}"#);
        assert_eq!(text(ServiceRequest::new("/a").body([1])), "[1]");
        assert_eq!(
            text(
                ServiceRequest::new("/a")
                    .body(serde_json::json!({"c": 2, "b": 0}))
                    .argument("b", 1)
            ),
            r#"{"b":1,"c":2}"#
        );
        assert_eq!(text(ServiceRequest::new("/a")), "");
    }

    #[test]
    fn a_response_is_no_request() {
        let method =
            |name| to_message(&CallRequest::new(name, "/a"), Instant::now()).map(|message| message.method());
        assert!(method("response").is_err() && method("fetch").is_err());
        assert_eq!(method("get"), Ok(Method::Get));
    }
}

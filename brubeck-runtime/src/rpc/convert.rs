//! Conversion between the requests and responses of handlers and those of brubeck's protocol.

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

/// Converts a request of the application.
///
/// Without named arguments, the body is sent unchanged. Otherwise the arguments and the fields of the body become one JSON object.
/// An argument replaces a field of the same name, and a body that is not an object is dropped.
pub(super) fn to_call_request(request: ServiceRequest, nowait: bool) -> CallRequest {
    let text = |(name, value): (String, Value)| (name.into(), plain(value).into());
    let trace = request.trace.as_ref();
    CallRequest {
        traceparent: trace.map(Trace::traceparent).unwrap_or_default().into(),
        tracestate: trace.map(Trace::tracestate).unwrap_or_default().to_owned().into(),
        headers: request.headers.into_iter().map(text).collect(),
        body: merge_body(request.arguments, request.body),
        hops: request.hops,
        idempotent: request.idempotent,
        nowait,
        ..CallRequest::new(request.method.as_str(), request.path)
    }
}

fn merge_body(arguments: JsonObjectWriter, body: Bytes) -> Bytes {
    if arguments.is_empty() {
        return body;
    }
    if body.is_empty() {
        return small_bytes::freeze(arguments.into_text());
    }
    let mut fields: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    fields.extend(arguments.as_map().clone());
    // Serializing a map of JSON values cannot fail.
    serde_json::to_vec(&fields).unwrap_or_default().into()
}

/// Converts a request to the message that its handler gets. Returns an error status if the method is unknown or `response`.
pub(super) fn to_message(request: &CallRequest, deadline: Instant) -> Result<Message, Status> {
    let method: Method = request
        .method
        .parse()
        .ok()
        .filter(|method| *method != Method::Response)
        .ok_or_else(|| {
            Status::BAD_REQUEST.message(format!(
                "`{}` is not a method of a service handler",
                request.method
            ))
        })?;
    Ok(Message::service(method, &request.path)
        .with_headers(http_headers(as_str_pairs(&request.headers)))
        .with_body(request.body.clone())
        .with_deadline(deadline)
        .with_call_meta(CallMeta {
            traceparent: request.traceparent.clone(),
            tracestate: request.tracestate.clone(),
            hops: request.hops,
        }))
}

fn encode_reply(response: Response) -> WireReply {
    let (status, headers, payload) = response.into_shared_parts();
    let body = match payload {
        Payload::Json(text) => text,
        Payload::Bytes(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => serde_json::to_vec(text).unwrap_or_default().into(),
            Err(_) => {
                tracing::error!(
                    "handler returned binary data, which a service cannot send, responding with status 500; return text or JSON"
                );
                return status_reply(Status::INTERNAL_SERVER_ERROR);
            }
        },
        // The status and its message are sent separately. A service cannot send a stream or a file.
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

/// Converts the response of a handler. Logs an error and returns an internal server error if the response is binary or exceeds a
/// limit of the codec.
pub(super) fn to_wire_reply(response: Response) -> WireReply {
    let reply = encode_reply(response);
    match reply.validate() {
        Ok(()) => reply,
        Err(error) => {
            tracing::error!(%error, "cannot encode the response of a handler, responding with status 500");
            status_reply(Status::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Creates a reply with an empty object as its body.
fn status_reply(status: Status) -> WireReply {
    WireReply {
        status: status.code(),
        message: status.into_text().into(),
        headers: Vec::new(),
        body: Bytes::from_static(b"{}"),
    }
}

/// Converts a reply to the response that the caller gets.
pub(super) fn to_service_response(reply: WireReply) -> ServiceResponse<Bytes> {
    let mut status = Status::new(reply.status);
    if reply.message != status.text() {
        status = status.message(reply.message.to_string());
    }
    ServiceResponse {
        status,
        headers: http_headers(as_str_pairs(&reply.headers)),
        body: reply.body,
    }
}

fn as_str_pairs(pairs: &[(ByteStr, ByteStr)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Converts headers of a message to HTTP headers. Omits those whose name or value is not valid in HTTP.
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

/// Returns the HTTP headers to send in a message, except for the content type, which the protocol implies. Omits those whose value
/// is not visible ASCII.
pub(crate) fn wire_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .iter()
        .filter(|(name, _)| *name != CONTENT_TYPE)
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
}

/// Returns a string without its quotes, and any other value as JSON.
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
    fn merges_arguments_into_json_body() {
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
    fn rejects_response_and_unknown_methods() {
        let method =
            |name| to_message(&CallRequest::new(name, "/a"), Instant::now()).map(|message| message.method());
        assert!(method("response").is_err() && method("fetch").is_err());
        assert_eq!(method("get"), Ok(Method::Get));
    }
}

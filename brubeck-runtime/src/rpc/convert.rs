//! Conversion between the requests and responses of handlers and those of brubeck's protocol.

use super::api::{
    CallError, JsonObjectWriter, KeyPin, ResponseBody, ServiceRequest, ServiceResponse, merge_objects,
};
use super::codec::{ByteStr, CallRequest, WireReply};
use crate::json_parts::PLACEHOLDER;
use crate::message::Message;
use crate::method::Method;
use crate::peer::{CallMeta, CalledOperation};
use crate::response::{Payload, Response};
use crate::small_bytes;
use crate::status::Status;
use crate::trace::Trace;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// Converts a request of the application.
///
/// Without named arguments, the body is sent unchanged. Otherwise the arguments and the fields of the body become one JSON object.
/// An argument replaces a field of the same name.
///
/// # Errors
/// Refuses a body that is not an object if there are arguments: the message has room for one JSON value.
pub(super) fn to_call_request(request: ServiceRequest, nowait: bool) -> Result<CallRequest, CallError> {
    let text = |(name, value): (String, Value)| (name.into(), plain(value).into());
    let (trace, operation) = (request.trace.as_ref(), request.operation);
    Ok(CallRequest {
        traceparent: trace.map(Trace::traceparent).unwrap_or_default().into(),
        tracestate: trace.map(Trace::tracestate).unwrap_or_default().to_owned().into(),
        headers: request.headers.into_iter().map(text).collect(),
        body: merge_body(request.path_arguments, request.arguments, request.body)?,
        parts: request.parts,
        operation: operation
            .map(|operation| operation.name)
            .unwrap_or_default()
            .into(),
        contract: operation.map(|operation| operation.contract).unwrap_or_default(),
        hops: request.hops,
        idempotent: request.idempotent,
        nowait,
        ..CallRequest::new(request.method.as_str(), request.path)
    })
}

fn merge_body(
    path_arguments: impl IntoIterator<Item = (&'static str, String)>,
    mut arguments: JsonObjectWriter,
    body: Bytes,
) -> Result<Bytes, CallError> {
    for (name, text) in path_arguments {
        let write = |buffer: &mut Vec<u8>, _: &mut Vec<Bytes>| serde_json::to_writer(buffer, &text);
        // Writing a string to memory cannot fail.
        let _ = arguments.set(name.into(), &mut Vec::new(), write);
    }
    if arguments.is_empty() {
        return Ok(body);
    }
    if body.is_empty() {
        return Ok(small_bytes::freeze(arguments.into_text()));
    }
    match merge_objects(&body, &arguments.into_text()) {
        Some(merged) => Ok(merged.into()),
        None => Err(CallError::Refused(
            "the call has arguments and a body that is not a JSON object, and they cannot be merged; send the value of the body \
             as an argument, too, or remove the arguments"
                .into(),
        )),
    }
}

/// Converts a request to the message that its handler gets. Returns an error status if the method is unknown or `response`.
pub(super) fn to_message(
    request: &CallRequest,
    deadline: Instant,
    caller_key: Option<KeyPin>,
) -> Result<Message, Status> {
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
        .with_parts(request.parts.clone())
        .with_operation((!request.operation.is_empty()).then(|| CalledOperation {
            name: request.operation.clone(),
            contract: request.contract,
        }))
        .with_deadline(deadline)
        .with_call_meta(CallMeta {
            traceparent: request.traceparent.clone(),
            tracestate: request.tracestate.clone(),
            hops: request.hops,
            caller_key,
        }))
}

fn encode_reply(mut response: Response) -> WireReply {
    let (outcome, mut parts) = (response.outcome(), response.take_parts());
    let (status, headers, payload) = response.into_shared_parts();
    let mut text_or_part = |bytes: Bytes| {
        json_string(&bytes).unwrap_or_else(|| {
            parts = vec![bytes];
            format!(r#"{{"{PLACEHOLDER}":0}}"#).into()
        })
    };
    let body = match payload {
        Payload::Json(text) => text,
        Payload::Bytes(bytes) => text_or_part(bytes),
        Payload::Stream(stream) => match stream.bytes() {
            Some(bytes) => text_or_part(bytes.clone()),
            None => return unsendable("a stream"),
        },
        #[cfg(feature = "files")]
        Payload::File(_) => return unsendable("a file"),
        // Writing JSON values to memory cannot fail.
        Payload::Problem(problem) => serde_json::to_vec(&problem).unwrap_or_default().into(),
        // The status and its message are sent separately.
        _ => Bytes::from_static(b"{}"),
    };
    let headers = wire_headers(&headers)
        .map(|(name, value)| (name.to_owned().into(), value.to_owned().into()))
        .collect();
    WireReply {
        outcome,
        status: status.code(),
        message: status.into_text().into(),
        headers,
        body,
        parts,
    }
}

fn json_string(bytes: &[u8]) -> Option<Bytes> {
    serde_json::to_vec(std::str::from_utf8(bytes).ok()?)
        .ok()
        .map(Bytes::from)
}

fn unsendable(what: &str) -> WireReply {
    tracing::error!(
        "a service handler returned {what}, which a service cannot send, responding with status 500; return text, bytes or JSON"
    );
    status_reply(Status::INTERNAL_SERVER_ERROR)
}

/// Converts the response of a handler. Cuts the message of the status and leaves out headers that exceed a limit of the codec, and logs it.
/// Logs an error and returns an internal server error if the response is a stream or a file.
pub(super) fn to_wire_reply(response: Response) -> WireReply {
    let mut reply = encode_reply(response);
    if let Some(report) = reply.shorten() {
        tracing::warn!(
            status = reply.status,
            "shortened the response of a handler: {report}"
        );
    }
    reply
}

/// Creates a reply with an empty object as its body.
fn status_reply(status: Status) -> WireReply {
    WireReply {
        status: status.code(),
        message: status.into_text().into(),
        body: Bytes::from_static(b"{}"),
        ..WireReply::default()
    }
}

/// Converts a reply of this worker to the response that the caller gets.
pub(super) fn to_service_response(
    reply: WireReply,
    worker: Option<Arc<str>>,
) -> ServiceResponse<ResponseBody> {
    let mut status = Status::new(reply.status);
    if reply.message != status.text() {
        status = status.message(reply.message.to_string());
    }
    let mut response = ServiceResponse::new(status, ResponseBody::from(reply.body));
    response.headers = http_headers(as_str_pairs(&reply.headers));
    response.body.parts = reply.parts;
    response.body.outcome = Some(reply.outcome);
    response.body.worker = worker;
    response
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
/// is not UTF-8, and logs them.
pub(crate) fn wire_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .iter()
        .filter(|(name, _)| *name != CONTENT_TYPE)
        .filter_map(|(name, value)| match str::from_utf8(value.as_bytes()) {
            Ok(value) => Some((name.as_str(), value)),
            Err(_) => {
                tracing::error!(%name, "left out a header of a response whose value is not UTF-8");
                None
            }
        })
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
    use crate::response::{Body, IntoReply};

    #[test]
    fn merges_arguments_into_json_body() {
        let text = |request: ServiceRequest| {
            let request = to_call_request(request, false).unwrap();
            String::from_utf8(request.body.to_vec()).unwrap()
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
    fn merging_leaves_every_other_value_as_it_was_written() {
        let body = serde_json::value::RawValue::from_string(
            r#"{"wide": 340282366920938463463374607431768211455, "long":1.000, "b":0, "\u0063":[ ]}"#.into(),
        );
        let request = ServiceRequest::new("/a")
            .body(body.unwrap())
            .argument("b", u128::MAX);
        assert_eq!(
            to_call_request(request, false).unwrap().body,
            format!(
                r#"{{"b":{},"c":[ ],"long":1.000,"wide":340282366920938463463374607431768211455}}"#,
                u128::MAX
            )
        );
    }

    #[test]
    fn refuses_arguments_beside_a_body_that_is_no_object() {
        for body in [serde_json::json!([1]), "text".into(), 1.into(), Value::Null] {
            let request = ServiceRequest::new("/a").body(&body).argument("b", 1);
            let refused = to_call_request(request, false);
            assert!(
                matches!(refused, Err(CallError::Refused(_))),
                "{body}: {refused:?}"
            );
        }
    }

    #[test]
    fn text_is_a_json_string_bytes_are_a_part_and_a_stream_is_an_internal_server_error() {
        let reply = |body: Body| {
            let reply = to_wire_reply(body.into_reply());
            (reply.status, reply.body)
        };
        let binary = to_wire_reply(Body::from(vec![255]).into_reply());
        assert_eq!(
            (&binary.body[..], &binary.parts[0][..]),
            (&br#"{"$bytes":0}"#[..], &[255][..])
        );
        assert_eq!(reply(Body::from("x")), (200, Bytes::from_static(br#""x""#)));
        let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("x"))]);
        assert_eq!(reply(Body::from_stream(stream)), (500, Bytes::from_static(b"{}")));
    }

    #[test]
    fn rejects_response_and_unknown_methods() {
        let method = |name| {
            to_message(&CallRequest::new(name, "/a"), Instant::now(), None).map(|message| message.method())
        };
        assert!(method("response").is_err() && method("fetch").is_err());
        assert_eq!(method("get"), Ok(Method::Get));
    }
}

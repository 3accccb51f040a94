//! Converts requests of Mongrel2 to those of the application.

use super::http1::Persistence;
use crate::handler::validate_request;
use crate::message::{Message, RemoteAddr};
use crate::method::Method as ServiceMethod;
use crate::mongrel2::codec::Mongrel2Request;
use crate::mongrel2::uploads::body_location;
use crate::rpc::api::Origin;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

/// The properties of a request that determine the form of its response, and the address of the client.
#[derive(Clone, Copy)]
pub(in crate::mongrel2) struct ClientInfo {
    pub(in crate::mongrel2) persistence: Persistence,
    pub(in crate::mongrel2) is_http_10: bool,
    pub(in crate::mongrel2) peer: Option<RemoteAddr>,
}

/// The status and the text of the response to a request that is not passed to the application.
pub(in crate::mongrel2) type RequestRejection = (StatusCode, &'static str);

/// Converts an HTTP request, without its body, or returns the reason to reject it. The [`ClientInfo`] is for the response in
/// both cases.
///
/// `recv_spec` is the address to which services send responses if they respond to the client directly. A WebSocket handshake
/// is converted to a GET request, although Mongrel2 sends another method.
pub(in crate::mongrel2) fn to_http(
    request: &Mongrel2Request,
    recv_spec: &Bytes,
) -> (ClientInfo, Result<http::Request<()>, RequestRejection>) {
    let headers = client_headers(request);
    let version = request.headers.version().map(|version| &version[..]);
    let is_http_10 = version == Some(b"HTTP/1.0");
    let info = ClientInfo {
        persistence: Persistence::of(version, &headers),
        is_http_10,
        peer: request.headers.remote_addr().map(RemoteAddr),
    };
    (info, build_request(request, headers, is_http_10, recv_spec))
}

fn build_request(
    request: &Mongrel2Request,
    headers: HeaderMap,
    is_http_10: bool,
    recv_spec: &Bytes,
) -> Result<http::Request<()>, RequestRejection> {
    let bad_request = |reason| (StatusCode::BAD_REQUEST, reason);
    if body_location::content_length(&request.headers).is_err() {
        return Err(bad_request("the content length is invalid"));
    }
    // With another coding, Mongrel2 takes the body for the next request.
    let coding = request.headers.get("transfer-encoding");
    if coding.is_some_and(|coding| coding != "chunked") {
        return Err((
            StatusCode::NOT_IMPLEMENTED,
            "this transfer coding is not supported",
        ));
    }
    let method = match request.headers.method().map(|method| &method[..]) {
        Some(b"WEBSOCKET_HANDSHAKE") => Method::GET,
        Some(name) => Method::from_bytes(name).map_err(|_| bad_request("the method is invalid"))?,
        None => return Err(bad_request("the request has no method")),
    };
    let target = match request.headers.query() {
        None => PathAndQuery::from_maybe_shared(request.path.clone()),
        Some(query) => PathAndQuery::try_from([&request.path[..], b"?", query].concat()),
    };
    let target = target.map_err(|_| bad_request("the request target is invalid"))?;
    let mut http_request = http::Request::new(());
    *http_request.method_mut() = method;
    *http_request.uri_mut() = Uri::from(target);
    *http_request.version_mut() = if is_http_10 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    *http_request.headers_mut() = headers;
    validate_request(&http_request)?;
    http_request.extensions_mut().insert(origin(request, recv_spec));
    Ok(http_request)
}

/// Converts a message of a message socket. The path of the result is `/@name` or `/<name`. Returns `None` if the name is not
/// valid UTF-8.
pub(in crate::mongrel2) fn to_message(request: &Mongrel2Request, recv_spec: &Bytes) -> Option<Message> {
    let name = std::str::from_utf8(&request.path).ok()?;
    let message = Message::service(ServiceMethod::Request, &format!("/{name}"))
        .with_body(request.body.clone())
        .with_extension(origin(request, recv_spec));
    Some(match request.headers.remote_addr() {
        Some(address) => message.with_extension(RemoteAddr(address)),
        None => message,
    })
}

fn origin(request: &Mongrel2Request, recv_spec: &Bytes) -> Origin {
    Origin {
        sender_id: request.ident.clone(),
        conn_id: request.conn_id.clone(),
        out_addr: recv_spec.clone(),
    }
}

/// Returns the headers of the client. Leaves out upload headers, because any client can forge them, and headers that are
/// invalid in HTTP, because Mongrel2 accepts them.
fn client_headers(request: &Mongrel2Request) -> HeaderMap {
    // About ten of the headers are Mongrel2's own, so half of the number is a good estimate for a typical request.
    let mut headers = HeaderMap::with_capacity(request.headers.len() / 2);
    for (name, value) in request.headers.client_headers() {
        if body_location::is_upload_header(name) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_maybe_shared(value.clone()),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

//! From a request of Mongrel2 to that of an application.

use super::http1::Persistence;
use crate::handler::validate_request;
use crate::message::{Message, RemoteAddr};
use crate::method::Method as Verb;
use crate::mongrel2::codec::Mongrel2Request;
use crate::mongrel2::uploads::body_location;
use crate::rpc::api::Origin;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

/// What is known of a request before it is answered.
pub(in crate::mongrel2) struct ConvertedRequest {
    pub(in crate::mongrel2) persistence: Persistence,
    pub(in crate::mongrel2) is_http_10: bool,
    pub(in crate::mongrel2) peer: Option<RemoteAddr>,
    /// The request without its body, or why there is none.
    pub(in crate::mongrel2) request: Result<http::Request<()>, RequestRejection>,
}

/// A status and a reason.
pub(in crate::mongrel2) type RequestRejection = (StatusCode, &'static str);

/// Reads a request; `replies_to` is where its reply goes, for the services that are called on its behalf.
/// A WebSocket is asked for by a GET, whatever Mongrel2 calls it.
pub(in crate::mongrel2) fn read(request: &Mongrel2Request, replies_to: &Bytes) -> ConvertedRequest {
    let headers = client_headers(request);
    let version = request.headers.version().map(|version| &version[..]);
    let mut persistence = Persistence::of(version, &headers);
    let is_http_10 = version == Some(b"HTTP/1.0");
    let peer = request.headers.remote_addr().map(RemoteAddr);
    let request = build(request, headers, is_http_10, replies_to);
    if request.is_err() {
        // What a refused client sends next is not worth reading, and may be the body that was refused.
        persistence = Persistence::Close;
    }
    ConvertedRequest {
        persistence,
        is_http_10,
        peer,
        request,
    }
}

fn build(
    request: &Mongrel2Request,
    headers: HeaderMap,
    is_http_10: bool,
    replies_to: &Bytes,
) -> Result<http::Request<()>, RequestRejection> {
    let bad = |reason| (StatusCode::BAD_REQUEST, reason);
    if body_location::length(&request.headers).is_err() {
        return Err(bad("the length of the body is none"));
    }
    // Mongrel2 reads no body then, and takes it for the next request.
    let coding = request.headers.get("transfer-encoding");
    if coding.is_some_and(|coding| coding != "chunked") {
        return Err((
            StatusCode::NOT_IMPLEMENTED,
            "this transfer coding is not known here",
        ));
    }
    let method = match request.headers.method().map(|method| &method[..]) {
        Some(b"WEBSOCKET_HANDSHAKE") => Method::GET,
        Some(name) => Method::from_bytes(name).map_err(|_| bad("the method is none"))?,
        None => return Err(bad("the request has no method")),
    };
    let target = match request.headers.query() {
        None => PathAndQuery::from_maybe_shared(request.path.clone()),
        Some(query) => PathAndQuery::try_from([&request.path[..], b"?", query].concat()),
    };
    let target = target.map_err(|_| bad("the address is none"))?;
    let mut read = http::Request::new(());
    *read.method_mut() = method;
    *read.uri_mut() = Uri::from(target);
    *read.version_mut() = if is_http_10 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    *read.headers_mut() = headers;
    validate_request(&read)?;
    read.extensions_mut().insert(origin(request, replies_to));
    Ok(read)
}

/// The message of a socket that speaks no HTTP, under the path `/@name` or `/<name`; `None` where the name is no text.
pub(in crate::mongrel2) fn message(request: &Mongrel2Request, replies_to: &Bytes) -> Option<Message> {
    let name = std::str::from_utf8(&request.path).ok()?;
    let message = Message::service(Verb::Request, &format!("/{name}"))
        .with_body(request.body.clone())
        .with_extension(origin(request, replies_to));
    Some(match request.headers.remote_addr() {
        Some(address) => message.with_extension(RemoteAddr(address)),
        None => message,
    })
}

fn origin(request: &Mongrel2Request, replies_to: &Bytes) -> Origin {
    Origin {
        sender_id: request.ident.clone(),
        conn_id: request.conn_id.clone(),
        out_addr: replies_to.clone(),
    }
}

/// The headers that the client sent; values that HTTP does not allow, and that Mongrel2 lets through, are left out, and so
/// are those by which Mongrel2 announces uploads, which any client can send.
fn client_headers(request: &Mongrel2Request) -> HeaderMap {
    // Mongrel2's own headers, of which there are ten or so, leave some room.
    let mut headers = HeaderMap::with_capacity(request.headers.len() / 2);
    for (name, value) in request.headers.client_headers() {
        if body_location::is_special(name) {
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

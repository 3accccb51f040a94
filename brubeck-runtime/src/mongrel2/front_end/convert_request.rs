//! Converts requests of Mongrel2 to those of the application.

use super::http1::Persistence;
use crate::authority::Scheme;
use crate::handler::validate_request;
use crate::message::Message;
use crate::method::Method as ServiceMethod;
use crate::mongrel2::codec::Mongrel2Request;
use crate::mongrel2::uploads::body_location;
use crate::peer::{RemoteAddr, WebClient};
use crate::rpc::api::Origin;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

/// The properties of a request that determine the form of its response, and the client.
#[derive(Clone, Copy)]
pub(in crate::mongrel2) struct ClientInfo {
    pub(in crate::mongrel2) persistence: Persistence,
    pub(in crate::mongrel2) is_http_10: bool,
    pub(in crate::mongrel2) client: WebClient,
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
        client: WebClient {
            address: request
                .headers
                .remote_addr()
                .map(|address| RemoteAddr(address.to_canonical())),
            scheme: match request.headers.url_scheme() {
                Some(scheme) if *scheme == "https" => Scheme::Https,
                _ => Scheme::Http,
            },
        },
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
    let target = request_target(request).ok_or(bad_request("the request target is invalid"))?;
    let mut http_request = http::Request::new(());
    *http_request.method_mut() = method;
    *http_request.uri_mut() = target;
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

/// Returns the target of a request: a path with an optional query, or a URI with an authority.
///
/// Of a target in absolute form, such as `http://example.org/path`, Mongrel2 passes on `//example.org/path`. It reads a target that begins
/// with `//` in the same way, so the two are not distinguished here either.
fn request_target(request: &Mongrel2Request) -> Option<Uri> {
    let query = request.headers.query();
    let with_query = |scheme: &[u8]| match query {
        None => [scheme, &request.path].concat(),
        Some(query) => [scheme, &request.path, b"?", query].concat(),
    };
    if request.path.starts_with(b"//")
        && let Ok(uri) = Uri::try_from(with_query(b"http:"))
    {
        return Some(uri);
    }
    let target = match query {
        None => PathAndQuery::from_maybe_shared(request.path.clone()),
        Some(_) => PathAndQuery::try_from(with_query(b"")),
    };
    target.ok().map(Uri::from)
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

/// Returns the headers of the client. Leaves out upload headers, because any client can forge them, headers that are
/// invalid in HTTP, because Mongrel2 accepts them, and the `x-forwarded-for` that Mongrel2 writes: it says the same as `REMOTE_ADDR`. With
/// the setting `no_clobber_xff` the header is that of the peer.
fn client_headers(request: &Mongrel2Request) -> HeaderMap {
    // About ten of the headers are Mongrel2's own, so half of the number is a good estimate for a typical request.
    let mut headers = HeaderMap::with_capacity(request.headers.len() / 2);
    for (name, value) in request.headers.client_headers() {
        let is_own = *name == "x-forwarded-for" && request.headers.get("REMOTE_ADDR") == Some(value);
        if is_own || body_location::is_upload_header(name) {
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

//! From a request of Mongrel2 to a request of the application.

use super::http1::Persistence;
use crate::call::Origin;
use crate::connect::web::refusal;
use crate::message::RemoteAddr;
use crate::reply::Body;
use crate::wire::mongrel2::Request;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

/// What is known of a request before it is answered.
pub(super) struct Asked {
    pub(super) persistence: Persistence,
    /// The request, or why there is none.
    pub(super) request: Result<http::Request<Body>, http::Response<Body>>,
}

/// Reads a request; `replies_to` is where its reply goes, for the services that are called on its behalf.
pub(super) fn read(request: Request, replies_to: &str) -> Asked {
    let headers = client_headers(&request);
    let version = request.headers.version().map(|version| &version[..]);
    let mut persistence = Persistence::of(version, &headers);
    let request = http_request(&request, headers, replies_to);
    if request.is_err() {
        // What a refused client sends next is not worth reading, and may be the body that was refused.
        persistence = Persistence::Close;
    }
    Asked { persistence, request }
}

fn http_request(
    request: &Request,
    headers: HeaderMap,
    replies_to: &str,
) -> Result<http::Request<Body>, http::Response<Body>> {
    if request.headers.get("x-mongrel2-upload-start").is_some() {
        return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }
    let method = Method::from_bytes(request.headers.method().map_or(b"", |name| &name[..]))
        .map_err(|_| refusal(StatusCode::NOT_IMPLEMENTED, "this method is not known here"))?;
    let mut target = request.path.to_vec();
    if let Some(query) = request.headers.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let uri = Uri::try_from(target)
        .map_err(|_| refusal(StatusCode::BAD_REQUEST, "the path cannot stand in a URI"))?;
    let mut read = http::Request::new(Body::from(request.body.clone()));
    *read.method_mut() = method;
    *read.uri_mut() = uri;
    *read.headers_mut() = headers;
    if let Some(address) = request.headers.remote_addr() {
        read.extensions_mut().insert(RemoteAddr(address));
    }
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    read.extensions_mut().insert(Origin {
        sender_id: lossy(&request.ident),
        conn_id: lossy(&request.conn_id),
        out_addr: replies_to.to_owned(),
    });
    Ok(read)
}

/// The headers that the client sent; values that HTTP does not allow, and that Mongrel2 lets through,
/// are left out.
fn client_headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers.of_client() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_maybe_shared(value.clone()),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

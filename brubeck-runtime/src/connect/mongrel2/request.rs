//! From a request of Mongrel2 to the message of a handler.

use super::http1::Persistence;
use crate::call::Origin;
use crate::message::{Message, RemoteAddr};
use crate::method::Method;
use crate::reply::{IntoReply, Response};
use crate::status::Status;
use crate::wire::mongrel2::Request;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What is known of a request before it is answered.
pub(super) struct Asked {
    pub(super) persistence: Persistence,
    pub(super) head: bool,
    /// The message, or why there is none.
    pub(super) message: Result<Message, Response>,
}

/// Reads a request; `replies_to` is where its reply goes, for the services that are called on its behalf.
pub(super) fn read(request: Request, body_limit: usize, replies_to: &str) -> Asked {
    let headers = client_headers(&request);
    let version = request.headers.version().map(|version| &version[..]);
    let mut persistence = Persistence::of(version, &headers);
    let method = request
        .headers
        .method()
        .and_then(|name| std::str::from_utf8(name).ok())
        .unwrap_or_default();
    let head = method == "HEAD";
    let message = message(&request, method, headers, body_limit, replies_to);
    if message.is_err() {
        // What a refused client sends next is not worth reading, and may be the body that was refused.
        persistence = Persistence::Close;
    }
    Asked {
        persistence,
        head,
        message,
    }
}

fn message(
    request: &Request,
    method: &str,
    headers: HeaderMap,
    body_limit: usize,
    replies_to: &str,
) -> Result<Message, Response> {
    let refuse = |code: i32, reason: &'static str| Status::new(code).message(reason).into_reply();
    let known = method
        .parse()
        .ok()
        .filter(|method| !matches!(method, Method::Request | Method::Response));
    let method: Method = known.ok_or_else(|| refuse(501, "this method is not known here"))?;
    if request.headers.get("x-mongrel2-upload-start").is_some() {
        return Err(refuse(413, "the body is too large"));
    }
    if request.body.len() > body_limit {
        return Err(refuse(413, "the body is too large"));
    }
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(refuse(400, "the path is not UTF-8")),
    };
    let mut message = Message::web(method, "")
        .with_path(text(&request.path)?)
        .with_headers(headers);
    if let Some(query) = request.headers.query() {
        message = message.with_query(text(query)?);
    }
    if let Some(address) = request.headers.remote_addr() {
        message = message.with_extension(RemoteAddr(address));
    }
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(message.with_body(request.body.clone()).with_extension(Origin {
        sender_id: lossy(&request.ident),
        conn_id: lossy(&request.conn_id),
        out_addr: replies_to.to_owned(),
    }))
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

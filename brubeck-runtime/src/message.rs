//! What a handler is asked: one message, whole in memory.

use crate::method::{Kind, Method};
use crate::status::Status;
use bytes::Bytes;
use http::{Extensions, HeaderMap};
use std::fmt;

/// One message, as a browser or another application sent it.
///
/// ```
/// use brubeck::{Message, Method};
///
/// let message = Message::web(Method::Get, "/user/7?tab=posts");
/// assert_eq!(message.path(), "/user/7");
/// assert_eq!(message.query(), Some("tab=posts"));
/// ```
///
/// A handler that takes a `Message` gets all of it; cloning is cheap for the body, which is shared.
#[derive(Clone)]
pub struct Message(Box<Parts>);

/// Boxed, because a message is handed on many times on its way to a handler.
#[derive(Clone)]
struct Parts {
    kind: Kind,
    method: Method,
    path: Box<str>,
    query: Option<Box<str>>,
    headers: HeaderMap,
    arguments: Bytes,
    body: Bytes,
    status: Option<Status>,
    extensions: Extensions,
}

impl Message {
    /// A message from a browser; `target` is a path with or without `?query`, still percent-encoded.
    pub fn web(method: Method, target: &str) -> Message {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.into())),
            None => (target, None),
        };
        let mut message = Message::new(Kind::Web, method, path);
        message.0.query = query;
        message
    }

    /// A message that asks a service.
    pub fn service(method: Method, path: &str) -> Message {
        Message::new(Kind::Service, method, path)
    }

    /// What a service answered, for the response handler of the calling application.
    pub fn response(path: &str, status: Status) -> Message {
        let mut message = Message::new(Kind::Response, Method::Response, path);
        message.0.status = Some(status);
        message
    }

    fn new(kind: Kind, method: Method, path: &str) -> Message {
        Message(Box::new(Parts {
            kind,
            method,
            path: path.into(),
            query: None,
            headers: HeaderMap::new(),
            arguments: Bytes::new(),
            body: Bytes::new(),
            status: None,
            extensions: Extensions::new(),
        }))
    }

    /// The same message with this path, in which a `?` is nothing special.
    pub fn with_path(mut self, path: impl Into<Box<str>>) -> Message {
        self.0.path = path.into();
        self
    }

    /// The same message with this query, still percent-encoded and without the `?`.
    pub fn with_query(mut self, query: impl Into<Box<str>>) -> Message {
        self.0.query = Some(query.into());
        self
    }

    /// The same message with these headers.
    pub fn with_headers(mut self, headers: HeaderMap) -> Message {
        self.0.headers = headers;
        self
    }

    /// The same message with this body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Message {
        self.0.body = body.into();
        self
    }

    /// The same message with these named arguments, as the text of a JSON object.
    pub fn with_arguments(mut self, arguments: impl Into<Bytes>) -> Message {
        self.0.arguments = arguments.into();
        self
    }

    /// The same message with one more thing known about it, such as a [`RemoteAddr`].
    pub fn with_extension(mut self, value: impl Clone + Send + Sync + 'static) -> Message {
        self.0.extensions.insert(value);
        self
    }

    /// What sort of handler it is for.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.0.method
    }

    /// The path as it was sent: still percent-encoded, never normalised.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What followed the `?`, still percent-encoded; `None` without a `?`, and for services.
    pub fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// Path and query, as a client asks for them; `/` for a path that no URI has.
    pub fn uri(&self) -> http::Uri {
        let target = match &self.0.query {
            Some(query) => format!("{}?{query}", self.0.path),
            None => self.0.path.to_string(),
        };
        target.parse().unwrap_or(http::Uri::from_static("/"))
    }

    /// The headers. Service peers may use names that HTTP does not allow; those are left out here.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The named arguments of a service call, as the text of a JSON object; empty for none.
    pub fn arguments(&self) -> &Bytes {
        &self.0.arguments
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// What typed extractors read: the body; where that is empty or `{}`, the named arguments,
    /// because Python peers of one dialect send their data in the one and of another in the other.
    pub fn payload(&self) -> &Bytes {
        match self.0.body.trim_ascii() {
            b"" | b"{}" if !self.0.arguments.is_empty() => &self.0.arguments,
            _ => &self.0.body,
        }
    }

    /// The status of a service's answer; `None` for other messages.
    pub fn status(&self) -> Option<&Status> {
        self.0.status.as_ref()
    }

    /// What connections and layers know beside the message.
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.0.extensions
    }
}

/// Sizes instead of contents: a body may hold a secret.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.0.kind)
            .field("method", &self.0.method)
            .field("path", &self.0.path)
            .field("arguments", &self.0.arguments.len())
            .field("body", &self.0.body.len())
            .finish_non_exhaustive()
    }
}

/// The address of the peer that sent a web request, as the front end saw it.
///
/// ```
/// use brubeck::RemoteAddr;
///
/// assert_eq!(RemoteAddr("127.0.0.1".parse().unwrap()).to_string(), "127.0.0.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddr(pub std::net::IpAddr);

impl fmt::Display for RemoteAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_the_body_or_else_the_arguments() {
        let message = Message::service(Method::Request, "/a").with_arguments(r#"{"a":1}"#);
        assert_eq!(&message.payload()[..], br#"{"a":1}"#);
        assert_eq!(&message.clone().with_body(" {}").payload()[..], br#"{"a":1}"#);
        assert_eq!(&message.with_body("[1]").payload()[..], b"[1]");
        assert_eq!(
            &Message::service(Method::Request, "/a").with_body("{}").payload()[..],
            b"{}"
        );
    }
}

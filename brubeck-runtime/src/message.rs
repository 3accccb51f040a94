//! The message that a handler processes.

use crate::codec::ByteStr;
use crate::method::{Kind, Method};
use crate::status::Status;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, request};
use std::fmt;
use std::sync::OnceLock;
use tokio::time::Instant;

/// A request of a browser, a call of another application, or a response of a service.
///
/// Handlers receive it through extractors. A handler that takes a `Message` gets all of it. The body is complete and in
/// memory, and clones share it; only a handler that streams the body with [`Upload`](crate::Upload) gets an empty one.
///
/// ```
/// use brubeck::{Message, Method};
///
/// let message = Message::web(Method::Get, "/user/7?tab=posts");
/// assert_eq!(message.path(), "/user/7");
/// assert_eq!(message.query(), Some("tab=posts"));
/// ```
///
/// The constructors are for tests and for front ends:
///
/// ```
/// use brubeck::{Message, Method};
///
/// let call = Message::service(Method::Request, "/service/slow").with_arguments(r#"{"text":"hi"}"#);
/// assert_eq!(&call.payload()[..], br#"{"text":"hi"}"#);
/// ```
#[derive(Clone)]
pub struct Message(Box<MessageParts>);

/// The fields of a message, in a box because a message is moved often.
#[derive(Clone)]
struct MessageParts {
    kind: Kind,
    method: Method,
    target: Target,
    headers: HeaderMap,
    arguments: Bytes,
    body: Bytes,
    status: Option<Status>,
    remote: Option<RemoteAddr>,
    /// The deadline that the caller sent.
    deadline: Option<Instant>,
    call_meta: Option<CallMeta>,
    extensions: Extensions,
    /// `extensions` together with `remote`, created when `extensions()` is called. Few handlers need it, so the address
    /// is not inserted for each request.
    all_extensions: OnceLock<Extensions>,
}

/// The trace and hop count of a call in brubeck's protocol. The text shares the memory of the received frame.
#[derive(Clone)]
pub(crate) struct CallMeta {
    /// Empty if the caller sent no trace.
    pub(crate) traceparent: ByteStr,
    pub(crate) tracestate: ByteStr,
    /// The number of calls in a row that led to this one.
    pub(crate) hops: u8,
}

/// The path and query of a message.
#[derive(Clone)]
enum Target {
    /// The target of an HTTP request, which need not be copied.
    Uri(PathAndQuery),
    /// Any other path, which need not be a valid URI.
    Text { path: Box<str>, query: Option<Box<str>> },
}

impl Message {
    /// Creates a request of a browser.
    ///
    /// `target` is a percent-encoded path, optionally followed by `?` and a query.
    pub fn web(method: Method, target: &str) -> Message {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.into())),
            None => (target, None),
        };
        let path = path.into();
        Message::new(Kind::Web, method, Target::Text { path, query })
    }

    /// Creates the message of an HTTP request, without its body.
    ///
    /// If `remote` is `None`, the address of the peer may still be in the extensions.
    #[inline]
    pub(crate) fn from_request_parts(
        method: Method,
        parts: request::Parts,
        remote: Option<RemoteAddr>,
    ) -> Message {
        let target = parts.uri.into_parts().path_and_query;
        let target = Target::Uri(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Message(Box::new(MessageParts {
            headers: parts.headers,
            extensions: parts.extensions,
            remote,
            ..MessageParts::new(Kind::Web, method, target)
        }))
    }

    /// Creates a call of a service.
    pub fn service(method: Method, path: &str) -> Message {
        Message::new(Kind::Service, method, Target::path(path))
    }

    /// Creates the response of a service, for the response handler of the calling application.
    pub fn response(path: &str, status: Status) -> Message {
        let mut message = Message::new(Kind::Response, Method::Response, Target::path(path));
        message.0.status = Some(status);
        message
    }

    fn new(kind: Kind, method: Method, target: Target) -> Message {
        Message(Box::new(MessageParts::new(kind, method, target)))
    }

    /// Sets the path. A `?` in it does not start a query.
    pub fn with_path(mut self, path: impl Into<Box<str>>) -> Message {
        let query = self.query().map(Into::into);
        self.0.target = Target::Text {
            path: path.into(),
            query,
        };
        self
    }

    /// Sets the query, percent-encoded and without the `?`.
    pub fn with_query(mut self, query: impl Into<Box<str>>) -> Message {
        self.0.target = Target::Text {
            path: self.path().into(),
            query: Some(query.into()),
        };
        self
    }

    /// Sets the headers.
    pub fn with_headers(mut self, headers: HeaderMap) -> Message {
        self.0.headers = headers;
        self
    }

    /// Sets the body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Message {
        self.0.body = body.into();
        self
    }

    /// Sets the named arguments of a call, as the text of a JSON object.
    pub fn with_arguments(mut self, arguments: impl Into<Bytes>) -> Message {
        self.0.arguments = arguments.into();
        self
    }

    /// Adds an extension, such as a [`RemoteAddr`]. It replaces an extension of the same type.
    pub fn with_extension(mut self, value: impl Clone + Send + Sync + 'static) -> Message {
        self.extensions_mut().insert(value);
        self
    }

    pub(crate) fn with_call_meta(mut self, call_meta: CallMeta) -> Message {
        self.0.call_meta = Some(call_meta);
        self
    }

    /// Returns `None` unless the message is a call in brubeck's protocol.
    pub(crate) fn call_meta(&self) -> Option<&CallMeta> {
        self.0.call_meta.as_ref()
    }

    pub(crate) fn with_deadline(mut self, deadline: Instant) -> Message {
        self.0.deadline = Some(deadline);
        self
    }

    /// Returns the deadline that the caller sent.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Returns the kind of handler that the message is for.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.0.method
    }

    /// Returns the path as it was sent: not percent-decoded and not normalised.
    pub fn path(&self) -> &str {
        match &self.0.target {
            Target::Uri(target) => target.path(),
            Target::Text { path, .. } => path,
        }
    }

    /// Returns the query as it was sent, not percent-decoded, or `None` if there is no `?`. Calls of services have no query.
    pub fn query(&self) -> Option<&str> {
        match &self.0.target {
            Target::Uri(target) => target.query(),
            Target::Text { query, .. } => query.as_deref(),
        }
    }

    /// Returns the path and query as a URI, or `/` if they are not a valid URI.
    pub fn uri(&self) -> http::Uri {
        let target = match &self.0.target {
            Target::Uri(target) => return http::Uri::from(target.clone()),
            Target::Text { path, query: None } => path.to_string(),
            Target::Text {
                path,
                query: Some(query),
            } => format!("{path}?{query}"),
        };
        target.parse().unwrap_or(http::Uri::from_static("/"))
    }

    /// Returns the headers.
    ///
    /// For calls and responses of services, headers whose name or value is not valid in HTTP are omitted.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Returns the named arguments of a call in the dialects [`Branch`](crate::Dialect::Branch),
    /// [`Pypi`](crate::Dialect::Pypi) and [`Pypi01x`](crate::Dialect::Pypi01x), as the text of a JSON object.
    ///
    /// Brubeck's protocol and [`Seed`](crate::Dialect::Seed) send named arguments as members of the body. There the result is
    /// empty. [`payload`](Message::payload) returns the named arguments in both cases.
    pub fn arguments(&self) -> &Bytes {
        &self.0.arguments
    }

    /// Returns the body.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Returns the bytes that typed extractors decode: the body, or the named arguments if the body is empty or `{}`.
    ///
    /// Brubeck's protocol and [`Seed`](crate::Dialect::Seed) send the data of a call in the body; the other dialects of the
    /// Python original can send it in the arguments.
    pub fn payload(&self) -> &Bytes {
        match self.0.body.trim_ascii() {
            b"" | b"{}" if !self.0.arguments.is_empty() => &self.0.arguments,
            _ => &self.0.body,
        }
    }

    /// Returns the status of a service's response, or `None` if the message is not a response.
    pub fn status(&self) -> Option<&Status> {
        self.0.status.as_ref()
    }

    /// Returns the extensions, which front ends and `tower` layers add. They include the [`RemoteAddr`] of a web request, if
    /// it is known.
    pub fn extensions(&self) -> &Extensions {
        let Some(remote) = self.0.remote else {
            return &self.0.extensions;
        };
        self.0.all_extensions.get_or_init(|| {
            let mut all = self.0.extensions.clone();
            all.insert(remote);
            all
        })
    }

    /// Returns an extension. Use [`remote_addr`](Self::remote_addr) for the address of the peer.
    pub(crate) fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.extensions.get()
    }

    pub(crate) fn remote_addr(&self) -> Option<RemoteAddr> {
        self.0.remote.or_else(|| self.extension().copied())
    }

    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        self.0.all_extensions.take();
        if let Some(remote) = self.0.remote.take() {
            self.0.extensions.insert(remote);
        }
        &mut self.0.extensions
    }
}

impl MessageParts {
    fn new(kind: Kind, method: Method, target: Target) -> MessageParts {
        MessageParts {
            kind,
            method,
            target,
            headers: HeaderMap::new(),
            arguments: Bytes::new(),
            body: Bytes::new(),
            status: None,
            remote: None,
            deadline: None,
            call_meta: None,
            extensions: Extensions::new(),
            all_extensions: OnceLock::new(),
        }
    }
}

impl Target {
    fn path(path: &str) -> Target {
        Target::Text {
            path: path.into(),
            query: None,
        }
    }
}

/// Shows sizes instead of contents, which may contain secrets.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.0.kind)
            .field("method", &self.0.method)
            .field("path", &self.path())
            .field("arguments", &self.0.arguments.len())
            .field("body", &self.0.body.len())
            .finish_non_exhaustive()
    }
}

/// The IP address of the peer that sent a web request, as an extension of its [`Message`].
///
/// Behind a proxy it is the address of the proxy, unless the application trusts the headers of that proxy.
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
    fn payload_is_body_or_arguments_if_body_is_empty() {
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

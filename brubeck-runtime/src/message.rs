//! What a handler is asked: one message, whole in memory.

use crate::codec::ByteStr;
use crate::method::{Kind, Method};
use crate::status::Status;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, request};
use std::fmt;
use std::sync::OnceLock;
use tokio::time::Instant;

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
    target: Target,
    headers: HeaderMap,
    arguments: Bytes,
    body: Bytes,
    status: Option<Status>,
    remote: Option<RemoteAddr>,
    /// Until when its answer is of use, where whoever sent it says so.
    deadline: Option<Instant>,
    call: Option<CallMeta>,
    extensions: Extensions,
    /// The extensions, with the address of the peer, for those who ask for all of them.
    all: OnceLock<Extensions>,
}

/// What a call says besides its request, in the memory of the frame that it came in.
#[derive(Clone)]
pub(crate) struct CallMeta {
    /// Its trace, as W3C Trace Context writes it; may be empty.
    pub(crate) traceparent: ByteStr,
    pub(crate) tracestate: ByteStr,
    /// How many applications it has passed before this one.
    pub(crate) hops: u8,
}

/// What is asked for.
#[derive(Clone)]
enum Target {
    /// As HTTP has it, which is shared with the request.
    Uri(PathAndQuery),
    /// Any text.
    Text { path: Box<str>, query: Option<Box<str>> },
}

impl Message {
    /// A message from a browser; `target` is a path with or without `?query`, still percent-encoded.
    pub fn web(method: Method, target: &str) -> Message {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.into())),
            None => (target, None),
        };
        let path = path.into();
        Message::new(Kind::Web, method, Target::Text { path, query })
    }

    /// The message of an HTTP request without its body; `remote` is its peer, where the extensions do not say so.
    #[inline]
    pub(crate) fn from_request_parts(
        method: Method,
        parts: request::Parts,
        remote: Option<RemoteAddr>,
    ) -> Message {
        let target = parts.uri.into_parts().path_and_query;
        let target = Target::Uri(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Message(Box::new(Parts {
            headers: parts.headers,
            extensions: parts.extensions,
            remote,
            ..Parts::new(Kind::Web, method, target)
        }))
    }

    /// A message that asks a service.
    pub fn service(method: Method, path: &str) -> Message {
        Message::new(Kind::Service, method, Target::path(path))
    }

    /// What a service answered, for the response handler of the calling application.
    pub fn response(path: &str, status: Status) -> Message {
        let mut message = Message::new(Kind::Response, Method::Response, Target::path(path));
        message.0.status = Some(status);
        message
    }

    fn new(kind: Kind, method: Method, target: Target) -> Message {
        Message(Box::new(Parts::new(kind, method, target)))
    }

    /// The same message with this path, in which a `?` is nothing special.
    pub fn with_path(mut self, path: impl Into<Box<str>>) -> Message {
        let query = self.query().map(Into::into);
        self.0.target = Target::Text {
            path: path.into(),
            query,
        };
        self
    }

    /// The same message with this query, still percent-encoded and without the `?`.
    pub fn with_query(mut self, query: impl Into<Box<str>>) -> Message {
        self.0.target = Target::Text {
            path: self.path().into(),
            query: Some(query.into()),
        };
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
        self.extensions_mut().insert(value);
        self
    }

    /// The same, sent by a call of which this is known.
    pub(crate) fn with_call(mut self, call: CallMeta) -> Message {
        self.0.call = Some(call);
        self
    }

    /// The call that sent it, where that was one in brubeck's own protocol.
    pub(crate) fn call(&self) -> Option<&CallMeta> {
        self.0.call.as_ref()
    }

    /// The same, whose answer is of use until then.
    pub(crate) fn with_deadline(mut self, deadline: Instant) -> Message {
        self.0.deadline = Some(deadline);
        self
    }

    /// Until when the answer is of use, where whoever sent it says so.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.deadline
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
        match &self.0.target {
            Target::Uri(target) => target.path(),
            Target::Text { path, .. } => path,
        }
    }

    /// What followed the `?`, still percent-encoded; `None` without a `?`, and for services.
    pub fn query(&self) -> Option<&str> {
        match &self.0.target {
            Target::Uri(target) => target.query(),
            Target::Text { query, .. } => query.as_deref(),
        }
    }

    /// Path and query, as a client asks for them; `/` for a path that no URI has.
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
        let Some(remote) = self.0.remote else {
            return &self.0.extensions;
        };
        self.0.all.get_or_init(|| {
            let mut all = self.0.extensions.clone();
            all.insert(remote);
            all
        })
    }

    /// What is known of this type; see [`remote_addr`](Self::remote_addr) for the peer.
    pub(crate) fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.extensions.get()
    }

    /// The address of the peer.
    pub(crate) fn remote_addr(&self) -> Option<RemoteAddr> {
        self.0.remote.or_else(|| self.extension().copied())
    }

    /// What is known, to be taken or added to.
    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        self.0.all.take();
        if let Some(remote) = self.0.remote.take() {
            self.0.extensions.insert(remote);
        }
        &mut self.0.extensions
    }
}

impl Parts {
    fn new(kind: Kind, method: Method, target: Target) -> Parts {
        Parts {
            kind,
            method,
            target,
            headers: HeaderMap::new(),
            arguments: Bytes::new(),
            body: Bytes::new(),
            status: None,
            remote: None,
            deadline: None,
            call: None,
            extensions: Extensions::new(),
            all: OnceLock::new(),
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

/// Sizes instead of contents: a body may hold a secret.
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

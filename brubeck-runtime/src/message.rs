//! The message that a handler processes.

use crate::authority::{Authority, Scheme};
use crate::method::{Kind, Method};
use crate::peer::{CallMeta, CalledOperation, RemoteAddr, WebClient};
use crate::status::Status;
use crate::target::canonical_path;
use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, Version, request};
use std::fmt;
use std::sync::OnceLock;
use tokio::time::Instant;

/// A request of a browser, a call of another application, or a response of a service.
///
/// ```
/// use brubeck::{Message, Method};
///
/// let message = Message::web(Method::Get, "/user/7?tab=posts");
/// assert_eq!(message.path(), "/user/7");
/// assert_eq!(message.query(), Some("tab=posts"));
/// ```
///
/// Handlers receive it through extractors. A handler that takes a `Message` gets all of it. The body is complete and in
/// memory, and clones share it; only a handler that streams the body with [`Upload`](crate::Upload) gets an empty one.
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
    /// The decoded path, if it differs from the path that was sent. Set by the router, or when `path()` of a web request is called.
    decoded_path: OnceLock<Option<Box<str>>>,
    headers: HeaderMap,
    arguments: Bytes,
    body: Bytes,
    /// The bytes to which the JSON of the body refers; see `json_parts`.
    parts: Vec<Bytes>,
    status: Option<Status>,
    client: WebClient,
    version: Version,
    /// The deadline that the caller sent.
    deadline: Option<Instant>,
    call_meta: Option<CallMeta>,
    /// The operation of a contract that the call, or the call of the response, is for.
    operation: Option<CalledOperation>,
    extensions: Extensions,
    /// `extensions` together with `client`, created when `extensions()` is called. Few handlers need it, so the address
    /// is not inserted for each request.
    all_extensions: OnceLock<Extensions>,
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
    /// Creates a web request, for tests and front ends.
    ///
    /// ```
    /// use brubeck::{Kind, Message, Method};
    ///
    /// let message = Message::web(Method::Get, "/caf%C3%A9?tab=menu");
    /// assert_eq!((message.path(), message.query()), ("/café", Some("tab=menu")));
    /// assert_eq!(message.kind(), Kind::Web);
    /// ```
    ///
    /// `target` is a percent-encoded path, optionally followed by `?` and a query. It is not checked. The message has neither headers nor a
    /// body: add them with [`with_headers`](Message::with_headers) and [`with_body`](Message::with_body). To send a request through a whole
    /// application, use a [`TestClient`](crate::testing::TestClient).
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
    /// What `client` does not say may still be in the extensions.
    #[inline]
    pub(crate) fn from_request_parts(method: Method, parts: request::Parts, client: WebClient) -> Message {
        let target = parts.uri.into_parts().path_and_query;
        let target = Target::Uri(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Message(Box::new(MessageParts {
            headers: parts.headers,
            extensions: parts.extensions,
            client,
            version: parts.version,
            ..MessageParts::new(Kind::Web, method, target)
        }))
    }

    /// Creates a call of a service, without arguments and without a body.
    ///
    /// ```
    /// use brubeck::{Kind, Message, Method};
    ///
    /// let call = Message::service(Method::Request, "/service/slow").with_body(r#"{"text":"hello"}"#);
    /// assert_eq!((call.kind(), call.path()), (Kind::Service, "/service/slow"));
    /// ```
    ///
    /// Callers use [`Method::Request`] unless they set another method. The path is used as it is: it is not percent-decoded, and a `?` in it
    /// does not start a query.
    pub fn service(method: Method, path: &str) -> Message {
        Message::new(Kind::Service, method, Target::path(path))
    }

    /// Creates the response of a service, for the response handler of the calling application.
    ///
    /// ```
    /// use brubeck::{Kind, Message, Status};
    ///
    /// let message = Message::response("/service/slow", Status::OK);
    /// assert_eq!(message.kind(), Kind::Response);
    /// ```
    pub fn response(path: &str, status: Status) -> Message {
        let mut message = Message::new(Kind::Response, Method::Response, Target::path(path));
        message.0.status = Some(status);
        message
    }

    fn new(kind: Kind, method: Method, target: Target) -> Message {
        Message(Box::new(MessageParts::new(kind, method, target)))
    }

    /// Sets the path. A `?` in it does not start a query.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let message = Message::web(Method::Get, "/").with_path("/what?");
    /// assert_eq!((message.path(), message.query()), ("/what?", None));
    /// ```
    pub fn with_path(mut self, path: impl Into<Box<str>>) -> Message {
        let query = self.query().map(Into::into);
        self.0.target = Target::Text {
            path: path.into(),
            query,
        };
        self.0.decoded_path.take();
        self
    }

    /// Sets the query, percent-encoded and without the `?`.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let message = Message::web(Method::Get, "/search").with_query("q=tea");
    /// assert_eq!(message.uri(), "/search?q=tea");
    /// ```
    pub fn with_query(mut self, query: impl Into<Box<str>>) -> Message {
        self.0.target = Target::Text {
            path: self.path_as_sent().into(),
            query: Some(query.into()),
        };
        self
    }

    /// Sets the headers, and removes those that the message had.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    /// use http::{HeaderMap, HeaderValue, header::ACCEPT};
    ///
    /// let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html"))]);
    /// let message = Message::web(Method::Get, "/").with_headers(headers);
    /// assert_eq!(message.headers()[ACCEPT], "text/html");
    /// ```
    ///
    /// Handlers read them with [`Headers`](crate::Headers) or [`Header`](crate::Header). No header is added, also not the
    /// `content-type` of a body.
    pub fn with_headers(mut self, headers: HeaderMap) -> Message {
        self.0.headers = headers;
        self
    }

    /// Sets the body, without copying it if it is [`Bytes`].
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let message = Message::web(Method::Post, "/").with_body("hello");
    /// assert_eq!(message.body(), "hello");
    /// ```
    ///
    /// The body of a call is JSON. [`Json`](crate::Json) and [`Form`](crate::Form) also need the header `content-type` of a web request:
    /// see [`with_headers`](Message::with_headers).
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Message {
        self.0.body = body.into();
        self
    }

    /// Sets the named arguments of a call, as the text of a JSON object.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let call = Message::service(Method::Request, "/service/slow").with_arguments(r#"{"text":"hello"}"#);
    /// assert_eq!(call.payload(), r#"{"text":"hello"}"#);
    /// ```
    ///
    /// They are those of the dialects that send arguments apart from the body: see [`arguments`](Message::arguments). The text is not checked
    /// here; extractors such as [`Arg`](crate::Arg) reject what is not a JSON object.
    pub fn with_arguments(mut self, arguments: impl Into<Bytes>) -> Message {
        self.0.arguments = arguments.into();
        self
    }

    /// Adds an extension, such as a [`RemoteAddr`]. It replaces an extension of the same type.
    ///
    /// ```
    /// use brubeck::{Message, Method, RemoteAddr};
    ///
    /// let message = Message::web(Method::Get, "/").with_extension(RemoteAddr([127, 0, 0, 1].into()));
    /// assert!(message.extensions().get::<RemoteAddr>().is_some());
    /// ```
    pub fn with_extension(mut self, value: impl Clone + Send + Sync + 'static) -> Message {
        self.extensions_mut().insert(value);
        self
    }

    pub(crate) fn with_parts(mut self, parts: Vec<Bytes>) -> Message {
        self.0.parts = parts;
        self
    }

    /// Returns the bytes to which the JSON of the body refers.
    pub(crate) fn parts(&self) -> &[Bytes] {
        &self.0.parts
    }

    pub(crate) fn with_operation(mut self, operation: Option<CalledOperation>) -> Message {
        self.0.operation = operation;
        self
    }

    /// Returns the operation of a contract that the call, or the call of the response, is for.
    pub(crate) fn operation(&self) -> Option<&CalledOperation> {
        self.0.operation.as_ref()
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
    ///
    /// ```
    /// use brubeck::{Kind, Message, Method};
    ///
    /// assert_eq!(Message::web(Method::Get, "/").kind(), Kind::Web);
    /// assert_eq!(Message::service(Method::Request, "/service/slow").kind(), Kind::Service);
    /// ```
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns the method, also as a handler argument of the type [`Method`].
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// assert_eq!(Message::web(Method::Put, "/").method(), Method::Put);
    /// ```
    ///
    /// A call has [`Method::Request`] unless its caller sets another one, and the response of a service has [`Method::Response`]. A
    /// HEAD request that a GET handler answers has [`Method::Head`].
    pub fn method(&self) -> Method {
        self.0.method
    }

    /// Returns the path, as its route matches it.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let message = Message::web(Method::Get, "/a/../caf%C3%A9?tab=menu");
    /// assert_eq!(message.path(), "/café");
    /// ```
    ///
    /// For a web request it is the text that its route has matched: percent-decoded, and without dot segments (`.` and `..`). An
    /// encoded `/` is a `/` in it. [`uri`](Self::uri) returns the path as it was sent. For a call or a response of a service it is
    /// the path as it was sent.
    pub fn path(&self) -> &str {
        if self.0.kind == Kind::Web {
            self.routed_path()
        } else {
            self.path_as_sent()
        }
    }

    /// Returns the text in which the captures of the route are.
    pub(crate) fn routed_path(&self) -> &str {
        let decoded = self.0.decoded_path.get_or_init(|| match self.0.kind {
            // The router stores the decoded path of a call, if there is one.
            Kind::Service | Kind::Response => None,
            Kind::Web => canonical_path(self.path_as_sent()).ok()?.into_decoded(),
        });
        decoded.as_deref().unwrap_or_else(|| self.path_as_sent())
    }

    /// Stores the decoded path, or `None` if it does not differ from the path that was sent.
    pub(crate) fn set_decoded_path(&mut self, decoded: Option<Box<str>>) {
        self.0.decoded_path = OnceLock::from(decoded);
    }

    /// Returns the path as it was sent: not percent-decoded and not normalised.
    pub(crate) fn path_as_sent(&self) -> &str {
        match &self.0.target {
            Target::Uri(target) => target.path(),
            Target::Text { path, .. } => path,
        }
    }

    /// Returns the query as it was sent, not percent-decoded, or `None` if there is no `?`. Calls of services have no query.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let message = Message::web(Method::Get, "/search").with_query("q=a%20b");
    /// assert_eq!(message.query(), Some("q=a%20b"));
    /// ```
    pub fn query(&self) -> Option<&str> {
        match &self.0.target {
            Target::Uri(target) => target.query(),
            Target::Text { query, .. } => query.as_deref(),
        }
    }

    /// Returns the path and query as they were sent, as a URI.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let message = Message::web(Method::Get, "/search?q=a%20b");
    /// assert_eq!(message.uri(), "/search?q=a%20b");
    /// // A space is not valid in a URI.
    /// assert_eq!(Message::service(Method::Request, "/a b").uri(), "/");
    /// ```
    ///
    /// Returns `/` if they are not a valid URI, which can happen for a call, or a message that a test created. The URI is percent-encoded and has
    /// neither a scheme nor a host; [`path`](Message::path) is the decoded path and [`query`](Message::query) the query alone. A handler takes
    /// it as an argument of the type [`http::Uri`].
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
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// assert!(Message::web(Method::Get, "/").headers().is_empty());
    /// ```
    ///
    /// For calls and responses of services, headers whose name or value is not valid in HTTP are omitted.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Returns the named arguments that a call has apart from its body, as the text of a JSON object.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let call = Message::service(Method::Request, "/service/slow").with_arguments(r#"{"text":"hello"}"#);
    /// assert_eq!(call.arguments(), r#"{"text":"hello"}"#);
    /// ```
    ///
    /// They are those of the dialects [`Branch`](crate::Dialect::Branch), [`Pypi`](crate::Dialect::Pypi) and
    /// [`Pypi01x`](crate::Dialect::Pypi01x). Brubeck's protocol and [`Seed`](crate::Dialect::Seed) send named arguments as members of the
    /// body. There the result is empty. [`payload`](Message::payload) returns the named arguments in both cases.
    pub fn arguments(&self) -> &Bytes {
        &self.0.arguments
    }

    /// Returns the body.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let message = Message::web(Method::Post, "/").with_body("hello");
    /// assert_eq!(message.body(), "hello");
    /// assert!(Message::web(Method::Get, "/").body().is_empty());
    /// ```
    ///
    /// It is complete and in memory, and at most as large as the [body limit](crate::App::body_limit) allows. It is empty if the
    /// handler streams the body with [`Upload`](crate::Upload). For the data of a call in any dialect, use
    /// [`payload`](Message::payload).
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Returns the bytes that typed extractors decode: the body, or the named arguments if the body is empty or `{}`.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// let call = Message::service(Method::Request, "/service/slow").with_arguments(r#"{"text":"hello"}"#);
    /// assert_eq!(call.payload(), r#"{"text":"hello"}"#);
    /// assert_eq!(call.with_body("[1]").payload(), "[1]");
    /// ```
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
    ///
    /// ```
    /// use brubeck::{Message, Method, Status};
    ///
    /// assert_eq!(Message::web(Method::Get, "/").status(), None);
    /// assert_eq!(Message::response("/service/slow", Status::OK).status(), Some(&Status::OK));
    /// ```
    pub fn status(&self) -> Option<&Status> {
        self.0.status.as_ref()
    }

    /// Returns the host and port that the client asked for. Returns `None` if a web request names none, and for other messages.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    /// use http::{HeaderMap, HeaderValue, header::HOST};
    ///
    /// let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("example.org:8080"))]);
    /// let message = Message::web(Method::Get, "/").with_headers(headers);
    /// assert_eq!(message.authority().map(|authority| authority.to_string()).as_deref(), Some("example.org:8080"));
    /// assert_eq!(Message::web(Method::Get, "/").authority(), None);
    /// ```
    ///
    /// For a message that a test created, it is the `host` header.
    pub fn authority(&self) -> Option<Authority> {
        Authority::parse(self.0.headers.get(HOST)?.as_bytes())
    }

    /// Returns the scheme of a web request. Other messages have [`Scheme::Http`].
    ///
    /// ```
    /// use brubeck::{Message, Method, Scheme};
    ///
    /// let message = Message::web(Method::Get, "/");
    /// assert_eq!(message.scheme(), Scheme::Http);
    /// assert_eq!(message.with_extension(Scheme::Https).scheme(), Scheme::Https);
    /// ```
    ///
    /// For a message that a test created, it is the `Scheme` in the extensions.
    pub fn scheme(&self) -> Scheme {
        self.0.client.scheme.or_in(&self.0.extensions)
    }

    /// Returns the version of HTTP of a web request.
    pub(crate) fn version(&self) -> Version {
        self.0.version
    }

    /// Returns the extensions, which front ends and `tower` layers add. They include the [`RemoteAddr`] of a web request, if
    /// it is known, and [`Scheme::Https`] if that is its scheme.
    ///
    /// ```
    /// use brubeck::{Message, Method};
    ///
    /// #[derive(Clone)]
    /// struct Tenant(&'static str);
    ///
    /// let message = Message::web(Method::Get, "/").with_extension(Tenant("blue"));
    /// assert_eq!(message.extensions().get::<Tenant>().map(|tenant| tenant.0), Some("blue"));
    /// ```
    pub fn extensions(&self) -> &Extensions {
        if self.0.client == WebClient::default() {
            return &self.0.extensions;
        }
        self.0.all_extensions.get_or_init(|| {
            let mut all = self.0.extensions.clone();
            self.0.client.add_to(&mut all);
            all
        })
    }

    /// Returns an extension. Use [`remote_addr`](Self::remote_addr) for the address of the peer.
    pub(crate) fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.extensions.get()
    }

    pub(crate) fn remote_addr(&self) -> Option<RemoteAddr> {
        self.0.client.address.or_else(|| self.extension().copied())
    }

    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        self.0.all_extensions.take();
        std::mem::take(&mut self.0.client).add_to(&mut self.0.extensions);
        &mut self.0.extensions
    }
}

impl MessageParts {
    fn new(kind: Kind, method: Method, target: Target) -> MessageParts {
        MessageParts {
            kind,
            method,
            target,
            decoded_path: OnceLock::new(),
            headers: HeaderMap::new(),
            arguments: Bytes::new(),
            body: Bytes::new(),
            parts: Vec::new(),
            status: None,
            client: WebClient::default(),
            version: Version::HTTP_11,
            deadline: None,
            call_meta: None,
            operation: None,
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

//! A client for web requests without a socket.

use super::cookie_jar::{CookieJar, CookieTarget};
#[cfg(feature = "mongrel2")]
use super::message_socket::TestMessageSocket;
use super::request::request_line;
use super::sockets::TestSockets;
#[cfg(feature = "http")]
use super::websocket::TestHandshake;
use super::{TestRequest, TestResponse};
use crate::app::{App, AppService};
use crate::authority::{Authority, Scheme};
#[cfg(feature = "http")]
use crate::http::InMemorySocket;
use crate::response::Body;
use http::header::{HOST, SET_COOKIE};
use http::{HeaderMap, Method, Request};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;

/// A client for tests that sends web requests to an application without a socket.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
///
/// #[get("^/visits$")]
/// async fn visits(session: Session) -> String {
///     let visits = session.get::<u32>("visits").unwrap_or(0) + 1;
///     session.set("visits", visits);
///     visits.to_string()
/// }
///
/// const ROUTES: Routes<()> = routes![visits];
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = TestClient::new(App::new(ROUTES, ()).cookie_secret("a secret of the test, 32 bytes long"));
/// client.get("/visits").await.assert_text("1");
/// client.get("/visits").await.assert_text("2");
/// # }
/// ```
///
/// It keeps cookies and sends them as a browser does (RFC 6265): by host, path, `Secure` and expiry, for which the paused clock of a test counts. Cookies that
/// browsers ignore are ignored, such as those of another domain, or with the prefix `__Host-` and another path than `/`. Requests to
/// `localhost` count as secure, and all requests come from the same site. It does not follow redirects; see [`TestResponse::assert_redirect`].
#[derive(Debug)]
pub struct TestClient {
    service: AppService,
    #[cfg_attr(not(any(feature = "http", feature = "mongrel2")), allow(dead_code))]
    sockets: TestSockets,
    cookies: Mutex<CookieJar>,
}

impl TestClient {
    /// Creates a client of this application, with no cookies: see the example of [`TestClient`].
    ///
    /// # Panics
    ///
    /// Panics if the configuration of the application is not valid. The message contains the reason.
    #[track_caller]
    pub fn new<S: Send + Sync + 'static>(app: App<S>) -> TestClient {
        match app.erase().into_application() {
            Ok((application, service)) => TestClient::over(service, TestSockets::new(application, None)),
            Err(error) => panic!("the configuration of the application is not valid: {error:?}"),
        }
    }

    /// Creates a client of an assembled application.
    pub(super) fn over(service: AppService, sockets: TestSockets) -> TestClient {
        TestClient {
            service,
            sockets,
            cookies: Mutex::default(),
        }
    }

    /// Creates another client of the same application, with no cookies: another browser.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::testing::TestClient;
    ///
    /// #[websocket("^/room$")]
    /// async fn room(mut socket: WebSocket, room: State<Broadcast>) {
    ///     let _subscription = room.join(&socket);
    ///     while let Some(message) = socket.recv().await {
    ///         room.send(message).await;
    ///     }
    /// }
    ///
    /// const ROUTES: Routes<Broadcast> = routes![room];
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
    /// # async fn main() {
    /// let ann = TestClient::new(App::new(ROUTES, Broadcast::new()));
    /// let ben = ann.another();
    /// let from_ann = ann.websocket("/room").await;
    /// let mut from_ben = ben.websocket("/room").await;
    /// from_ann.send("hello").await;
    /// from_ben.assert_text("hello").await;
    /// # }
    /// ```
    pub fn another(&self) -> TestClient {
        TestClient::over(self.service.clone(), self.sockets.clone())
    }

    /// Creates a GET request.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/user/7").await.assert_status(200);
    /// # }
    /// ```
    ///
    /// `target` is a path with an optional query: `/search?q=jazz`. The request is for `http://localhost`, unless the target is a whole URL:
    /// `https://example.org/search?q=jazz`. The request is sent when it is awaited.
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI.
    pub fn get(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::GET, target)
    }

    /// Creates a HEAD request.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.head("/user/7").await.assert_status(200).assert_text("");
    /// # }
    /// ```
    ///
    /// The target is that of [`get`](TestClient::get).
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI, as [`get`](TestClient::get) does.
    pub fn head(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::HEAD, target)
    }

    /// Creates a POST request.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.post("/login").form([("name", "dave")]).await.assert_redirect("/");
    /// # }
    /// ```
    ///
    /// The target is that of [`get`](TestClient::get).
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI, as [`get`](TestClient::get) does.
    pub fn post(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::POST, target)
    }

    /// Creates a PUT request.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.put("/user/7").json("Dave").await.assert_status(204);
    /// # }
    /// ```
    ///
    /// The target is that of [`get`](TestClient::get).
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI, as [`get`](TestClient::get) does.
    pub fn put(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PUT, target)
    }

    /// Creates a PATCH request.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.patch("/user/7").json("Dave").await.assert_status(204);
    /// # }
    /// ```
    ///
    /// The target is that of [`get`](TestClient::get).
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI, as [`get`](TestClient::get) does.
    pub fn patch(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PATCH, target)
    }

    /// Creates a DELETE request.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.delete("/user/7").await.assert_status(204);
    /// # }
    /// ```
    ///
    /// The target is that of [`get`](TestClient::get).
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI, as [`get`](TestClient::get) does.
    pub fn delete(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::DELETE, target)
    }

    /// Creates an OPTIONS request.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.options("/user/7").await.assert_header("allow", "GET, HEAD, OPTIONS");
    /// # }
    /// ```
    ///
    /// The target is that of [`get`](TestClient::get).
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI, as [`get`](TestClient::get) does.
    pub fn options(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::OPTIONS, target)
    }

    /// Creates a request with any method.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.request(http::Method::TRACE, "/").await.assert_status(405);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI.
    pub fn request(&self, method: Method, target: &str) -> TestRequest<'_> {
        TestRequest::new(self, method, target)
    }

    /// Creates the handshake of a WebSocket.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/echo").await;
    /// socket.send("hello").await;
    /// socket.assert_text("hello").await;
    /// # }
    /// ```
    ///
    /// The target is that of [`get`](TestClient::get), and may also begin with `ws://` or `wss://`. The handshake is sent when it is awaited. It
    /// passes through everything that one over a socket passes through: layers, hooks, limits, the check of the origin. The frames are
    /// those of the embedded server, with its limits and pings; compression is used if the handshake offers it
    /// (`sec-websocket-extensions`). Requires the feature `http`.
    ///
    /// # Panics
    ///
    /// Panics if `target` is not a valid URI, as [`get`](TestClient::get) does.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    #[track_caller]
    pub fn websocket(&self, target: &str) -> TestHandshake<'_> {
        TestHandshake::new(self, target)
    }

    /// Connects to a message socket, as behind Mongrel2: `@name` for JSON or `<name` for XML.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.message_socket("@news");
    /// socket.send_json(&serde_json::json!({ "subscribe": "jazz" })).await;
    /// socket.assert_json(serde_json::json!({ "subscribed": true })).await;
    /// # }
    /// ```
    ///
    /// Requires the feature `mongrel2`. A message for which there is no handler is answered with the status 404, as Mongrel2 would if its
    /// configuration has a route of this name.
    ///
    /// # Panics
    ///
    /// Panics if the name does not begin with `@` or `<`.
    #[cfg(feature = "mongrel2")]
    #[cfg_attr(docsrs, doc(cfg(feature = "mongrel2")))]
    #[track_caller]
    pub fn message_socket(&self, name: &str) -> TestMessageSocket {
        TestMessageSocket::connect(self.sockets.application.clone(), name)
    }

    /// Returns the value of a cookie, whatever its host and path, or `None` if the client has no cookie of this name.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.get("/theme/dark").await;
    /// assert_eq!(client.cookie("theme").as_deref(), Some("dark"));
    /// # }
    /// ```
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().get(name)
    }

    /// Adds a cookie that is sent with every request. It replaces the cookies of this name. The value is sent without encoding.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.keep_cookie("theme", "dark");
    /// client.get("/").await.assert_contains("class=\"dark\"");
    /// # }
    /// ```
    pub fn keep_cookie(&self, name: &str, value: &str) {
        self.jar().keep(name, value);
    }

    /// Removes all cookies.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.forget_cookies();
    /// client.get("/account").await.assert_status(401);
    /// # }
    /// ```
    pub fn forget_cookies(&self) {
        self.jar().clear();
    }

    pub(super) fn cookie_header(&self, request: &Request<Body>) -> String {
        self.jar().header(&target_of(request))
    }

    pub(super) async fn send(&self, request: Request<Body>) -> http::Response<Body> {
        let target = target_of(&request);
        let response = self.service.respond(request).await;
        self.keep_cookies(response.headers(), &target);
        response
    }

    pub(super) async fn send_and_collect(&self, request: Request<Body>) -> TestResponse {
        let request_line = request_line(&request);
        TestResponse::collect(request_line, self.send(request).await).await
    }

    /// Sends a WebSocket handshake.
    ///
    /// # Errors
    ///
    /// Returns the response if the WebSocket was not opened.
    #[cfg(feature = "http")]
    pub(super) async fn open_websocket(
        &self,
        request: Request<Body>,
    ) -> Result<InMemorySocket, http::Response<Body>> {
        let target = target_of(&request);
        let opened = self
            .sockets
            .server
            .open(request, |request| self.service.respond(request))
            .await;
        let headers = match &opened {
            Ok(socket) => socket.response.headers(),
            Err(response) => response.headers(),
        };
        self.keep_cookies(headers, &target);
        opened
    }

    /// Begins a request in a task.
    #[track_caller]
    pub(super) fn spawn(&self, request: Request<Body>) -> JoinHandle<http::Response<Body>> {
        tokio::spawn(self.service.respond(request))
    }

    /// Keeps the cookies of a response.
    pub(super) fn keep_cookies(&self, headers: &HeaderMap, target: &CookieTarget) {
        let mut jar = self.jar();
        for line in headers.get_all(SET_COOKIE) {
            jar.set(line.as_bytes(), target);
        }
    }

    fn jar(&self) -> MutexGuard<'_, CookieJar> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn target_of(request: &Request<Body>) -> CookieTarget {
    let uri = request.uri();
    let authority = match uri.authority() {
        Some(authority) => Authority::parse(authority.as_str().as_bytes()),
        None => request
            .headers()
            .get(HOST)
            .and_then(|host| Authority::parse(host.as_bytes())),
    };
    let scheme = request.extensions().get().copied().unwrap_or(Scheme::Http);
    CookieTarget::new(scheme, authority, uri.path())
}

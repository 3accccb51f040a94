//! The handshake of a test WebSocket.

use super::TestWebSocket;
use crate::http::InMemorySocket;
use crate::response::Body;
use crate::testing::{TestClient, TestRequest, TestResponse};
use crate::websocket::Deflate;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Response};
use std::net::IpAddr;
use std::panic::Location;
use tokio::io::{AsyncRead, AsyncWrite};

/// A WebSocket handshake of a [`TestClient`]. Awaiting it opens the WebSocket and returns a [`TestWebSocket`].
///
/// It has the headers that a browser sends, with the cookies of the client, and with the `origin` of a page of the application.
///
/// # Examples
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
///
/// #[websocket("^/chat$", protocols = ["v2.chat"])]
/// async fn chat(socket: WebSocket) -> Result<(), Closed> {
///     socket.send("welcome").await
/// }
///
/// const ROUTES: Routes<()> = routes![chat];
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = TestClient::new(App::new(ROUTES, ()));
/// let mut socket = client.websocket("/chat").protocols(["v3.chat", "v2.chat"]).await;
/// assert_eq!(socket.protocol(), Some("v2.chat"));
/// socket.assert_text("welcome").await;
///
/// client.websocket("/chat").origin("https://evil.example").rejection().await.assert_status(403);
/// client.websocket("/missing").rejection().await.assert_status(404);
/// # }
/// ```
#[must_use = "a WebSocket is only opened when its handshake is awaited"]
#[derive(Debug)]
pub struct TestHandshake<'a> {
    request: TestRequest<'a>,
    protocols: Vec<String>,
    origin: HandshakeOrigin,
}

/// The `origin` header of a handshake.
#[derive(Debug)]
enum HandshakeOrigin {
    /// That of the request: the page is one of the application.
    Own,
    Other(String),
    None,
}

impl<'a> TestHandshake<'a> {
    #[track_caller]
    pub(in crate::testing) fn new(client: &'a TestClient, target: &str) -> TestHandshake<'a> {
        let target = match target.split_once("://") {
            Some(("ws", rest)) => format!("http://{rest}"),
            Some(("wss", rest)) => format!("https://{rest}"),
            _ => target.to_owned(),
        };
        TestHandshake {
            request: TestRequest::new(client, Method::GET, &target),
            protocols: Vec::new(),
            origin: HandshakeOrigin::Own,
        }
    }

    /// Adds a header, see [`TestRequest::header`]. One of the handshake itself replaces the header that this client would send.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").header("accept-language", "de").await;
    /// client.websocket("/chat").header("sec-websocket-version", "8").rejection().await.assert_status(426);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if HTTP does not allow the name or the value.
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> TestHandshake<'a> {
        if name.eq_ignore_ascii_case(ORIGIN.as_str()) {
            self.origin = HandshakeOrigin::None;
        }
        self.request = self.request.header(name, value);
        self
    }

    /// Offers subprotocols, in the order of preference of the client.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").protocols(["v2.chat", "v1.chat"]).await;
    /// # }
    /// ```
    pub fn protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> TestHandshake<'a> {
        self.protocols = protocols.into_iter().map(P::into).collect();
        self
    }

    /// Sets the origin of the page that opens the WebSocket, instead of the origin of the request.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.websocket("/chat").origin("https://evil.example").rejection().await.assert_status(403);
    /// # }
    /// ```
    pub fn origin(mut self, origin: &str) -> TestHandshake<'a> {
        self.origin = HandshakeOrigin::Other(origin.to_owned());
        self
    }

    /// Sends no origin, as clients that are not browsers.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").without_origin().await;
    /// # }
    /// ```
    pub fn without_origin(mut self) -> TestHandshake<'a> {
        self.origin = HandshakeOrigin::None;
        self
    }

    /// Sets the address of the client, see [`TestRequest::from`].
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").from([10, 0, 0, 7].into()).await;
    /// # }
    /// ```
    pub fn from(mut self, address: IpAddr) -> TestHandshake<'a> {
        self.request = self.request.from(address);
        self
    }

    /// Sends the handshake and returns the response of an application that does not open the WebSocket.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// client.websocket("/admin/log").rejection().await.assert_status(401);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the application opens the WebSocket.
    #[track_caller]
    pub fn rejection(self) -> impl Future<Output = TestResponse> + Send + use<'a> {
        let caller = Location::caller();
        async move {
            let opening = self.open();
            match opening.await {
                HandshakeOutcome::Rejected(response) => response,
                HandshakeOutcome::Accepted { response, .. } => {
                    panic!("expected a rejection, and the WebSocket was opened, at {caller}\n{response}")
                }
            }
        }
    }

    /// Opens the WebSocket and returns its connection below the frames, for tests that send frames of their own or invalid ones.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) -> std::io::Result<()> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let mut stream = client.websocket("/echo").stream().await;
    /// stream.write_all(b"\x81\x02hi").await?; // a frame that is not masked, against RFC 6455
    /// let mut close = Vec::new();
    /// stream.read_to_end(&mut close).await?;
    /// assert_eq!(close, b"\x88\x02\x03\xea"); // a close frame with code 1002
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the application does not open the WebSocket.
    #[track_caller]
    pub fn stream(
        self,
    ) -> impl Future<Output = impl AsyncRead + AsyncWrite + Unpin + Send + 'static + use<>> + Send + use<'a>
    {
        let caller = Location::caller();
        async move { self.opened(caller).await.1.stream }
    }

    async fn opened(
        self,
        caller: &'static Location<'static>,
    ) -> (TestResponse, InMemorySocket, Option<Deflate>) {
        match self.open().await {
            HandshakeOutcome::Accepted {
                response,
                socket,
                deflate,
            } => (response, *socket, deflate),
            HandshakeOutcome::Rejected(response) => {
                panic!("the WebSocket was not opened, at {caller}\n{response}")
            }
        }
    }

    async fn open(self) -> HandshakeOutcome {
        let TestHandshake {
            mut request,
            protocols,
            origin,
        } = self;
        let origin = match origin {
            HandshakeOrigin::Own => Some(request.own_origin()),
            HandshakeOrigin::Other(origin) => Some(origin),
            HandshakeOrigin::None => None,
        };
        if let Some(origin) = origin {
            request = request.header(ORIGIN.as_str(), origin);
        }
        if !protocols.is_empty() {
            request = request.header(SEC_WEBSOCKET_PROTOCOL.as_str(), protocols.join(", "));
        }
        for (name, value) in [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            // The key of RFC 6455, section 1.3.
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            request = request.header_unless_set(name, value);
        }
        let (client, request) = request.into_request();
        let request_line = format!("{} {}", request.method(), request.uri());
        let offered = Deflate::negotiate(request.headers());
        match client.open_websocket(request).await {
            Ok(mut socket) => {
                let response = std::mem::replace(&mut socket.response, Response::new(Body::empty()));
                let (parts, _) = response.into_parts();
                let is_deflated = parts.headers.contains_key(SEC_WEBSOCKET_EXTENSIONS);
                HandshakeOutcome::Accepted {
                    response: TestResponse::new(request_line, parts, Bytes::new()),
                    socket: Box::new(socket),
                    deflate: offered.filter(|_| is_deflated),
                }
            }
            Err(response) => HandshakeOutcome::Rejected(TestResponse::collect(request_line, response).await),
        }
    }
}

/// The result of a handshake.
enum HandshakeOutcome {
    Accepted {
        response: TestResponse,
        socket: Box<InMemorySocket>,
        deflate: Option<Deflate>,
    },
    Rejected(TestResponse),
}

impl<'a> IntoFuture for TestHandshake<'a> {
    type Output = TestWebSocket;
    type IntoFuture = BoxFuture<'a, TestWebSocket>;

    /// Opens the WebSocket.
    ///
    /// # Panics
    ///
    /// The future panics if the application does not open the WebSocket. The message contains the response.
    #[track_caller]
    fn into_future(self) -> BoxFuture<'a, TestWebSocket> {
        let caller = Location::caller();
        Box::pin(async move {
            let (response, socket, deflate) = self.opened(caller).await;
            TestWebSocket::new(response, socket, deflate)
        })
    }
}

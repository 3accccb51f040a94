//! WebSockets without a socket.

mod connection;
mod frames;
mod handshake;

pub use handshake::TestHandshake;

use super::TestResponse;
use super::patience::wait_for;
use super::sockets::json_text;
use crate::http::InMemorySocket;
use crate::websocket::opcode::{BINARY, TEXT};
use crate::websocket::{Close, Deflate, SocketMessage};
use bytes::Bytes;
use connection::TestConnection;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::panic::Location;
use std::time::Duration;
use tokio::sync::oneshot;

/// A WebSocket between a test and a handler. [`TestClient::websocket`](super::TestClient::websocket) opens one.
///
/// It reads at all times, as a browser does: messages wait for [`recv`](TestWebSocket::recv), and pings are answered. Dropping it breaks the connection without a
/// close frame: the handler gets code 1006.
///
/// # Examples
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
///
/// #[websocket("^/chat$")]
/// async fn chat(mut socket: WebSocket, room: State<Broadcast>) {
///     let _subscription = room.join(&socket);
///     while let Some(message) = socket.recv().await {
///         if message.text() == Some("bye") {
///             return socket.close(Close::new(4000, "see you"));
///         }
///         room.send(message).await;
///     }
/// }
///
/// const ROUTES: Routes<Broadcast> = routes![chat];
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
/// # async fn main() {
/// let client = TestClient::new(App::new(ROUTES, Broadcast::new()));
/// let mut ann = client.websocket("/chat").await;
/// let mut ben = client.websocket("/chat").await;
/// ann.send("hello").await;
/// ann.assert_text("hello").await;
/// ben.assert_text("hello").await;
///
/// ben.send("bye").await;
/// ben.assert_closed(4000).await;
/// ann.close(Close::NORMAL).await;
/// # }
/// ```
///
/// # Waiting
///
/// What waits for the application panics after 10 seconds, instead of letting the test hang. With a paused clock, as in
/// `#[tokio::test(start_paused = true)]`, it is a day of that clock, which takes no real time. So a test can wait for a message that the handler sends
/// once an hour.
#[derive(Debug)]
pub struct TestWebSocket {
    connection: TestConnection,
    response: TestResponse,
    handler_ended: oneshot::Receiver<()>,
}

impl TestWebSocket {
    fn new(response: TestResponse, socket: InMemorySocket, deflate: Option<Deflate>) -> TestWebSocket {
        TestWebSocket {
            connection: TestConnection::start(socket.stream, deflate),
            response,
            handler_ended: socket.handler_ended,
        }
    }

    /// Returns the response that opened the WebSocket, with status 101.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").await;
    /// socket.response().assert_header("x-room", "jazz");
    /// # }
    /// ```
    pub fn response(&self) -> &TestResponse {
        &self.response
    }

    /// Returns the subprotocol that the server selected. Returns `None` if it selected none.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").protocols(["v2.chat", "v1.chat"]).await;
    /// assert_eq!(socket.protocol(), Some("v1.chat"));
    /// # }
    /// ```
    pub fn protocol(&self) -> Option<&str> {
        self.response.header(SEC_WEBSOCKET_PROTOCOL.as_str())
    }

    /// Sends a message: text from a `&str` or a `String`, binary from `Bytes` or a `Vec<u8>`.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").await;
    /// socket.send("hello").await;
    /// socket.send(vec![1, 2, 3]).await;
    /// # }
    /// ```
    ///
    /// Returns when the message is on its way, before the handler has received it. It waits while 256 KiB are on their way and the handler does
    /// not receive. If the connection is closed, the message is discarded, as in browsers.
    pub async fn send(&self, message: impl Into<SocketMessage>) {
        let message = message.into();
        let opcode = match message {
            SocketMessage::Text(_) => TEXT,
            SocketMessage::Binary(_) => BINARY,
        };
        self.connection
            .write(frames::encode(opcode, message.as_bytes()))
            .await;
    }

    /// Sends a JSON value as a text message.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let socket = client.websocket("/chat").await;
    /// socket.send_json(&["hello"]).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be serialized.
    pub async fn send_json(&self, value: &(impl Serialize + ?Sized)) {
        self.send(json_text(value)).await;
    }

    /// Receives the next message. Returns `None` once the connection is closed; [`ended`](TestWebSocket::ended) has the reason.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/countdown").await;
    /// while let Some(message) = socket.recv().await {
    ///     println!("{message:?}");
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if there is no message in [time](TestWebSocket#waiting), like the other methods that receive.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Option<SocketMessage>> + Send {
        self.recv_at(Location::caller())
    }

    async fn recv_at(&mut self, caller: &'static Location<'static>) -> Option<SocketMessage> {
        wait_for(self.connection.recv(), caller, || {
            "received no message and no close".to_owned()
        })
        .await
    }

    /// Receives the next message, whose content must be `expected`, such as "a text message".
    async fn recv_expected(&mut self, expected: &str, caller: &'static Location<'static>) -> SocketMessage {
        let received = wait_for(self.connection.recv(), caller, || {
            format!("expected {expected}, and received no message")
        });
        match received.await {
            Some(message) => message,
            None => panic!("expected {expected}, but {}, at {caller}", self.describe_end()),
        }
    }

    /// Receives a text message.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/chat").await;
    /// assert!(socket.recv_text().await.starts_with("Welcome"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the next message is binary, or if the connection is closed.
    #[track_caller]
    pub fn recv_text(&mut self) -> impl Future<Output = String> + Send {
        let caller = Location::caller();
        async move {
            match self.recv_expected("a text message", caller).await {
                SocketMessage::Text(text) => text,
                binary => panic!("expected a text message, got {}, at {caller}", describe(&binary)),
            }
        }
    }

    /// Receives a binary message.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/screen").await;
    /// assert_eq!(socket.recv_bytes().await.len(), 1024);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the next message is text, or if the connection is closed.
    #[track_caller]
    pub fn recv_bytes(&mut self) -> impl Future<Output = Bytes> + Send {
        let caller = Location::caller();
        async move {
            match self.recv_expected("a binary message", caller).await {
                SocketMessage::Binary(bytes) => bytes,
                text => panic!("expected a binary message, got {}, at {caller}", describe(&text)),
            }
        }
    }

    /// Receives a message, and deserializes it from JSON.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/chat").await;
    /// let members: Vec<String> = socket.recv_json().await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the next message is not JSON or does not match the type, or if the connection is closed.
    #[track_caller]
    pub fn recv_json<T: DeserializeOwned>(&mut self) -> impl Future<Output = T> + Send {
        let caller = Location::caller();
        async move {
            let message = self.recv_expected("a JSON message", caller).await;
            match message.read() {
                Ok(value) => value,
                Err(error) => panic!("cannot deserialize {}: {error}, at {caller}", describe(&message)),
            }
        }
    }

    /// Asserts that the next message is this text.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/echo").await;
    /// socket.send("hello").await;
    /// socket.assert_text("hello").await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if it is not, if the connection is closed, or if no message arrives within 10 seconds.
    #[track_caller]
    pub fn assert_text(&mut self, text: &str) -> impl Future<Output = ()> + Send {
        self.assert_message(SocketMessage::from(text), Location::caller())
    }

    /// Asserts that the next message is binary with this content.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/echo").await;
    /// socket.send(vec![1, 2, 3]).await;
    /// socket.assert_bytes([1, 2, 3]).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if it is not, if the connection is closed, or if no message arrives within 10 seconds.
    #[track_caller]
    pub fn assert_bytes(&mut self, bytes: impl AsRef<[u8]>) -> impl Future<Output = ()> + Send {
        self.assert_message(SocketMessage::from(bytes.as_ref().to_vec()), Location::caller())
    }

    async fn assert_message(&mut self, expected: SocketMessage, caller: &'static Location<'static>) {
        let message = self.recv_expected(&describe(&expected), caller).await;
        assert!(
            message == expected,
            "expected {}, got {}, at {caller}",
            describe(&expected),
            describe(&message)
        );
    }

    /// Asserts that the next message is this JSON value. The order of fields and white space do not matter.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/chat").await;
    /// socket.assert_json(serde_json::json!({ "members": 1 })).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if it is not, if the connection is closed, or if no message arrives within 10 seconds.
    #[track_caller]
    pub fn assert_json(&mut self, value: impl Serialize) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        let expected = match serde_json::to_value(value) {
            Ok(value) => value,
            Err(error) => panic!("cannot serialize the expected value to JSON: {error}"),
        };
        async move {
            let message = self.recv_expected(&format!("the JSON {expected}"), caller).await;
            let is_equal = message.read::<Value>().is_ok_and(|value| value == expected);
            assert!(
                is_equal,
                "expected the JSON {expected}, got {}, at {caller}",
                describe(&message)
            );
        }
    }

    /// Asserts that no message arrives for this time, and that the connection stays open.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # use std::time::Duration;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/chat").await;
    /// socket.assert_silent(Duration::from_secs(60)).await;
    /// # }
    /// ```
    ///
    /// With a paused clock, the time passes at once.
    ///
    /// # Panics
    ///
    /// Panics if a message arrives, or if the connection is closed.
    #[track_caller]
    pub fn assert_silent(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move {
            match tokio::time::timeout(time, self.connection.recv()).await {
                Err(_) => {}
                Ok(Some(message)) => {
                    panic!(
                        "expected no message for {time:?}, got {}, at {caller}",
                        describe(&message)
                    )
                }
                Ok(None) => panic!(
                    "expected no message for {time:?}, but {}, at {caller}",
                    self.describe_end()
                ),
            }
        }
    }

    /// Waits until the server closes the connection, and asserts the code.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/chat").await;
    /// socket.send("not a chat message").await;
    /// socket.assert_closed(1008).await;
    /// assert_eq!(socket.ended().unwrap().reason(), "not a chat message");
    /// # }
    /// ```
    ///
    /// It is 1006 if the connection is lost without a close frame, and 1005 if the frame has no code.
    ///
    /// # Panics
    ///
    /// Panics if the code is another one, or if a message arrives before the close.
    #[track_caller]
    pub fn assert_closed(&mut self, code: u16) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move {
            let received = wait_for(self.connection.recv(), caller, || {
                format!("expected a close with code {code}, and the connection stayed open")
            });
            if let Some(message) = received.await {
                panic!(
                    "expected a close with code {code}, got {}, at {caller}",
                    describe(&message)
                );
            }
            let is_equal = self.ended().is_some_and(|close| close.code() == code);
            assert!(
                is_equal,
                "expected a close with code {code}, but {}, at {caller}",
                self.describe_end()
            );
        }
    }

    /// Closes the connection, and waits until the handler has returned. Messages that were not received are discarded.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient, room: Broadcast) {
    /// let mut socket = client.websocket("/chat").await;
    /// assert_eq!(room.len(), 1);
    /// socket.close(Close::NORMAL).await;
    /// assert_eq!(room.len(), 0);
    /// # }
    /// ```
    ///
    /// [`ended`](TestWebSocket::ended) has the close with which the server replied. If the connection is closed already, this only waits for
    /// the handler.
    ///
    /// # Panics
    ///
    /// Panics if the handler does not return in [time](TestWebSocket#waiting).
    #[track_caller]
    pub fn close(&mut self, close: Close) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move {
            self.connection.write(frames::encode_close(&close)).await;
            let ended = async {
                while self.connection.recv().await.is_some() {}
                // An error means that the runtime has dropped the handler.
                let _ = (&mut self.handler_ended).await;
            };
            wait_for(ended, caller, || {
                "closed the WebSocket, and the handler did not return".to_owned()
            })
            .await;
        }
    }

    /// Returns the close of the server. Returns `None` while the connection is open.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.websocket("/countdown").await;
    /// while socket.recv().await.is_some() {}
    /// assert_eq!(socket.ended().unwrap().code(), 1000);
    /// # }
    /// ```
    ///
    /// The code is 1006 if the connection is lost without a close frame, and 1005 if the frame has no code.
    pub fn ended(&self) -> Option<&Close> {
        self.connection.ended()
    }

    /// Stops reading: from now on this client neither takes messages nor answers pings, like a computer that sleeps.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::testing::TestClient;
    ///
    /// #[websocket("^/chat$")]
    /// async fn chat(mut socket: WebSocket) {
    ///     while socket.recv().await.is_some() {}
    /// }
    /// # const ROUTES: Routes<()> = routes![chat];
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
    /// # async fn main() {
    /// # let client = TestClient::new(App::new(ROUTES, ()));
    /// let mut socket = client.websocket("/chat").await;
    /// socket.freeze();
    /// tokio::time::sleep(std::time::Duration::from_secs(300)).await;
    /// socket.thaw();
    /// socket.assert_closed(1006).await;
    /// # }
    /// ```
    ///
    /// 256 KiB fit in the buffers between the server and this client. Sending works as before.
    pub fn freeze(&self) {
        self.connection.freeze(true);
    }

    /// Reads again after [`freeze`](TestWebSocket::freeze), whose example calls it.
    pub fn thaw(&self) {
        self.connection.freeze(false);
    }

    fn describe_end(&self) -> String {
        match self.ended() {
            Some(close) if *close == Close::BROKEN => "the connection was lost (1006)".to_owned(),
            Some(close) => format!("the server closed with {}", close.to_string().trim_end()),
            None => "the connection is open".to_owned(),
        }
    }
}

/// Describes a message with at most 200 characters of its content.
fn describe(message: &SocketMessage) -> String {
    match message {
        SocketMessage::Text(text) => {
            let start: String = text.chars().take(200).collect();
            let more = if start.len() < text.len() { ".." } else { "" };
            format!("the text {start:?}{more}")
        }
        SocketMessage::Binary(bytes) => {
            let start = bytes.get(..100).unwrap_or(bytes);
            format!("{} binary bytes: \"{}\"", bytes.len(), start.escape_ascii())
        }
    }
}

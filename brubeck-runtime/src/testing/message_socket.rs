//! Message sockets without a socket and without Mongrel2.

use super::patience::wait_for;
use super::sockets::json_text;
use crate::handler::Application;
use crate::mongrel2::InMemoryMessageSocket;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A client of a JSON or XML message socket, from [`TestClient::message_socket`](super::TestClient::message_socket).
///
/// Dropping it is a client that disconnects: [`SocketSender::closed`](crate::SocketSender::closed) completes.
///
/// # Examples
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
///
/// #[json_socket("@news")]
/// async fn news(topic: Arg<String>, client: SocketSender, news: State<Broadcast>) -> Json<String> {
///     news.until_closed(&client);
///     Json(format!("subscribed to {}", topic.0))
/// }
///
/// #[post("^/news$")]
/// async fn publish(text: Text, news: State<Broadcast>) {
///     news.send(text.0).await;
/// }
///
/// const ROUTES: Routes<Broadcast> = routes![news, publish];
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
/// # async fn main() {
/// let client = TestClient::new(App::new(ROUTES, Broadcast::new()));
/// let mut socket = client.message_socket("@news");
/// socket.send_json(&serde_json::json!({ "topic": "jazz" })).await;
/// socket.assert_json("subscribed to jazz").await;
/// client.post("/news").header("content-type", "text/plain").body("Take Five").await.assert_status(204);
/// socket.assert_text("Take Five").await;
/// # }
/// ```
#[derive(Debug)]
pub struct TestMessageSocket {
    socket: InMemoryMessageSocket,
    messages: mpsc::UnboundedReceiver<Option<Bytes>>,
    is_closed: bool,
}

impl TestMessageSocket {
    #[track_caller]
    pub(super) fn connect(application: Arc<dyn Application>, name: &str) -> TestMessageSocket {
        assert!(
            name.starts_with(['@', '<']),
            "`{name}` is not the name of a message socket: expected `@name` for JSON, or `<name` for XML"
        );
        let (socket, messages) = InMemoryMessageSocket::connect(application, name);
        TestMessageSocket {
            socket,
            messages,
            is_closed: false,
        }
    }

    /// Sends a message, which need not be JSON.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.message_socket("<chat");
    /// socket.send("<chat>hello</chat>").await;
    /// # }
    /// ```
    ///
    /// Returns when its handler has returned; what it returned is the next message, if it has content.
    pub async fn send(&self, text: impl Into<Bytes>) {
        self.socket.send(text.into()).await;
    }

    /// Sends a JSON value as a message: see the example of [`TestMessageSocket`].
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be serialized.
    pub async fn send_json(&self, value: &(impl Serialize + ?Sized)) {
        self.send(json_text(value)).await;
    }

    /// Receives the next message, without the NUL that ends it. Returns `None` once the application has closed the connection.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.message_socket("@news");
    /// while let Some(message) = socket.recv().await {
    ///     println!("{message}");
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if there is no message within 10 seconds, or within a day of a paused clock, like the other methods that receive. Panics if the
    /// message is not UTF-8.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Option<String>> + Send {
        self.recv_expected("a message or a close", Location::caller())
    }

    async fn recv_expected(&mut self, expected: &str, caller: &'static Location<'static>) -> Option<String> {
        wait_for(self.next(), caller, || {
            format!("expected {expected}, and received no message")
        })
        .await
    }

    /// Receives a message, and deserializes it from JSON.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.message_socket("@prices");
    /// let price: u32 = socket.recv_json().await;
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
            let Some(text) = self.recv_expected("a JSON message", caller).await else {
                panic!("expected a JSON message, but the connection is closed, at {caller}");
            };
            match serde_json::from_str(&text) {
                Ok(value) => value,
                Err(error) => panic!("cannot deserialize the message {text:?}: {error}, at {caller}"),
            }
        }
    }

    /// Asserts that the next message is this text: see the example of [`TestMessageSocket`].
    ///
    /// # Panics
    ///
    /// Panics if it is not, or if the connection is closed.
    #[track_caller]
    pub fn assert_text(&mut self, text: &str) -> impl Future<Output = ()> + Send {
        let (caller, expected) = (Location::caller(), text.to_owned());
        async move {
            let received = self
                .recv_expected(&format!("the message {expected:?}"), caller)
                .await;
            assert!(
                received.as_ref() == Some(&expected),
                "expected the message {expected:?}, got {received:?}, at {caller}"
            );
        }
    }

    /// Asserts that the next message is this JSON value: see the example of [`TestMessageSocket`].
    ///
    /// The order of fields and white space do not matter.
    ///
    /// # Panics
    ///
    /// Panics if it is not, or if the connection is closed.
    #[track_caller]
    pub fn assert_json(&mut self, value: impl Serialize) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        let expected = match serde_json::to_value(value) {
            Ok(value) => value,
            Err(error) => panic!("cannot serialize the expected value to JSON: {error}"),
        };
        async move {
            let received = self.recv_expected(&format!("the JSON {expected}"), caller).await;
            let is_equal = received
                .as_ref()
                .is_some_and(|text| serde_json::from_str::<Value>(text).is_ok_and(|value| value == expected));
            assert!(
                is_equal,
                "expected the JSON {expected}, got {received:?}, at {caller}"
            );
        }
    }

    /// Asserts that no message arrives for this time, and that the connection stays open.
    ///
    /// ```
    /// # use brubeck::testing::TestClient;
    /// # async fn example(client: TestClient) {
    /// let mut socket = client.message_socket("@news");
    /// socket.assert_silent(std::time::Duration::from_secs(60)).await;
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
            if let Ok(received) = tokio::time::timeout(time, self.next()).await {
                panic!("expected no message for {time:?}, got {received:?}, at {caller}");
            }
        }
    }

    /// Returns the next message. Cancel safe.
    async fn next(&mut self) -> Option<String> {
        if self.is_closed {
            return None;
        }
        let Some(Some(bytes)) = self.messages.recv().await else {
            self.is_closed = true;
            return None;
        };
        let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        match std::str::from_utf8(text) {
            Ok(text) => Some(text.to_owned()),
            Err(error) => panic!("the message is not UTF-8: {error}: \"{}\"", text.escape_ascii()),
        }
    }
}

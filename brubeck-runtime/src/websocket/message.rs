//! The messages of WebSockets.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message of a WebSocket: text or binary ([RFC 6455, section 5.6](https://www.rfc-editor.org/rfc/rfc6455#section-5.6)).
///
/// ```
/// use brubeck::SocketMessage;
///
/// let message = SocketMessage::from("hello");
/// assert_eq!(message.text(), Some("hello"));
/// assert_eq!(SocketMessage::from(vec![0, 255]).text(), None);
/// ```
///
/// [`WebSocket::recv`](crate::WebSocket::recv) returns it, and [`WebSocket::send`](crate::WebSocket::send) takes everything that converts
/// into it. Control frames are handled by the server. The set is closed: WebSockets have no other data messages, so a `match` needs no `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketMessage {
    /// A text message, which is UTF-8: a `&str` or `String` converts into it. Browsers receive a string.
    Text(String),
    /// A binary message: [`Bytes`] or a `Vec<u8>` converts into it. Browsers receive a `Blob` or an `ArrayBuffer`.
    Binary(Bytes),
}

impl SocketMessage {
    /// Creates a text message with a JSON value.
    ///
    /// ```
    /// use brubeck::SocketMessage;
    ///
    /// assert_eq!(SocketMessage::json(&[1, 2])?.text(), Some("[1,2]"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`serde_json::Error`] if the value cannot be serialized, such as a map whose keys are structs.
    pub fn json(value: &impl Serialize) -> serde_json::Result<SocketMessage> {
        serde_json::to_string(value).map(SocketMessage::Text)
    }

    /// Returns the text. Returns `None` for a binary message.
    ///
    /// ```
    /// use brubeck::SocketMessage;
    ///
    /// assert_eq!(SocketMessage::from("hello").text(), Some("hello"));
    /// assert_eq!(SocketMessage::from(vec![0, 255]).text(), None);
    /// ```
    pub fn text(&self) -> Option<&str> {
        match self {
            SocketMessage::Text(text) => Some(text),
            SocketMessage::Binary(_) => None,
        }
    }

    /// Returns the content as bytes.
    ///
    /// ```
    /// assert_eq!(brubeck::SocketMessage::from("hello").as_bytes(), b"hello");
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            SocketMessage::Text(text) => text.as_bytes(),
            SocketMessage::Binary(bytes) => bytes,
        }
    }

    /// Deserializes the content from JSON.
    ///
    /// ```
    /// use brubeck::SocketMessage;
    ///
    /// let numbers: Vec<u8> = SocketMessage::from("[1,2]").read()?;
    /// assert_eq!(numbers, [1, 2]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`serde_json::Error`] if the content is not JSON, or cannot be deserialized into `T`. A handler of `#[websocket]` that
    /// returns it closes the WebSocket with the code 1011; to close it with another one, return a [`Close`](crate::Close).
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(self.as_bytes())
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),*) => { $(
        impl From<$source> for SocketMessage {
            fn from(content: $source) -> SocketMessage {
                SocketMessage::$variant(content.into())
            }
        }
    )* };
}

from!(String => Text, &str => Text, Bytes => Binary, Vec<u8> => Binary);

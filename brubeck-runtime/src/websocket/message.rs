//! The messages of WebSockets.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message of a WebSocket: text or binary. Control frames are handled by the server.
///
/// ```
/// use brubeck::SocketMessage;
///
/// let message = SocketMessage::from("hello");
/// assert_eq!(message.text(), Some("hello"));
/// assert_eq!(SocketMessage::from(vec![0, 255]).text(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketMessage {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

impl SocketMessage {
    /// Creates a text message with a JSON value.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be serialized.
    pub fn json(value: &impl Serialize) -> serde_json::Result<SocketMessage> {
        serde_json::to_string(value).map(SocketMessage::Text)
    }

    /// Returns the text. Returns `None` for a binary message.
    pub fn text(&self) -> Option<&str> {
        match self {
            SocketMessage::Text(text) => Some(text),
            SocketMessage::Binary(_) => None,
        }
    }

    /// Returns the content as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            SocketMessage::Text(text) => text.as_bytes(),
            SocketMessage::Binary(bytes) => bytes,
        }
    }

    /// Deserializes the content from JSON.
    ///
    /// # Errors
    ///
    /// Returns an error if the content is not JSON, or cannot be deserialized into `T`.
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

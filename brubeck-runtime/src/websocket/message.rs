//! What goes over a WebSocket.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One message of a WebSocket: text or bytes. Pings are answered, and closes told, without the handler.
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
    /// Text in UTF-8.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl SocketMessage {
    /// A text with a JSON value.
    ///
    /// # Errors
    ///
    /// The value cannot be serialised.
    pub fn json(value: &impl Serialize) -> serde_json::Result<SocketMessage> {
        serde_json::to_string(value).map(SocketMessage::Text)
    }

    /// The text; `None` for bytes.
    pub fn text(&self) -> Option<&str> {
        match self {
            SocketMessage::Text(text) => Some(text),
            SocketMessage::Binary(_) => None,
        }
    }

    /// The content, of either sort.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            SocketMessage::Text(text) => text.as_bytes(),
            SocketMessage::Binary(bytes) => bytes,
        }
    }

    /// Reads the content as JSON.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not of this type.
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

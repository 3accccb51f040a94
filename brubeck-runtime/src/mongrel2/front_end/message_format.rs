//! What a socket that speaks no HTTP is answered: a text and a NUL.

use crate::response::{Payload, Response};
use crate::status::Status;
use crate::websocket::nul_terminated as ended;
use bytes::Bytes;

/// The language of a message socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum MessageFormat {
    Json,
    Xml,
}

impl MessageFormat {
    /// Of a path as Mongrel2 gives it: `@name` or `<name`.
    pub(in crate::mongrel2) fn of(path: &[u8]) -> MessageFormat {
        match path.first() {
            Some(b'<') => MessageFormat::Xml,
            _ => MessageFormat::Json,
        }
    }

    /// What a response says; `None` where it says nothing, and all is well.
    pub(in crate::mongrel2) async fn of_response(self, response: Response, limit: usize) -> Option<Bytes> {
        let (status, _, payload) = response.into_parts();
        match payload {
            Payload::Json(text) | Payload::Bytes(text) => Some(ended(&text)),
            Payload::Stream(body) => match body.collect(limit).await {
                Ok(text) => Some(ended(&text)),
                Err(error) => {
                    tracing::warn!(%error, "the answer to a message broke off");
                    Some(self.status(&Status::INTERNAL_SERVER_ERROR))
                }
            },
            _ if status == Status::OK => None,
            _ => Some(self.status(&status)),
        }
    }

    /// A status, where there is nothing else to say.
    pub(in crate::mongrel2) fn status(self, status: &Status) -> Bytes {
        let code = status.code();
        ended(&match self {
            MessageFormat::Json => serde_json::json!({"status": code, "reason": status.text()})
                .to_string()
                .into_bytes(),
            MessageFormat::Xml => format!("<error status=\"{code}\"/>").into_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::IntoReply;

    #[tokio::test]
    async fn every_answer_is_one_message() {
        let say = |words: MessageFormat, response: Response| words.of_response(response, 100);
        let text = Response::text(Status::OK, "a\0b");
        assert_eq!(say(MessageFormat::Json, text).await.unwrap(), "ab\0");
        assert_eq!(say(MessageFormat::Json, ().into_reply()).await, None);
        assert_eq!(
            say(MessageFormat::of(b"@chat"), Status::NOT_FOUND.into_reply())
                .await
                .unwrap(),
            "{\"reason\":\"Not Found\",\"status\":404}\0"
        );
        assert_eq!(
            say(MessageFormat::of(b"<chat"), Status::NOT_FOUND.into_reply())
                .await
                .unwrap(),
            "<error status=\"404\"/>\0"
        );
    }
}

//! The encoding of responses on message sockets: a JSON or XML text, terminated by a NUL.

use crate::response::{Payload, Response};
use crate::status::Status;
use crate::websocket::nul_terminated;
use bytes::Bytes;

/// The format of the messages on a message socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum MessageFormat {
    Json,
    Xml,
}

impl MessageFormat {
    /// Returns the format of a message with this path. Mongrel2 gives JSON messages the path `@name`, and XML
    /// messages `<name`.
    pub(in crate::mongrel2) fn of_path(path: &[u8]) -> MessageFormat {
        match path.first() {
            Some(b'<') => MessageFormat::Xml,
            _ => MessageFormat::Json,
        }
    }

    /// Encodes a response: its body, whatever the status is, or the status if there is no body. Returns `None` if there
    /// is no body and the status is 200. If a streamed body fails or exceeds `body_limit`, encodes the status 500.
    pub(in crate::mongrel2) async fn encode_response(
        self,
        response: Response,
        body_limit: usize,
    ) -> Option<Bytes> {
        let (status, _, payload) = response.into_shared_parts();
        match payload {
            Payload::Json(text) | Payload::Bytes(text) => Some(nul_terminated(&text)),
            Payload::Stream(body) => match body.collect(body_limit).await {
                Ok(text) => Some(nul_terminated(&text)),
                Err(error) => {
                    tracing::warn!(%error, "cannot collect the body of a response to a message, sending status 500");
                    Some(self.encode_status(&Status::INTERNAL_SERVER_ERROR))
                }
            },
            _ if status == Status::OK => None,
            _ => Some(self.encode_status(&status)),
        }
    }

    /// Encodes a response that has only a status.
    pub(in crate::mongrel2) fn encode_status(self, status: &Status) -> Bytes {
        let code = status.code();
        nul_terminated(&match self {
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
    async fn encodes_each_response_as_one_message() {
        let encode = |format: MessageFormat, response: Response| format.encode_response(response, 100);
        let text = Response::text(Status::OK, "a\0b");
        assert_eq!(encode(MessageFormat::Json, text).await.unwrap(), "ab\0");
        assert_eq!(encode(MessageFormat::Json, ().into_reply()).await, None);
        assert_eq!(
            encode(MessageFormat::of_path(b"@chat"), Status::NOT_FOUND.into_reply())
                .await
                .unwrap(),
            "{\"reason\":\"Not Found\",\"status\":404}\0"
        );
        assert_eq!(
            encode(MessageFormat::of_path(b"<chat"), Status::NOT_FOUND.into_reply())
                .await
                .unwrap(),
            "<error status=\"404\"/>\0"
        );
    }
}

//! JSON as an extractor and as a reply.

use super::{BodyUse, Context, FromMessage};
use crate::json_parts;
use crate::message::Message;
use crate::method::Kind;
use crate::response::{IntoReply, Rejection, Response};
use crate::status::Status;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::{Deref, DerefMut};

/// JSON extractor and reply ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)).
///
/// ```
/// use brubeck::prelude::*;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Echo { text: String }
///
/// #[post("^/echo")]
/// async fn echo(echo: Json<Echo>) -> Json<Echo> {
///     echo
/// }
/// ```
///
/// As an argument, it deserializes the payload of the message into `T`. As a reply, it is a 200 response with the serialized
/// value. [`Reply`](crate::Reply) is a reply with another status, and [`Form`](crate::Form) the extractor for the forms of browsers.
///
/// The payload of a web request is its body. The payload of a call is its body or, if that is empty or `{}`, the object of its
/// named arguments.
///
/// A web request is rejected with
/// * 415 unless its content type is `application/json` or ends in `+json`,
/// * 400 if the body is not JSON,
/// * 422 if the JSON cannot be deserialized into `T`,
/// * 413, before the handler runs, if the body exceeds the limit of the [application](crate::App::body_limit), 1 MiB by default, or of the
///   [route](crate::Limits::body_limit).
///
/// A call, or the response of a service, is rejected with 400 if its payload cannot be deserialized. If a field is invalid, the [`Rejection`]
/// contains its path, such as `items[3].price`. Take a `Result<Json<T>, Rejection>` to respond to it in the handler.
///
/// `Option<Json<T>>` is `None` if the body of a web request, or the payload of a call, is empty.
///
/// A reply that cannot be serialized becomes a 500 response, and the error is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send> FromMessage<S> for Json<T> {
    type Rejection = Rejection;

    const BODY: BodyUse = BodyUse::Json;

    async fn from_message(cx: &Context<S>) -> Result<Json<T>, Rejection> {
        let message = cx.message();
        let web = message.kind() == Kind::Web;
        if web
            && !message
                .headers()
                .get(CONTENT_TYPE)
                .is_some_and(|value| is_json(value.as_bytes()))
        {
            let reason = "the body must be JSON with the header `content-type: application/json`";
            return Err(Rejection::new(Status::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        read(message).map(Json).map_err(|(error, path)| {
            let status = if web && error.is_data() {
                Status::UNPROCESSABLE_ENTITY
            } else {
                Status::BAD_REQUEST
            };
            Rejection::for_field(status, "the body is not valid", &path, &error)
        })
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Json<T>>, Rejection> {
        let message = cx.message();
        let payload = message.payload();
        if payload.is_empty() {
            return Ok(None);
        }
        let json = Json::from_message(cx).await;
        // The dialects of the Python original send an empty object if there is no payload.
        if message.kind() != Kind::Web && payload.trim_ascii() == b"{}" {
            return Ok(json.ok());
        }
        json.map(Some)
    }
}

/// Deserializes the payload of a message. The error includes the path of the invalid field, unless the message has bytes beside its text.
fn read<T: DeserializeOwned>(message: &Message) -> Result<T, (serde_json::Error, String)> {
    let (text, parts) = (message.payload(), message.parts());
    if !parts.is_empty() {
        return json_parts::read(text, parts).map_err(|error| (error, String::new()));
    }
    // Tracking the path doubles the time, so the text is only deserialized with it once it is known to be invalid.
    serde_json::from_slice(text).or_else(|_| read_with_path(text))
}

fn read_with_path<T: DeserializeOwned>(text: &[u8]) -> Result<T, (serde_json::Error, String)> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        (error.into_inner(), path)
    })?;
    // Trailing characters after the value are an error too.
    deserializer.end().map_err(|error| (error, String::new()))?;
    Ok(value)
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Response {
        Response::json(Status::OK, &self.0)
    }
}

fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let suffix = essence
        .len()
        .checked_sub(5)
        .and_then(|start| essence.get(start..));
    essence.eq_ignore_ascii_case(b"application/json")
        || suffix.is_some_and(|s| s.eq_ignore_ascii_case(b"+json"))
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn recognizes_json_media_types() {
        for yes in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
        ] {
            assert!(is_json(yes.as_bytes()), "{yes}");
        }
        for no in ["", "text/plain", "application/jsonp", "json"] {
            assert!(!is_json(no.as_bytes()), "{no}");
        }
    }
}

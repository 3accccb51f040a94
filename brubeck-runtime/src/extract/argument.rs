//! The extractor for one named argument.

use super::operation::ObjectMembers;
use super::{Context, FromMessage, form, media_type};
use crate::method::Kind;
use crate::response::Rejection;
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// Extractor for one named argument of a call, a form or a query.
///
/// The name of the handler argument is the name to look up: `async fn slow(text: Arg<String>)` reads `text`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_handler(path = "^/service/slow", method = "request")]
/// async fn slow(text: Arg<String>) -> Reply {
///     Reply::empty().field("text", text.0)
/// }
/// ```
///
/// In a service handler, the value comes from the named arguments of the call or, if it is missing there, from the JSON
/// object in the body. In a web handler, the value comes from the URL-encoded form or, if it is missing there, from the query. If a source
/// contains the name more than once, the last value is used.
///
/// Rejects with 400 if the argument is missing or cannot be deserialized. `Option<Arg<T>>` is `None` instead. In a hook, arguments have
/// no names, so this extractor always rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg<T>(pub T);

impl<T> Deref for Arg<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send> FromMessage<S> for Arg<T> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Arg<T>, Rejection> {
        let name = cx.argument();
        let message = cx.message();
        let value = match message.kind() {
            Kind::Web => {
                let form = match media_type(message.headers()) {
                    Some(kind) if kind.eq_ignore_ascii_case(form::MEDIA_TYPE) => &message.body()[..],
                    _ => &[],
                };
                from_query(form, name)
                    .or_else(|| from_query(message.query().unwrap_or_default().as_bytes(), name))
            }
            Kind::Service | Kind::Response => {
                from_object(message.arguments(), name).or_else(|| from_object(message.body(), name))
            }
        };
        match value {
            Some(Ok(value)) => Ok(Arg(value)),
            Some(Err(error)) => Err(Rejection::new(
                Status::BAD_REQUEST,
                format!("the argument `{name}` is not valid: {error}"),
            )
            .at(name)),
            None => {
                Err(Rejection::new(Status::BAD_REQUEST, format!("the argument `{name}` is missing")).at(name))
            }
        }
    }
}

/// Looks up an argument in a JSON object. Returns `None` if the text is not an object or has no such member.
fn from_object<T: DeserializeOwned>(object: &[u8], name: &str) -> Option<serde_json::Result<T>> {
    let member = ObjectMembers::parse(object)?.get(name)?;
    Some(serde_json::from_str(member.get()))
}

/// Looks up an argument in a query or a form. Returns `None` if the name does not occur.
///
/// The text is deserialized as a string if `T` accepts one, and otherwise as JSON, so that numbers and booleans work.
fn from_query<T: DeserializeOwned>(query: &[u8], name: &str) -> Option<serde_json::Result<T>> {
    let (_, text) = form_urlencoded::parse(query)
        .filter(|(key, _)| key == name)
        .last()?;
    Some(
        match serde_json::from_value(serde_json::Value::String(text.to_string())) {
            Ok(value) => Ok(value),
            Err(error) => serde_json::from_str(&text).map_err(|_| error),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_deserialize_as_strings_numbers_and_booleans() {
        let query = b"name=12&age=12&ok=true&name=13";
        assert_eq!(from_query::<String>(query, "name").unwrap().unwrap(), "13");
        assert_eq!(from_query::<u8>(query, "age").unwrap().unwrap(), 12);
        assert!(from_query::<bool>(query, "ok").unwrap().unwrap());
        assert!(from_query::<u8>(b"age=x", "age").unwrap().is_err());
        assert!(from_query::<u8>(query, "none").is_none());
    }

    #[test]
    fn object_members_deserialize_from_json() {
        assert_eq!(
            from_object::<Vec<u8>>(br#"{"a":[1,2],"b":"caf\u00e9"}"#, "a")
                .unwrap()
                .unwrap(),
            [1, 2]
        );
        assert_eq!(
            from_object::<String>(br#"{"a":[1,2],"b":"caf\u00e9"}"#, "b")
                .unwrap()
                .unwrap(),
            "café"
        );
        assert!(from_object::<String>(b"[]", "b").is_none());
    }

    /// Python escapes all characters that are not ASCII.
    #[test]
    fn object_may_have_escaped_names() {
        let object = br#"{"caf\u00e9":1,"a":2}"#;
        assert_eq!(from_object::<u8>(object, "caf\u{e9}").unwrap().unwrap(), 1);
        assert_eq!(from_object::<u8>(object, "a").unwrap().unwrap(), 2);
    }
}

//! A named argument.

use super::{Context, FromMessage, form, media_type};
use crate::method::Kind;
use crate::response::Rejection;
use crate::status::Status;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::ops::Deref;

/// One named argument of a call, found by the name of the handler argument:
/// `async fn slow(text: Arg<String>)` reads `text`.
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
/// Services look into the call's named arguments and then into its body; web handlers into the form and then into
/// the query, where the last value of a name counts.
/// A missing or wrong argument is answered with 400; `Option<Arg<T>>` is `None` instead.
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
        let found = match message.kind() {
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
        match found {
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

fn from_object<T: DeserializeOwned>(object: &[u8], name: &str) -> Option<serde_json::Result<T>> {
    let fields: HashMap<&str, &RawValue> = serde_json::from_slice(object).ok()?;
    Some(serde_json::from_str(fields.get(name)?.get()))
}

/// Text that reads as JSON is taken as such, so that numbers and flags work; anything else is a string.
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
    fn a_query_holds_text_numbers_and_flags() {
        let query = b"name=12&age=12&ok=true&name=13";
        assert_eq!(from_query::<String>(query, "name").unwrap().unwrap(), "13");
        assert_eq!(from_query::<u8>(query, "age").unwrap().unwrap(), 12);
        assert!(from_query::<bool>(query, "ok").unwrap().unwrap());
        assert!(from_query::<u8>(b"age=x", "age").unwrap().is_err());
        assert!(from_query::<u8>(query, "none").is_none());
    }

    #[test]
    fn an_object_holds_any_json() {
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
}

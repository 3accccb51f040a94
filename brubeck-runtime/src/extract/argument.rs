//! The extractor for one named argument.

use super::operation::ObjectMembers;
use super::{Context, FromMessage, form, text_value};
use crate::json_parts;
use crate::method::Kind;
use crate::response::Rejection;
use crate::status::Status;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Deref;

/// Extractor for one named argument of a call, a form or a query.
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
/// The name of the handler argument is the name to look up: `async fn slow(text: Arg<String>)` reads `text`.
///
/// In a service handler, the value comes from the named arguments of the call or, if it is missing there, from the JSON
/// object in the body.
///
/// In a web handler, the value comes from the form or, if it is missing there, from the query. The form is URL-encoded, or it is a
/// multipart form, of which all parts are read that are not files. [`Query`](crate::Query#how-text-becomes-a-value) describes how the text
/// becomes a value: `?tag=a&tag=b` is an `Arg<Vec<String>>`.
///
/// Rejects with 400 if the argument is missing or cannot be deserialized; the rejection names the argument, the value, and the values that
/// it can have. `Option<Arg<T>>` is `None` if the argument is missing, or `null` in a call. In a hook, arguments have no names, so this
/// extractor always rejects.
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
        read(cx, name, false)?.map(Arg).ok_or_else(|| {
            Rejection::new(Status::BAD_REQUEST, format!("the argument `{name}` is missing")).at(name)
        })
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Arg<T>>, Rejection> {
        Ok(read(cx, cx.argument(), true)?.map(Arg))
    }
}

/// Reads an argument. Returns `None` if it is missing. `null_is_missing` applies to calls.
fn read<S, T: DeserializeOwned>(
    cx: &Context<S>,
    name: &str,
    null_is_missing: bool,
) -> Result<Option<T>, Rejection> {
    let message = cx.message();
    let invalid = |reason: &dyn Display| {
        Rejection::new(
            Status::BAD_REQUEST,
            format!("the argument `{name}` is not valid: {reason}"),
        )
        .at(name)
    };
    match message.kind() {
        Kind::Web => {
            let mut texts = form_texts(cx, name)?;
            if texts.is_empty() {
                texts = texts_of(message.query().unwrap_or_default().as_bytes(), name);
            }
            if texts.is_empty() {
                return Ok(None);
            }
            text_value::from_texts(texts)
                .map(Some)
                .map_err(|error| invalid(&error.reason))
        }
        Kind::Service | Kind::Response => {
            let member = |object| {
                let member = ObjectMembers::parse(object)?.get(name)?;
                (!null_is_missing || member.get() != "null").then_some(member)
            };
            let Some(member) = member(message.arguments()).or_else(|| member(message.body())) else {
                return Ok(None);
            };
            json_parts::read(member.get().as_bytes(), message.parts())
                .map(Some)
                .map_err(|error| invalid(&describe_json_error(&error)))
        }
    }
}

/// Describes the error of deserializing one JSON value to its sender, without the names of Rust's integers and the position.
fn describe_json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = match text.rsplit_once(" at line ") {
        Some((before, position)) if position.contains(" column ") => before,
        _ => &text,
    };
    let Some((found, range)) = text
        .rsplit_once("expected ")
        .and_then(|(found, name)| Some((found, text_value::integer_range(name)?)))
    else {
        return text.to_owned();
    };
    let integer = found
        .strip_prefix("invalid value: integer ")
        .and_then(|found| found.strip_suffix(", "));
    match integer {
        Some(integer) => format!("expected {range}, got {integer}"),
        None => format!("{found}expected {range}"),
    }
}

/// Returns the texts of an argument in the form of a web request. They are empty if the body is not a form.
fn form_texts<'m, S>(cx: &'m Context<S>, name: &str) -> Result<Vec<Cow<'m, str>>, Rejection> {
    if form::is_form(cx.message()) {
        return Ok(texts_of(cx.message().body(), name));
    }
    #[cfg(feature = "multipart")]
    if super::multipart::is_multipart(cx.message()) {
        return cx.multipart()?.texts(name);
    }
    Ok(Vec::new())
}

/// Returns the values of a name in a query or a URL-encoded form.
fn texts_of<'t>(text: &'t [u8], name: &str) -> Vec<Cow<'t, str>> {
    let values = form_urlencoded::parse(text).filter(|(key, _)| key == name);
    values.map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_json_integers_name_the_value_and_the_range() {
        fn error<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
            describe_json_error(&serde_json::from_str::<T>(json).unwrap_err())
        }
        assert_eq!(
            error::<u8>("300"),
            "expected a whole number from 0 to 255, got `300`"
        );
        assert_eq!(
            error::<i8>("-129"),
            "expected a whole number from -128 to 127, got `-129`"
        );
        let text = "invalid type: string \"x\", expected a whole number from 0 to 65535";
        assert_eq!(error::<u16>("\"x\""), text);
        assert_eq!(
            error::<bool>("1"),
            "invalid type: integer `1`, expected a boolean"
        );
        assert_eq!(error::<String>("{}"), "invalid type: map, expected a string");
    }
    use crate::extract::{AppContext, Captures};
    use crate::message::Message;
    use crate::method::Method;
    use std::fmt::Debug;
    use std::sync::Arc;

    async fn extract<T: DeserializeOwned + Send + Debug>(message: &Message) -> (Option<T>, Option<T>, bool) {
        let app = Arc::new(AppContext::for_tests(()));
        let mut cx = Context::new(app, message.clone(), Captures::default(), None);
        cx.bind("a");
        let required = Arg::<T>::from_message(&cx).await;
        let optional = Option::<Arg<T>>::from_message(&cx).await;
        let same_rejection = required.as_ref().err() == optional.as_ref().err();
        (
            required.ok().map(|arg| arg.0),
            optional.ok().flatten().map(|arg| arg.0),
            same_rejection,
        )
    }

    #[tokio::test]
    async fn argument_of_a_call_is_json() {
        let call = |arguments: &str, body: &str| {
            let (arguments, body) = (arguments.to_owned(), body.to_owned());
            Message::service(Method::Request, "/a")
                .with_arguments(arguments)
                .with_body(body)
        };
        fn both<T: Copy>(value: T) -> (Option<T>, Option<T>, bool) {
            (Some(value), Some(value), true)
        }
        assert_eq!(extract::<u8>(&call(r#"{"a":1}"#, r#"{"a":2}"#)).await, both(1));
        assert_eq!(extract::<u8>(&call("{}", r#"{"a":2,"a":3}"#)).await, both(3));
        // Python escapes all characters that are not ASCII.
        assert_eq!(
            extract::<char>(&call(r#"{"\u0061":"\u00e9"}"#, "")).await,
            both('é')
        );
        assert_eq!(extract::<u8>(&call("", "[1]")).await, (None, None, false));
        assert_eq!(
            extract::<u8>(&call(r#"{"a":null}"#, "")).await,
            (None, None, false)
        );
        assert_eq!(extract::<u8>(&call(r#"{"a":"1"}"#, "")).await, (None, None, true));
        assert_eq!(extract::<u8>(&call(r#"{"a":300}"#, "")).await, (None, None, true));
    }

    #[tokio::test]
    async fn argument_of_a_page_is_text() {
        let page = |query: &str| Message::web(Method::Get, &format!("/a?{query}"));
        assert_eq!(extract::<u8>(&page("a=01")).await, (Some(1), Some(1), true));
        let list = vec!["x".to_owned(), "y".to_owned()];
        assert_eq!(
            extract::<Vec<String>>(&page("a=x&b=&a=y")).await,
            (Some(list.clone()), Some(list), true)
        );
        let json = Some(vec![r#"["x"]"#.to_owned()]);
        assert_eq!(
            extract::<Vec<String>>(&page("a=%5B%22x%22%5D")).await,
            (json.clone(), json, true)
        );
        assert_eq!(extract::<u8>(&page("a=1O")).await, (None, None, true));
        assert_eq!(extract::<u8>(&page("a=")).await, (None, None, true));
        assert_eq!(extract::<u8>(&page("b=1")).await, (None, None, false));
    }
}

//! The arguments of an operation, off the message that asks for it.

use super::{Context, FromCapture, FromMessage};
use crate::response::{IntoReply, Rejection, Response};
use crate::rpc::api::{Operation, ServiceRequest, Wire};
use crate::status::Status;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A value that fills a place in the path of a call, `{id}`: it is written as text and read back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a path",
    label = "this argument fills a place in the path of the call",
    note = "implement `Display` and `FromStr` for `{Self}`, or leave it out of the path"
)]
pub trait PathArgument: ToString + FromCapture + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: ToString + FromCapture + Send + 'static> PathArgument for T {}

/// An operation whose arguments a handler reads; `#[service_client]` implements it beside [`Operation`].
pub trait ReadOperation: Operation {
    /// Reads the arguments of a request.
    ///
    /// # Errors
    ///
    /// An argument that is missing or something else.
    fn read<S>(arguments: &Arguments<'_, S>) -> Result<Self, Rejection>;
}

/// The arguments of a call, as an operation reads them.
pub struct Arguments<'m, S>(&'m Context<S>);

impl<S> Arguments<'_, S> {
    /// Fills the places of the named arguments.
    #[doc(hidden)]
    pub fn fill(&self, places: &mut [&mut dyn ArgumentSlot]) {
        if places.is_empty() {
            return;
        }
        let message = self.0.message();
        let first = match message.arguments().is_empty() {
            true => message.body(),
            false => message.arguments(),
        };
        // What is not as it should be is read once more, member by member: that says what is wrong, and where.
        if fill(first, places).is_none() {
            let members =
                ObjectMembers::of(message.arguments()).or_else(|| ObjectMembers::of(message.body()));
            let members = members.unwrap_or_default();
            for place in places {
                place.refill(members.get(place.name()));
            }
        }
    }
}

/// A named argument of an operation: how it is written and read.
#[doc(hidden)]
pub struct Named<T> {
    name: &'static str,
    write: fn(ServiceRequest, &'static str, T) -> ServiceRequest,
    begin: Begin<T>,
    read: fn(Option<&RawValue>) -> serde_json::Result<Option<T>>,
}

/// Reads the value that a text begins with, and gives what comes behind it.
type Begin<T> = for<'t> fn(&'t str) -> Option<(T, &'t str)>;

#[doc(hidden)]
pub const fn named<T: Wire>(name: &'static str) -> Named<T> {
    Named {
        name,
        write: |request, name, value| request.named(Cow::Borrowed(name), &value),
        begin: |text| first(text),
        read: read_named,
    }
}

impl<T> Named<T> {
    /// Adds the argument to a request.
    pub fn write(&self, request: ServiceRequest, value: T) -> ServiceRequest {
        (self.write)(request, self.name, value)
    }

    /// Where the argument of a call goes.
    pub const fn slot(&self) -> NamedSlot<'_, T> {
        NamedSlot {
            codec: self,
            read: Ok(None),
        }
    }
}

/// The place of a named argument.
#[doc(hidden)]
pub struct NamedSlot<'c, T> {
    codec: &'c Named<T>,
    read: serde_json::Result<Option<T>>,
}

impl<T> NamedSlot<'_, T> {
    /// The argument.
    pub fn take(self) -> Result<T, Rejection> {
        let Named { name, read, .. } = self.codec;
        let refused = |reason: String| Rejection::new(Status::BAD_REQUEST, reason);
        let value = match self.read {
            Ok(None) => read(None),
            read => read,
        };
        match value {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(refused(format!("the argument `{name}` is missing"))),
            Err(error) => Err(refused(format!("the argument `{name}` is not valid: {error}"))),
        }
    }
}

impl<T> ArgumentSlot for NamedSlot<'_, T> {
    fn name(&self) -> &str {
        self.codec.name
    }

    fn fill<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (value, rest) = (self.codec.begin)(text)?;
        self.read = Ok(Some(value));
        Some(rest)
    }

    fn refill(&mut self, text: Option<&RawValue>) {
        self.read = (self.codec.read)(text);
    }
}

/// What may be null may also be left out.
pub(crate) fn read_named<T: DeserializeOwned>(text: Option<&RawValue>) -> serde_json::Result<Option<T>> {
    match text {
        Some(text) => serde_json::from_str(text.get()).map(Some),
        None => Ok(serde_json::from_str("null").ok()),
    }
}

/// An argument of an operation that fills a place in its path.
#[doc(hidden)]
pub struct InPath<T> {
    index: usize,
    write: fn(&mut String, T),
    read: fn(&str) -> Option<T>,
}

/// The capture with that index.
#[doc(hidden)]
pub const fn in_path<T: PathArgument>(index: usize) -> InPath<T> {
    InPath {
        index,
        write: |path, value| push_segment(path, &value.to_string()),
        read: T::from_capture,
    }
}

impl<T> InPath<T> {
    /// Adds the argument to a path.
    pub fn write(&self, path: &mut String, value: T) {
        (self.write)(path, value);
    }

    /// The argument of a call; a path that does not hold one is none.
    pub fn read<S>(&self, arguments: &Arguments<'_, S>) -> Result<T, Rejection> {
        let text = arguments.0.capture(self.index);
        let none = || Rejection::new(Status::NOT_FOUND, "there is nothing at this path");
        text.as_deref().and_then(self.read).ok_or_else(none)
    }
}

/// Appends a value to a path, percent-encoded but for the unreserved characters of RFC 3986.
pub(crate) fn push_segment(path: &mut String, value: &str) {
    const RESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    path.extend(percent_encoding::utf8_percent_encode(value, RESERVED));
}

/// What a call asks for, as an argument of the handler that serves it.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow")]
///     async fn echo(&self, text: String) -> Result<String, Fault>;
/// }
///
/// #[service_handler(slow_echo::echo)]
/// async fn echo(args: Args<slow_echo::echo>) -> Result<String, Fault> {
///     Ok(args.text.clone())
/// }
///
/// const ROUTES: Routes<()> = routes![echo];
/// serves!(ROUTES => slow_echo);
/// # fn main() {}
/// ```
///
/// A call whose arguments are not those of the contract is answered with 400, one whose path does not hold them
/// with 404.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Args<O>(pub O);

impl<O> Deref for Args<O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.0
    }
}

impl<S: Send + Sync + 'static, O: ReadOperation> FromMessage<S> for Args<O> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Args<O>, Rejection> {
        O::read(&Arguments(cx)).map(Args)
    }
}

/// The argument of a handler of `O` asks for `O`, and for no other operation.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what calls of `{O}` ask",
    label = "this handler serves `{O}`",
    note = "take `Args<{O}>`"
)]
pub trait ArgsOf<O> {
    /// Named by the check.
    type Proof;
}

impl<O: Operation> ArgsOf<O> for Args<O> {
    type Proof = ();
}

/// Reads the arguments of an operation, or makes the response that refuses them.
#[doc(hidden)]
pub fn read_operation<O: ReadOperation, S>(cx: &Context<S>) -> Result<O, Response> {
    O::read(&Arguments(cx)).map_err(IntoReply::into_reply)
}

/// The members of a JSON object, as they stand in its text.
#[derive(Default)]
pub(super) struct ObjectMembers<'t>(Vec<(Name<'t>, &'t RawValue)>);

impl<'t> ObjectMembers<'t> {
    /// Those of this text; `None` where it is no object.
    pub(super) fn of(text: &'t [u8]) -> Option<ObjectMembers<'t>> {
        match text {
            // Nothing is no object; what serde would say about it is not made.
            [] => None,
            text => serde_json::from_slice(text).ok(),
        }
    }

    /// The value of the last member of this name. An operation has a few arguments, so looking is quicker than hashing.
    pub(super) fn get(&self, name: &str) -> Option<&'t RawValue> {
        let named = self.0.iter().rev().find(|(found, _)| found.0 == name);
        named.map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for ObjectMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = ObjectMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(ObjectMembers(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A name that is copied only where its text has escapes.
#[derive(serde::Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

/// Where the value of a member goes.
pub trait ArgumentSlot {
    /// The name of the member.
    fn name(&self) -> &str;
    /// Reads the value that the text begins with, and gives what comes behind it; `None` where it is another one.
    fn fill<'t>(&mut self, text: &'t str) -> Option<&'t str>;
    /// Reads the value once more, to know what is wrong with it; `None` where the object has no such member.
    fn refill(&mut self, text: Option<&RawValue>);
}

/// Reads the object, and the last member of each name into its place; `None` where it is no object, or a value is
/// another one than its place wants. Some places may be filled then.
pub(super) fn fill(text: &[u8], places: &mut [&mut dyn ArgumentSlot]) -> Option<()> {
    // Once for all: its strings are known to be text then.
    let mut rest = after(str::from_utf8(text).ok()?, '{')?;
    if let Some(end) = after(rest, '}') {
        return behind_blanks(end).is_empty().then_some(());
    }
    loop {
        let (Name(name), value) = first(rest)?;
        let value = after(value, ':')?;
        let behind = match places.iter_mut().find(|place| place.name() == name) {
            Some(place) => place.fill(value)?,
            None => first::<&RawValue>(value)?.1,
        };
        rest = match after(behind, ',') {
            Some(rest) => rest,
            None => {
                let end = after(behind, '}')?;
                return behind_blanks(end).is_empty().then_some(());
            }
        };
    }
}

/// The value that the text begins with, and what comes behind it.
pub(super) fn first<'t, T: Deserialize<'t>>(text: &'t str) -> Option<(T, &'t str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

/// What comes behind this sign, with blanks before it.
fn after(text: &str, sign: char) -> Option<&str> {
    behind_blanks(text).strip_prefix(sign)
}

fn behind_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_found_by_name() {
        let text = br#"{"a": 1, "\u0062": {"a": [2]}, "a": "3"}"#;
        let members = ObjectMembers::of(text).unwrap();
        assert_eq!(members.get("a").unwrap().get(), r#""3""#);
        assert_eq!(members.get("b").unwrap().get(), r#"{"a": [2]}"#);
        assert!(members.get("c").is_none());
        assert!(matches!(members.0[0].0.0, Cow::Borrowed("a")));
    }

    /// A place for a number.
    #[derive(Debug, Default, PartialEq)]
    struct Number(Option<i64>);

    impl ArgumentSlot for Number {
        fn name(&self) -> &str {
            "n"
        }

        fn fill<'t>(&mut self, text: &'t str) -> Option<&'t str> {
            let (value, rest) = first(text)?;
            self.0 = Some(value);
            Some(rest)
        }

        fn refill(&mut self, text: Option<&RawValue>) {
            self.0 = text.and_then(|text| serde_json::from_str(text.get()).ok());
        }
    }

    /// What one walk reads; `None` where it fails.
    fn walked(text: &[u8]) -> Option<Number> {
        let mut number = Number::default();
        fill(text, &mut [&mut number]).map(|()| number)
    }

    #[test]
    fn one_walk_reads_what_is_asked_for() {
        let number = |text: &str| walked(text.as_bytes()).map(|number| number.0);
        assert_eq!(number(r#"{"n":1}"#), Some(Some(1)));
        assert_eq!(
            number(" { \"a\" : [{}, null] , \"\\u006e\" :\t-2 }\r\n"),
            Some(Some(-2))
        );
        assert_eq!(number(r#"{"n":1,"n":2}"#), Some(Some(2)));
        assert_eq!(number("{ }"), Some(None));
        for text in [
            "",
            "[1]",
            "{",
            r#"{"n":1,}"#,
            r#"{"n":1} x"#,
            r#"{"n" 1}"#,
            r#"{"n":true}"#,
            r#"{n:1}"#,
            "{\u{c}}",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(walked(b"{\"a\":\"\xff\"}"), None);
    }

    proptest! {
        #[test]
        fn one_walk_reads_what_two_would(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", ":", ",", "\"n\"", "\"a\"", "\"n\":1", "\"a\":", "12", "-0.5", "true", "null", "[", "]", " ", "\n",
                    "\"\\u006e\"", "\"\"", "1e9", "\"n\":2,", "{\"n\":3", "x",
                ]),
                0..9,
            ),
        ) {
            let text = parts.concat();
            if let Some(walked) = walked(text.as_bytes()) {
                let members = ObjectMembers::of(text.as_bytes());
                prop_assert!(members.is_some(), "{} is no object", text);
                let mut read = Number::default();
                read.refill(members.and_then(|members| members.get("n")));
                prop_assert_eq!(walked, read, "{}", text);
            }
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "[1]", "{", "{} x", "null"] {
            assert!(ObjectMembers::of(text.as_bytes()).is_none(), "{text}");
        }
        assert!(ObjectMembers::of(b"{}").unwrap().get("a").is_none());
    }
}

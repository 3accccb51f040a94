//! The arguments of an operation of a contract: how a client writes them and a handler reads them.
//!
//! Named arguments are the members of one JSON object. [`read_members`] deserializes them in a single pass over its text, without
//! an intermediate map. Only if that pass fails are they deserialized one by one, for a precise error.

use super::{Context, FromCapture, FromMessage};
use crate::json_parts;
use crate::outcome::Outcome;
use crate::response::{IntoReply, Rejection, Response};
use crate::rpc::api::{Operation, ServiceRequest, Wire};
use crate::status::Status;
use bytes::Bytes;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// Types of arguments in the path of a contract, such as `{id}`.
///
/// The client writes the argument with [`Display`](fmt::Display), and the service parses it with
/// [`FromStr`](std::str::FromStr). Implemented for every type that has both.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait Directory {
///     #[call("/user/{id}")]
///     async fn user(&self, id: u64) -> Result<String, Problem>; // `u64` is a `PathArgument`
/// }
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a path",
    label = "this argument is part of the path",
    note = "implement `Display` and `FromStr` for `{Self}`, or leave it out of the path"
)]
pub trait PathArgument: ToString + FromCapture + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: ToString + FromCapture + Send + 'static> PathArgument for T {}

/// Operations whose arguments can be read from a call.
///
/// ```
/// use brubeck::ReadOperation;
/// use brubeck::prelude::*;
///
/// /// Takes the arguments of any operation.
/// fn log<O: ReadOperation + std::fmt::Debug>(args: &Args<O>) {
///     println!("called with {:?}", args.0);
/// }
/// ```
///
/// [`#[service_client]`](../brubeck/attr.service_client.html) implements it, together with [`Operation`], for each operation of a contract.
/// It is the bound of [`Args`].
pub trait ReadOperation: Operation {
    /// Reads the arguments of a call.
    ///
    /// # Errors
    ///
    /// Returns a rejection with status 400 if a named argument is missing or invalid, and with 404 if the path does not
    /// contain a valid argument.
    #[doc(hidden)]
    fn read<S>(arguments: &Arguments<'_, S>) -> Result<Self, Rejection>;
}

/// The arguments of a call, from which [`ReadOperation`] reads.
pub struct Arguments<'m, S>(&'m Context<S>);

impl<S> Arguments<'_, S> {
    /// Reads the named arguments into their slots. A slot keeps the error if its argument is invalid.
    #[doc(hidden)]
    pub fn fill(&self, slots: &mut [&mut dyn ArgumentSlot]) {
        if slots.is_empty() {
            return;
        }
        let message = self.0.message();
        let parts = message.parts();
        let object = if message.arguments().is_empty() {
            message.body()
        } else {
            message.arguments()
        };
        // The single pass does not say why it failed, so all arguments are read again, one by one, for the error. The body is read if
        // the text of the arguments is not an object. Arguments that refer to bytes beside the text are always read one by one.
        if !parts.is_empty() || read_members(object, slots).is_none() {
            let members =
                ObjectMembers::parse(message.arguments()).or_else(|| ObjectMembers::parse(message.body()));
            let members = members.unwrap_or_default();
            for slot in slots {
                slot.read(members.get(slot.name()), parts);
            }
        }
    }
}

/// The codec of a named argument.
///
/// It stores functions as pointers, so that only [`named`] needs a trait bound. If a type cannot be serialized, the compiler therefore
/// reports one error, at that argument.
#[doc(hidden)]
pub struct Named<T> {
    name: &'static str,
    write: fn(ServiceRequest, &'static str, T) -> ServiceRequest,
    read_prefix: ReadPrefix<T>,
    read: fn(Option<&RawValue>, &[Bytes]) -> serde_json::Result<Option<T>>,
}

/// Deserializes the value at the start of a text. Returns the value and the rest of the text.
type ReadPrefix<T> = for<'t> fn(&'t str) -> Option<(T, &'t str)>;

/// Creates the codec of the argument with this name.
#[doc(hidden)]
pub const fn named<T: Wire>(name: &'static str) -> Named<T> {
    Named {
        name,
        write: |request, name, value| {
            request.set_argument(name, value, |text, parts| {
                json_parts::read_owned::<T>(text, parts).map(drop)
            })
        },
        read_prefix: |text| read_prefix(text),
        read: read_named,
    }
}

impl<T> Named<T> {
    /// Adds the argument to a request.
    pub fn write(&self, request: ServiceRequest, value: T) -> ServiceRequest {
        (self.write)(request, self.name, value)
    }

    /// Creates an empty slot for the argument.
    pub const fn slot(&self) -> NamedSlot<'_, T> {
        NamedSlot {
            codec: self,
            value: Ok(None),
        }
    }
}

/// A slot for the value of a named argument.
#[doc(hidden)]
pub struct NamedSlot<'c, T> {
    codec: &'c Named<T>,
    value: serde_json::Result<Option<T>>,
}

impl<T> NamedSlot<'_, T> {
    /// Returns the argument.
    ///
    /// # Errors
    ///
    /// Returns a rejection with status 400 if the argument is missing or invalid.
    pub fn take(self) -> Result<T, Rejection> {
        let Named { name, read, .. } = self.codec;
        let reject = |reason: String| Rejection::new(Status::BAD_REQUEST, reason);
        // An empty slot is read as a missing member, because an optional argument may be missing.
        let value = match self.value {
            Ok(None) => read(None, &[]),
            value => value,
        };
        match value {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(reject(format!("the argument `{name}` is missing"))),
            Err(error) => Err(reject(format!("the argument `{name}` is not valid: {error}"))),
        }
    }
}

impl<T> ArgumentSlot for NamedSlot<'_, T> {
    fn name(&self) -> &str {
        self.codec.name
    }

    fn read_prefix<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (value, rest) = (self.codec.read_prefix)(text)?;
        self.value = Ok(Some(value));
        Some(rest)
    }

    fn read(&mut self, member: Option<&RawValue>, parts: &[Bytes]) {
        self.value = (self.codec.read)(member, parts);
    }
}

/// Deserializes a named argument. A missing argument is treated as `null`, so an `Option` may be left out. Returns `None` if
/// the argument is missing and required.
pub(crate) fn read_named<T: DeserializeOwned + 'static>(
    text: Option<&RawValue>,
    parts: &[Bytes],
) -> serde_json::Result<Option<T>> {
    match text {
        Some(text) => json_parts::read_owned(text.get().as_bytes(), parts).map(Some),
        None => Ok(serde_json::from_str("null").ok()),
    }
}

/// The codec of an argument in the path.
///
/// A typed call carries it by name as well, as a JSON string, so that the service need not match the path. A call without the
/// contract, and one in a dialect of the Python original, carries it in the path only.
#[doc(hidden)]
pub struct InPath<T> {
    name: &'static str,
    index: usize,
    text: fn(T) -> String,
    read: fn(&str) -> Option<T>,
}

/// Creates the codec of the argument with this name, in the capture with this index.
#[doc(hidden)]
pub const fn in_path<T: PathArgument>(name: &'static str, index: usize) -> InPath<T> {
    InPath {
        name,
        index,
        text: |value| value.to_string(),
        read: T::from_capture,
    }
}

impl<T> InPath<T> {
    /// Returns the text of the argument.
    pub fn text(&self, value: T) -> String {
        (self.text)(value)
    }

    /// Creates an empty slot for the argument.
    pub const fn slot(&self) -> PathSlot<'_, T> {
        PathSlot {
            codec: self,
            text: None,
        }
    }
}

/// A slot for the text of an argument in the path.
#[doc(hidden)]
pub struct PathSlot<'c, T> {
    codec: &'c InPath<T>,
    text: Option<String>,
}

impl<T> PathSlot<'_, T> {
    /// Returns the argument.
    ///
    /// # Errors
    ///
    /// Returns a rejection with status 400 if a typed call contains an invalid argument, and with 404 if the path does.
    pub fn take<S>(self, arguments: &Arguments<'_, S>) -> Result<T, Rejection> {
        let InPath {
            name, index, read, ..
        } = self.codec;
        if arguments.0.message().operation().is_some()
            && let Some(text) = self.text
        {
            return read(&text).ok_or_else(|| {
                Rejection::new(
                    Status::BAD_REQUEST,
                    format!("the argument `{name}` is not valid: {text:?}"),
                )
            });
        }
        let text = arguments.0.capture(*index);
        let not_found = || Rejection::new(Status::NOT_FOUND, "no resource at this path");
        text.as_deref().and_then(read).ok_or_else(not_found)
    }
}

impl<T> ArgumentSlot for PathSlot<'_, T> {
    fn name(&self) -> &str {
        self.codec.name
    }

    fn read_prefix<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        // Only a typed call has it, as a string. Any other value has another meaning, and is skipped.
        let (value, rest) = read_prefix::<&RawValue>(text)?;
        self.read(Some(value), &[]);
        Some(rest)
    }

    fn read(&mut self, member: Option<&RawValue>, _: &[Bytes]) {
        self.text = member.and_then(|member| serde_json::from_str(member.get()).ok());
    }
}

/// Appends a value to a path. Percent-encodes everything except the unreserved characters of RFC 3986, section 2.3.
#[doc(hidden)]
pub fn push_segment(path: &mut String, value: &str) {
    const RESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    path.extend(percent_encoding::utf8_percent_encode(value, RESERVED));
}

/// Appends a value to a path. Percent-encodes everything except the unreserved characters and `/`.
#[doc(hidden)]
pub fn push_segments(path: &mut String, value: &str) {
    for (index, segment) in value.split('/').enumerate() {
        if index > 0 {
            path.push('/');
        }
        push_segment(path, segment);
    }
}

/// Extractor for the arguments of an operation `O` of a contract.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait SlowEcho {
///     #[call("/service/slow")]
///     async fn echo(&self, text: String) -> Result<String, Problem>;
/// }
///
/// #[service_handler(slow_echo::echo)]
/// async fn echo(args: Args<slow_echo::echo>) -> Result<String, Problem> {
///     Ok(args.text.clone())
/// }
///
/// const ROUTES: Routes<()> = routes![echo];
/// serves!(ROUTES => slow_echo);
/// # fn main() {}
/// ```
///
/// It dereferences to `O`, a struct with one field for each argument of the operation.
///
/// Rejects with 400 if a named argument is missing or invalid, and with 404 if an argument in the path is invalid.
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

/// Checks that a handler of the operation `O` takes `Args<O>`, and not the arguments of another operation.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the argument of a handler of `{O}`",
    label = "this handler serves `{O}`",
    note = "take `Args<{O}>`"
)]
pub trait ArgsOf<O> {
    /// Generated code refers to `<T as ArgsOf<O>>::Proof`, so it compiles only if `T` implements this trait.
    type Proof;
}

impl<O: Operation> ArgsOf<O> for Args<O> {
    type Proof = ();
}

/// Reads the arguments of an operation. Returns the response for the caller if they are invalid.
#[doc(hidden)]
pub fn read_operation<O: ReadOperation, S>(cx: &Context<S>) -> Result<O, Response> {
    O::read(&Arguments(cx)).map_err(reject)
}

/// Converts the rejection of an argument to the response for the caller, which says that the handler has not run.
#[doc(hidden)]
pub fn reject(rejection: impl IntoReply) -> Response {
    rejection.into_reply().with_outcome(Outcome::Rejected)
}

/// The members of a JSON object, with values that are not deserialized yet.
#[derive(Default)]
pub(super) struct ObjectMembers<'t>(Vec<(MemberName<'t>, &'t RawValue)>);

impl<'t> ObjectMembers<'t> {
    /// Parses a JSON object. Returns `None` if the text is not an object.
    pub(super) fn parse(text: &'t [u8]) -> Option<ObjectMembers<'t>> {
        // Most messages have either arguments or a body. Checking for an empty text avoids the cost of an error value.
        if text.is_empty() {
            return None;
        }
        serde_json::from_slice(text).ok()
    }

    /// Returns the value of the last member with this name. An operation has few arguments, so a linear search is faster than
    /// hashing.
    pub(super) fn get(&self, name: &str) -> Option<&'t RawValue> {
        let member = self.0.iter().rev().find(|(member, _)| member.0 == name);
        member.map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for ObjectMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
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

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// The name of a member. It is borrowed unless it contains escape sequences.
#[derive(serde::Deserialize)]
struct MemberName<'t>(#[serde(borrow)] Cow<'t, str>);

/// A slot for one member of a JSON object.
pub trait ArgumentSlot {
    /// Returns the name of the member.
    fn name(&self) -> &str;
    /// Deserializes the value at the start of a text, and returns the rest. Returns `None` if the value is invalid.
    fn read_prefix<'t>(&mut self, text: &'t str) -> Option<&'t str>;
    /// Deserializes a member, which may refer to `parts`, and keeps the error if there is one. `member` is `None` if the object has no such
    /// member.
    fn read(&mut self, member: Option<&RawValue>, parts: &[Bytes]);
}

/// Reads the members of a JSON object into the slots of the same names. The last member wins if a name occurs more than once.
/// Members without a slot are skipped.
///
/// Returns `None` if the text is not an object, or a value is invalid for its slot. Some slots may have a value then.
pub(super) fn read_members(text: &[u8], slots: &mut [&mut dyn ArgumentSlot]) -> Option<()> {
    // Validating UTF-8 once, for the whole text, saves a check for each string in it.
    let mut rest = strip_token(str::from_utf8(text).ok()?, '{')?;
    if let Some(end) = strip_token(rest, '}') {
        return skip_whitespace(end).is_empty().then_some(());
    }
    loop {
        let (MemberName(name), rest_of_member) = read_prefix(rest)?;
        let value = strip_token(rest_of_member, ':')?;
        let after_value = match slots.iter_mut().find(|slot| slot.name() == name) {
            Some(slot) => slot.read_prefix(value)?,
            // `RawValue` finds the end of the value without building it.
            None => read_prefix::<&RawValue>(value)?.1,
        };
        rest = match strip_token(after_value, ',') {
            Some(rest) => rest,
            None => {
                let end = strip_token(after_value, '}')?;
                return skip_whitespace(end).is_empty().then_some(());
            }
        };
    }
}

/// Deserializes the JSON value at the start of a text. Returns the value and the rest of the text.
pub(super) fn read_prefix<'t, T: Deserialize<'t>>(text: &'t str) -> Option<(T, &'t str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

/// Strips a structural character of JSON, and the whitespace before it.
fn strip_token(text: &str, token: char) -> Option<&str> {
    skip_whitespace(text).strip_prefix(token)
}

fn skip_whitespace(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_last_member_by_name() {
        let text = br#"{"a": 1, "\u0062": {"a": [2]}, "a": "3"}"#;
        let members = ObjectMembers::parse(text).unwrap();
        assert_eq!(members.get("a").unwrap().get(), r#""3""#);
        assert_eq!(members.get("b").unwrap().get(), r#"{"a": [2]}"#);
        assert!(members.get("c").is_none());
        assert!(matches!(members.0[0].0.0, Cow::Borrowed("a")));
    }

    #[derive(Debug, Default, PartialEq)]
    struct Number(Option<i64>);

    impl ArgumentSlot for Number {
        fn name(&self) -> &str {
            "n"
        }

        fn read_prefix<'t>(&mut self, text: &'t str) -> Option<&'t str> {
            let (value, rest) = read_prefix(text)?;
            self.0 = Some(value);
            Some(rest)
        }

        fn read(&mut self, member: Option<&RawValue>, _: &[Bytes]) {
            self.0 = member.and_then(|text| serde_json::from_str(text.get()).ok());
        }
    }

    /// Reads an object in a single pass.
    fn read_number(text: &[u8]) -> Option<Number> {
        let mut number = Number::default();
        read_members(text, &mut [&mut number]).map(|()| number)
    }

    #[test]
    fn single_pass_reads_member_with_slot() {
        let number = |text: &str| read_number(text.as_bytes()).map(|number| number.0);
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
        assert_eq!(read_number(b"{\"a\":\"\xff\"}"), None);
    }

    proptest! {
        #[test]
        fn single_pass_agrees_with_reading_one_by_one(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", ":", ",", "\"n\"", "\"a\"", "\"n\":1", "\"a\":", "12", "-0.5", "true", "null", "[", "]", " ", "\n",
                    "\"\\u006e\"", "\"\"", "1e9", "\"n\":2,", "{\"n\":3", "x",
                ]),
                0..9,
            ),
        ) {
            let text = parts.concat();
            if let Some(number) = read_number(text.as_bytes()) {
                let members = ObjectMembers::parse(text.as_bytes());
                prop_assert!(members.is_some(), "{} is not an object", text);
                let mut expected = Number::default();
                expected.read(members.and_then(|members| members.get("n")), &[]);
                prop_assert_eq!(number, expected, "{}", text);
            }
        }
    }

    #[test]
    fn only_objects_have_members() {
        for text in ["", "[1]", "{", "{} x", "null"] {
            assert!(ObjectMembers::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(ObjectMembers::parse(b"{}").unwrap().get("a").is_none());
    }
}

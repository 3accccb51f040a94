//! The members of a JSON object: read in one walk, or found without reading their values.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The members of a JSON object, as they stand in its text.
#[derive(Default)]
pub(super) struct Members<'t>(Vec<(Name<'t>, &'t RawValue)>);

impl<'t> Members<'t> {
    /// Those of this text; `None` where it is no object.
    pub(super) fn of(text: &'t [u8]) -> Option<Members<'t>> {
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

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A name that is copied only where its text has escapes.
#[derive(serde::Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

/// Where the value of a member goes.
pub trait Place {
    /// The name of the member.
    fn name(&self) -> &str;
    /// Reads the value that the text begins with, and gives what comes behind it; `None` where it is another one.
    fn fill<'t>(&mut self, text: &'t str) -> Option<&'t str>;
    /// Reads the value once more, to know what is wrong with it; `None` where the object has no such member.
    fn refill(&mut self, text: Option<&RawValue>);
}

/// Reads the object, and the last member of each name into its place; `None` where it is no object, or a value is
/// another one than its place wants. Some places may be filled then.
pub(super) fn fill(text: &[u8], places: &mut [&mut dyn Place]) -> Option<()> {
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
        let members = Members::of(text).unwrap();
        assert_eq!(members.get("a").unwrap().get(), r#""3""#);
        assert_eq!(members.get("b").unwrap().get(), r#"{"a": [2]}"#);
        assert!(members.get("c").is_none());
        assert!(matches!(members.0[0].0.0, Cow::Borrowed("a")));
    }

    /// A place for a number.
    #[derive(Debug, Default, PartialEq)]
    struct Number(Option<i64>);

    impl Place for Number {
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
                let members = Members::of(text.as_bytes());
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
            assert!(Members::of(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Members::of(b"{}").unwrap().get("a").is_none());
    }
}

//! The members of a JSON object, found without reading their values.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_name() {
        let text = br#"{"a": 1, "\u0062": {"a": [2]}, "a": "3"}"#;
        let members = Members::of(text).unwrap();
        assert_eq!(members.get("a").unwrap().get(), r#""3""#);
        assert_eq!(members.get("b").unwrap().get(), r#"{"a": [2]}"#);
        assert!(members.get("c").is_none());
        assert!(matches!(members.0[0].0.0, Cow::Borrowed("a")));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "[1]", "{", "{} x", "null"] {
            assert!(Members::of(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Members::of(b"{}").unwrap().get("a").is_none());
    }
}

//! The errors of text that is not what its type expects.

use super::{Group, Needed, Scalar};
use serde::de::{self, Expected, Unexpected};
use std::borrow::Cow;
use std::fmt::{self, Display};

/// The length of the part of an invalid text that an error shows, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// An invalid value: the name of its field, if it is known, and the reason.
#[derive(Debug, PartialEq)]
pub(in crate::extract) struct FieldError {
    pub(in crate::extract) field: Option<String>,
    pub(in crate::extract) reason: String,
}

/// The error of one deserialization.
#[derive(Debug, PartialEq)]
pub(super) struct TextError {
    /// The index of the group.
    pub(super) field: Option<usize>,
    pub(super) reason: Reason,
}

#[derive(Debug, PartialEq)]
pub(super) enum Reason {
    /// The text is not what its type expects.
    Text {
        text: String,
        expected: String,
    },
    /// A value is of another type than is expected.
    Type {
        unexpected: Seen,
        shown: String,
        expected: String,
    },
    Missing(&'static str),
    Other(String),
}

#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Text(String),
    /// A number, a boolean, a list, or nothing.
    Other,
}

impl TextError {
    pub(super) fn new(reason: Reason) -> TextError {
        TextError { field: None, reason }
    }

    pub(super) fn text(text: &str, expected: impl Into<String>) -> TextError {
        TextError::new(Reason::Text {
            text: text.to_owned(),
            expected: expected.into(),
        })
    }

    pub(super) fn at(mut self, index: usize) -> TextError {
        self.field.get_or_insert(index);
        self
    }

    /// Returns the form that the value should have had.
    pub(super) fn needed_form(&self) -> Option<Needed> {
        let (expected, is_empty) = match &self.reason {
            Reason::Type {
                expected, unexpected, ..
            } => (expected, *unexpected == Seen::Text(String::new())),
            // An error of another type than the primitive ones, for an empty text of an `Option`.
            Reason::Text { .. } | Reason::Other(_) => return Some(Needed::Scalar(Scalar::Nothing)),
            Reason::Missing(_) => return None,
        };
        let name = expected.strip_prefix("a nonzero ").unwrap_or(expected);
        Some(match name {
            "a boolean" | "a character" | "f32" | "f64" if is_empty => Needed::Scalar(Scalar::Nothing),
            "a boolean" => Needed::Scalar(Scalar::Bool),
            "f32" | "f64" => Needed::Scalar(Scalar::Float),
            "a string" | "a character" => Needed::Scalar(Scalar::Text),
            _ if integer_range(name).is_some() && is_empty => Needed::Scalar(Scalar::Nothing),
            _ if integer_range(name).is_some() && name.starts_with('u') => Needed::Scalar(Scalar::Unsigned),
            _ if integer_range(name).is_some() => Needed::Scalar(Scalar::Signed),
            _ if ["a sequence", "an array", "a tuple", "tuple "]
                .iter()
                .any(|list| name.starts_with(list)) =>
            {
                Needed::List
            }
            _ => return None,
        })
    }

    /// Returns the values that may be the invalid one: they have the text, were read as any value, and can still change.
    pub(super) fn candidates(&self, groups: &[Group<'_>]) -> Vec<usize> {
        let invalid = match &self.reason {
            Reason::Type {
                unexpected: Seen::Text(invalid),
                ..
            } => invalid,
            Reason::Text { .. } | Reason::Other(_) => "",
            Reason::Type { .. } | Reason::Missing(_) => return Vec::new(),
        };
        let is_candidate = |group: &Group<'_>| {
            let reading = &group.reading;
            let mut texts = group
                .texts
                .iter()
                .rev()
                .take(if reading.any.is_list { usize::MAX } else { 1 });
            reading.any_was_read.get()
                && !reading.is_settled
                && reading.any.scalar == Scalar::Text
                && texts.any(|text| text == invalid)
        };
        let found = groups.iter().enumerate().filter(|(_, group)| is_candidate(group));
        found.map(|(index, _)| index).collect()
    }

    pub(super) fn into_field_error(self, groups: &[Group<'_>], index: Option<usize>) -> FieldError {
        let field = index.or(self.field).and_then(|index| groups.get(index));
        let mut name = field.map(|group| group.name.to_string());
        let reason = match self.reason {
            Reason::Text { text, expected } => format!("expected {expected}, got `{}`", shown(&text)),
            Reason::Type {
                unexpected,
                shown: value,
                expected,
            } => {
                let expected = describe(&expected);
                match (unexpected, field.and_then(|group| group.texts.last())) {
                    (Seen::Text(text), _) => format!("expected {expected}, got `{}`", shown(&text)),
                    (Seen::Other, Some(text)) => format!("expected {expected}, got `{}`", shown(text)),
                    (Seen::Other, None) => format!("expected {expected}, got {value}"),
                }
            }
            Reason::Missing(missing) => {
                name = Some(missing.to_owned());
                "the field is missing".to_owned()
            }
            Reason::Other(text) => match field.and_then(|group| group.texts.last()) {
                Some(invalid) => format!("{text}, got `{}`", shown(invalid)),
                None => text,
            },
        };
        FieldError {
            field: name.filter(|name| !name.is_empty()),
            reason,
        }
    }
}

/// Returns the beginning of a text, without control characters.
fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN_CHARS)
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect();
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push_str("..");
    }
    shown
}

macro_rules! ranges {
    ($name:expr; $($int:ident)*) => {
        match $name {
            $(stringify!($int) => Some(whole_number::<$int>($int::MIN, $int::MAX)),)*
            _ => None,
        }
    };
}

/// Describes the values of an integer type. Returns `None` for other types.
pub(in crate::extract) fn integer_range(name: &str) -> Option<String> {
    ranges!(name; u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize)
}

pub(super) fn whole_number<T: Display>(min: T, max: T) -> String {
    format!("a whole number from {min} to {max}")
}

pub(super) const BOOLEANS: &str = "`true`, `on` or `1`, or `false`, `off` or `0`";

/// Describes a type by the name that serde has for it.
fn describe(expected: &str) -> Cow<'_, str> {
    let name = expected.strip_prefix("a nonzero ").unwrap_or(expected);
    match (name, integer_range(name)) {
        (_, Some(range)) if name == expected => Cow::Owned(range),
        (_, Some(range)) => Cow::Owned(format!("{range}, but not 0")),
        ("f32" | "f64", None) => Cow::Borrowed("a number"),
        ("a boolean", None) => Cow::Borrowed(BOOLEANS),
        ("a character", None) => Cow::Borrowed("a single character"),
        _ => Cow::Borrowed(expected),
    }
}

impl Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Text { expected, .. } | Reason::Type { expected, .. } => write!(f, "expected {expected}"),
            Reason::Missing(name) => write!(f, "missing field `{name}`"),
            Reason::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for TextError {}

impl de::Error for TextError {
    fn custom<T: Display>(text: T) -> TextError {
        TextError::new(Reason::Other(text.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> TextError {
        let seen = match unexpected {
            Unexpected::Str(text) => Seen::Text(text.to_owned()),
            Unexpected::Char(c) => Seen::Text(c.to_string()),
            _ => Seen::Other,
        };
        TextError::new(Reason::Type {
            unexpected: seen,
            shown: unexpected.to_string(),
            expected: expected.to_string(),
        })
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> TextError {
        TextError::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> TextError {
        let names: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        TextError::text(variant, format!("one of {}", names.join(", ")))
    }

    fn missing_field(field: &'static str) -> TextError {
        TextError::new(Reason::Missing(field))
    }
}

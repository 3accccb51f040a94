//! Deserializes text: one rule for the values of a query, a form, and an argument. Path captures accept the same texts.
//!
//! * A number is written as in Rust: `7`, `007`, `+7`, `-7`, `.5`, `1e3`; no spaces.
//! * A `bool` is `true`, `on` or `1`, or it is `false`, `off` or `0`.
//! * An enum is the name of a variant without fields.
//! * A name that occurs more than once has its last value; for a list it has all of them, in order.
//! * An empty text is `None` for an `Option`, unless its inner type accepts an empty text as a `String` does.
//! * Everything else gets the text as it is. Text is never read as JSON.
//!
//! Some types do not say which type they need: `#[serde(flatten)]`, untagged and internally tagged enums read any value first, and
//! convert it later. They get a text first. If the conversion fails because it needs a number, a boolean or a list, deserialization starts
//! again, with that value converted.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Display};

/// The number of values that one deserialization converts because their type was not known at first.
const MAX_CONVERSIONS: usize = 64;

/// The length of the part of an invalid text that an error shows, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// The texts of a name, in order.
struct Group<'t> {
    name: Cow<'t, str>,
    texts: Vec<Cow<'t, str>>,
    reading: Reading,
}

/// How the values of a name are read.
#[derive(Default)]
struct Reading {
    /// An empty text is `None` for an `Option`.
    empty_is_none: bool,
    /// The form that a type gets if it accepts any value.
    any: AnyForm,
    /// The form has been tried and may not change again.
    is_settled: bool,
    /// A type has asked for any value.
    any_was_read: Cell<bool>,
    /// An `Option` has been read from an empty text.
    empty_option_was_read: Cell<bool>,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct AnyForm {
    is_list: bool,
    scalar: Scalar,
}

#[derive(Clone, Copy, Default, PartialEq, Debug)]
enum Scalar {
    #[default]
    Text,
    Unsigned,
    Signed,
    Float,
    Bool,
    Nothing,
}

/// Deserializes a value from the texts of one name, of which there is at least one.
pub(super) fn from_texts<'t, T: DeserializeOwned>(texts: Vec<Cow<'t, str>>) -> Result<T, FieldError> {
    let group = Group {
        name: Cow::Borrowed(""),
        texts,
        reading: Reading::default(),
    };
    deserialize(vec![group], |groups| match groups {
        [group] => T::deserialize(Texts::of(group)).map_err(|error| error.at(0)),
        _ => Err(de::Error::missing_field("")),
    })
}

/// Deserializes a value from pairs of a name and a text.
pub(super) fn from_pairs<'t, T: DeserializeOwned>(
    pairs: impl IntoIterator<Item = (Cow<'t, str>, Cow<'t, str>)>,
) -> Result<T, FieldError> {
    let mut groups: Vec<Group<'t>> = Vec::new();
    let mut indexes: HashMap<Cow<'t, str>, usize> = HashMap::new();
    for (name, text) in pairs {
        let index = *indexes.entry(name.clone()).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.texts.push(text),
            None => groups.push(Group {
                name,
                texts: vec![text],
                reading: Reading::default(),
            }),
        }
    }
    deserialize(groups, |groups| T::deserialize(GroupedFields(groups)))
}

/// Deserializes until it succeeds, or until no other reading of a value can help.
fn deserialize<'t, T>(
    mut groups: Vec<Group<'t>>,
    read: impl Fn(&[Group<'t>]) -> Result<T, TextError>,
) -> Result<T, FieldError> {
    let mut trial: Option<Trial> = None;
    let mut conversions = 0;
    loop {
        let error = match read(&groups) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if let Some(group) = error.field.and_then(|index| groups.get_mut(index))
            && group.reading.empty_option_was_read.get()
            && !group.reading.empty_is_none
        {
            group.reading.empty_is_none = true;
            continue;
        }
        let needed = error.needed_form();
        if let Some(Trial {
            index,
            original,
            error: first,
        }) = trial.take()
            && let Some(group) = groups.get_mut(index)
        {
            let is_right = match &error.reason {
                // The conversion was wrong for this value, or it was of another value.
                Reason::Type {
                    unexpected: Seen::Other,
                    ..
                } => needed == Some(group.reading.any.scalar.into()),
                _ => error.reason != first.reason,
            };
            if !is_right {
                group.reading.any = original;
                group.reading.is_settled = true;
                if error.reason != first.reason {
                    continue;
                }
            } else if matches!(
                error.reason,
                Reason::Type {
                    unexpected: Seen::Other,
                    ..
                }
            ) {
                return Err(error.into_field_error(&groups, Some(index)));
            }
        }
        let candidates = error.candidates(&groups);
        let readable = |index: &usize| {
            needed.is_some_and(|needed| groups.get(*index).is_some_and(|group| group.can_be_read(needed)))
        };
        let index = candidates.iter().copied().find(readable);
        let (Some(needed), Some(group), true) = (
            needed,
            index.and_then(|index| groups.get_mut(index)),
            conversions < MAX_CONVERSIONS,
        ) else {
            let is_type = matches!(error.reason, Reason::Type { .. });
            let field = needed
                .filter(|_| is_type)
                .and_then(|_| candidates.first().copied());
            return Err(error.into_field_error(&groups, field));
        };
        conversions += 1;
        let original = group.reading.any;
        group.reading.any = original.with(needed);
        trial = index.map(|index| Trial {
            index,
            original,
            error,
        });
    }
}

/// A value that was converted, until it is known that the conversion helped.
struct Trial {
    index: usize,
    original: AnyForm,
    error: TextError,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Needed {
    Scalar(Scalar),
    List,
}

impl From<Scalar> for Needed {
    fn from(scalar: Scalar) -> Needed {
        Needed::Scalar(scalar)
    }
}

impl AnyForm {
    fn with(self, needed: Needed) -> AnyForm {
        match needed {
            Needed::List => AnyForm {
                is_list: true,
                ..self
            },
            Needed::Scalar(scalar) => AnyForm { scalar, ..self },
        }
    }
}

impl Group<'_> {
    /// Returns whether another form is needed for a type that accepts any value, and all texts have it.
    fn can_be_read(&self, needed: Needed) -> bool {
        let form = self.reading.any.with(needed);
        if form == self.reading.any {
            return false;
        }
        let texts = match form.is_list {
            true => &self.texts[..],
            false => self.texts.last().map_or(&[][..], std::slice::from_ref),
        };
        texts.iter().all(|text| match form.scalar {
            Scalar::Text => true,
            Scalar::Unsigned => text.parse::<u64>().is_ok() || text.is_empty(),
            Scalar::Signed => text.parse::<i64>().is_ok() || text.is_empty(),
            Scalar::Float => text.parse::<f64>().is_ok() || text.is_empty(),
            Scalar::Bool => boolean(text).is_some() || text.is_empty(),
            Scalar::Nothing => text.is_empty(),
        })
    }
}

/// Reads a boolean. Returns `None` if the text is none of the six forms.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// An invalid value: the name of its field, if it is known, and the reason.
#[derive(Debug, PartialEq)]
pub(super) struct FieldError {
    pub(super) field: Option<String>,
    pub(super) reason: String,
}

/// The error of one deserialization.
#[derive(Debug, PartialEq)]
struct TextError {
    /// The index of the group.
    field: Option<usize>,
    reason: Reason,
}

#[derive(Debug, PartialEq)]
enum Reason {
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
enum Seen {
    Text(String),
    /// A number, a boolean, a list, or nothing.
    Other,
}

impl TextError {
    fn new(reason: Reason) -> TextError {
        TextError { field: None, reason }
    }

    fn text(text: &str, expected: impl Into<String>) -> TextError {
        TextError::new(Reason::Text {
            text: text.to_owned(),
            expected: expected.into(),
        })
    }

    fn at(mut self, index: usize) -> TextError {
        self.field.get_or_insert(index);
        self
    }

    /// Returns the form that the value should have had.
    fn needed_form(&self) -> Option<Needed> {
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
    fn candidates(&self, groups: &[Group<'_>]) -> Vec<usize> {
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

    fn into_field_error(self, groups: &[Group<'_>], index: Option<usize>) -> FieldError {
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
pub(super) fn integer_range(name: &str) -> Option<String> {
    ranges!(name; u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize)
}

fn whole_number<T: Display>(min: T, max: T) -> String {
    format!("a whole number from {min} to {max}")
}

const BOOLEANS: &str = "`true`, `on` or `1`, or `false`, `off` or `0`";

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

/// Deserializes a map or a struct from all groups.
struct GroupedFields<'g, 't>(&'g [Group<'t>]);

impl<'de> Deserializer<'de> for GroupedFields<'_, '_> {
    type Error = TextError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_map(FieldAccess {
            groups: self.0.iter().enumerate(),
            value: None,
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        let pairs = self.0.iter().flat_map(|group| {
            let list = Texts::of(group);
            let texts = group.texts.iter().map(move |text| list.element(text));
            texts.map(|text| (&*group.name, text))
        });
        visitor.visit_seq(de::value::MapDeserializer::new(pairs))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct FieldAccess<'g, 't> {
    groups: std::iter::Enumerate<std::slice::Iter<'g, Group<'t>>>,
    value: Option<(usize, &'g Group<'t>)>,
}

impl<'de> MapAccess<'de> for FieldAccess<'_, '_> {
    type Error = TextError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TextError> {
        self.value = self.groups.next();
        let Some((_, group)) = self.value else {
            return Ok(None);
        };
        seed.deserialize(group.name.as_ref().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TextError> {
        let Some((index, group)) = self.value.take() else {
            return Err(de::Error::custom("a value was read before its name"));
        };
        seed.deserialize(Texts::of(group))
            .map_err(|error| error.at(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.groups.len())
    }
}

/// Deserializes the texts of one name.
#[derive(Clone, Copy)]
struct Texts<'g> {
    texts: &'g [Cow<'g, str>],
    reading: &'g Reading,
    /// An element of a list is not read as a list again.
    is_element: bool,
}

impl<'g> Texts<'g> {
    fn of(group: &'g Group<'_>) -> Texts<'g> {
        Texts {
            texts: &group.texts,
            reading: &group.reading,
            is_element: false,
        }
    }

    /// Returns an element of this list.
    fn element(self, text: &'g Cow<'g, str>) -> Texts<'g> {
        Texts {
            texts: std::slice::from_ref(text),
            is_element: true,
            ..self
        }
    }

    /// Returns the value of a name that occurs more than once: the last one.
    fn last(&self) -> &'g str {
        self.texts.last().map_or("", |text| text)
    }
}

impl IntoDeserializer<'_, TextError> for Texts<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $ty:ty, $expected:expr;)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
                match self.last().parse::<$ty>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(TextError::text(self.last(), $expected)),
                }
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Texts<'_> {
    type Error = TextError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        self.reading.any_was_read.set(true);
        let text = self.last();
        let AnyForm { is_list, scalar } = self.reading.any;
        if is_list && !self.is_element {
            return visitor.visit_seq(Elements(self, 0));
        }
        match scalar {
            Scalar::Text => visitor.visit_str(text),
            // Nothing has been entered, so an `Option` is `None`.
            _ if text.is_empty() => visitor.visit_none(),
            Scalar::Unsigned => self.deserialize_u64(visitor),
            Scalar::Signed => self.deserialize_i64(visitor),
            Scalar::Float => self.deserialize_f64(visitor),
            Scalar::Bool => self.deserialize_bool(visitor),
            Scalar::Nothing => visitor.visit_none(),
        }
    }

    parsed! {
        deserialize_i8 visit_i8 i8, whole_number(i8::MIN, i8::MAX);
        deserialize_i16 visit_i16 i16, whole_number(i16::MIN, i16::MAX);
        deserialize_i32 visit_i32 i32, whole_number(i32::MIN, i32::MAX);
        deserialize_i64 visit_i64 i64, whole_number(i64::MIN, i64::MAX);
        deserialize_i128 visit_i128 i128, whole_number(i128::MIN, i128::MAX);
        deserialize_u8 visit_u8 u8, whole_number(u8::MIN, u8::MAX);
        deserialize_u16 visit_u16 u16, whole_number(u16::MIN, u16::MAX);
        deserialize_u32 visit_u32 u32, whole_number(u32::MIN, u32::MAX);
        deserialize_u64 visit_u64 u64, whole_number(u64::MIN, u64::MAX);
        deserialize_u128 visit_u128 u128, whole_number(u128::MIN, u128::MAX);
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
        deserialize_char visit_char char, "a single character";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        match boolean(self.last()) {
            Some(value) => visitor.visit_bool(value),
            None => Err(TextError::text(self.last(), BOOLEANS)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_bytes(self.last().as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_bytes(self.last().as_bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        if self.last().is_empty() {
            if self.reading.empty_is_none {
                return visitor.visit_none();
            }
            self.reading.empty_option_was_read.set(true);
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        match self.last() {
            "" => visitor.visit_unit(),
            text => Err(TextError::text(text, "an empty text")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_seq(Elements(self, 0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TextError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_enum(VariantName(self.last()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_unit()
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }
}

/// The elements of a list: the texts, from an index on.
struct Elements<'g>(Texts<'g>, usize);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = TextError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TextError> {
        let Elements(list, index) = self;
        let Some(text) = list.texts.get(*index) else {
            return Ok(None);
        };
        *index += 1;
        seed.deserialize(list.element(text)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.texts.len().saturating_sub(self.1))
    }
}

/// The name of a variant without fields.
struct VariantName<'g>(&'g str);

impl<'de> EnumAccess<'de> for VariantName<'_> {
    type Error = TextError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), TextError> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for VariantName<'_> {
    type Error = TextError;

    fn unit_variant(self) -> Result<(), TextError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, TextError> {
        Err(TextError::text(self.0, "the name of a variant without fields"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, TextError> {
        Err(TextError::text(self.0, "the name of a variant without fields"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, TextError> {
        Err(TextError::text(self.0, "the name of a variant without fields"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::FromCapture;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::num::NonZeroU8;
    use std::str::FromStr;

    fn query<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
        from_pairs(form_urlencoded::parse(text.as_bytes()))
    }

    fn argument<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
        from_texts(vec![Cow::Borrowed(text)])
    }

    fn encoded(text: &str) -> String {
        form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct One<T> {
        v: T,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Flat<T> {
        #[serde(flatten)]
        one: One<T>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct FlatOption<T> {
        #[serde(flatten)]
        one: One<Option<T>>,
    }

    /// Reads a text in each way, and returns the value that all of them agree on.
    fn read<T: DeserializeOwned + FromStr + PartialEq + Debug + Clone>(text: &str) -> Option<T> {
        let captured = T::from_capture(text);
        let field = format!("x=y&v={}", encoded(text));
        let is = |way: &str, value: Option<T>| assert_eq!(value, captured, "{way}, {text:?}");
        is("argument", argument(text).ok());
        is("field", query::<One<T>>(&field).ok().map(|one| one.v));
        is(
            "flattened field",
            query::<Flat<T>>(&field).ok().map(|flat| flat.one.v),
        );
        is(
            "last of two",
            query::<One<T>>(&format!("v=_&{field}")).ok().map(|one| one.v),
        );
        is(
            "list",
            query::<One<Vec<T>>>(&field)
                .ok()
                .and_then(|one| one.v.first().cloned()),
        );
        is(
            "flattened list",
            query::<Flat<Vec<T>>>(&field)
                .ok()
                .and_then(|flat| flat.one.v.first().cloned()),
        );
        is(
            "map",
            query::<BTreeMap<String, T>>(&format!("v={}", encoded(text)))
                .ok()
                .and_then(|map| map.get("v").cloned()),
        );
        let optional = captured
            .clone()
            .map(Some)
            .or_else(|| text.is_empty().then_some(None));
        assert_eq!(
            argument::<Option<T>>(text).ok(),
            optional,
            "optional argument {text:?}"
        );
        assert_eq!(
            query::<One<Option<T>>>(&field).ok().map(|one| one.v),
            optional,
            "optional field {text:?}"
        );
        assert_eq!(
            query::<FlatOption<T>>(&field).ok().map(|flat| flat.one.v),
            optional,
            "flattened optional field {text:?}"
        );
        captured
    }

    fn read_as_every_type(text: &str) {
        read::<u8>(text);
        read::<u16>(text);
        read::<u32>(text);
        read::<u64>(text);
        read::<usize>(text);
        read::<i8>(text);
        read::<i16>(text);
        read::<i32>(text);
        read::<i64>(text);
        read::<isize>(text);
        read::<NonZeroU8>(text);
        read::<bool>(text);
        read::<char>(text);
        read::<String>(text);
        read::<std::net::Ipv4Addr>(text);
        if !text.to_ascii_lowercase().contains("nan") {
            read::<f64>(text);
            read::<f32>(text);
        }
    }

    proptest! {
        #[test]
        fn query_form_argument_and_capture_read_every_text_alike(
            text in prop_oneof![
                any::<String>(),
                "[+-]?0{0,2}[0-9]{0,5}",
                "[+-]?[0-9]{0,3}[.]?[0-9]{0,3}(e[+-]?[0-9]{1,2})?",
                any::<u64>().prop_map(|n| n.to_string()),
                any::<i64>().prop_map(|n| n.to_string()),
                any::<f64>().prop_map(|n| n.to_string()),
                prop::sample::select(vec![
                    "", " ", "true", "false", "on", "off", "yes", "1", "0", "True", "\"a\"", "[1]", "null", "{}", " 12 ", "01", "+5",
                    "-0", ".5", "5.", "+1.5", "inf", "1e999", "255", "256", "-128", "18446744073709551616", "٣", "1_000", "0x10",
                    "127.0.0.1", "é", "\u{301}e",
                ]).prop_map(str::to_owned),
            ],
        ) {
            read_as_every_type(&text);
        }
    }

    #[test]
    fn scalars_have_one_documented_form() {
        assert_eq!(read::<u32>("007"), Some(7));
        assert_eq!(read::<u32>("+5"), Some(5));
        assert_eq!(read::<f64>(".5"), Some(0.5));
        assert_eq!(read::<f64>("5."), Some(5.0));
        assert_eq!(read::<f64>("+1.5"), Some(1.5));
        assert_eq!(read::<u32>(" 12 "), None);
        assert_eq!(read::<u32>("null"), None);
        assert_eq!(read::<String>("\"a\""), Some("\"a\"".to_owned()));
        for (text, value) in [
            ("true", true),
            ("on", true),
            ("1", true),
            ("false", false),
            ("off", false),
            ("0", false),
        ] {
            assert_eq!(read::<bool>(text), Some(value), "{text}");
        }
        for text in ["", "True", "yes", "2", " true"] {
            assert_eq!(read::<bool>(text), None, "{text}");
        }
        assert_eq!(argument::<u128>(&u128::MAX.to_string()), Ok(u128::MAX));
        assert_eq!(argument::<i128>(&i128::MIN.to_string()), Ok(i128::MIN));
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Asc,
        Desc,
    }

    #[test]
    fn last_value_of_a_name_is_used_and_a_list_has_all() {
        assert_eq!(query::<One<u32>>("v=1&v=2").unwrap().v, 2);
        assert!(query::<One<bool>>("v=false&v=true").unwrap().v);
        assert_eq!(query::<One<Vec<u32>>>("v=1&v=2").unwrap().v, [1, 2]);
        assert_eq!(query::<Flat<Vec<u32>>>("v=1&v=02").unwrap().one.v, [1, 2]);
        assert_eq!(
            query::<One<(u8, String)>>("v=1&v=b").unwrap().v,
            (1, "b".to_owned())
        );
        assert_eq!(
            query::<One<Vec<Order>>>("v=asc&v=desc").unwrap().v,
            [Order::Asc, Order::Desc]
        );
        assert_eq!(
            query::<One<Vec<Option<u8>>>>("v=&v=2").unwrap().v,
            [None, Some(2)]
        );
        assert_eq!(
            query::<Vec<(String, String)>>("a=1&b=2").unwrap(),
            [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]
        );
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Search {
        q: String,
        #[serde(flatten)]
        paging: Paging,
        #[serde(flatten)]
        rest: BTreeMap<String, String>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Paging {
        page: Option<u32>,
        #[serde(default)]
        tag: Vec<String>,
        #[serde(default)]
        price: Option<f32>,
        #[serde(default)]
        exact: bool,
        label: Option<String>,
        order: Option<Order>,
    }

    #[test]
    fn flattened_fields_have_their_types() {
        let search: Search =
            query("q=2&page=2&tag=2&tag=b&price=2&exact=on&label=2&order=asc&other=2&another=true").unwrap();
        let rest = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect()
        };
        assert_eq!(
            search,
            Search {
                q: "2".to_owned(),
                paging: Paging {
                    page: Some(2),
                    tag: vec!["2".to_owned(), "b".to_owned()],
                    price: Some(2.0),
                    exact: true,
                    label: Some("2".to_owned()),
                    order: Some(Order::Asc),
                },
                rest: rest(
                    &[
                        ("another", "true"),
                        ("exact", "on"),
                        ("label", "2"),
                        ("order", "asc"),
                        ("other", "2"),
                        ("page", "2"),
                        ("price", "2"),
                        ("tag", "b"),
                    ]
                    .into_iter()
                    .filter(|(name, _)| ["another", "other"].contains(name))
                    .collect::<Vec<_>>()
                ),
            }
        );
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Tagged {
        Page { page: u32, size: Option<u8> },
        All,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u32),
        Text(String),
    }

    #[test]
    fn tagged_and_untagged_enums_are_read() {
        assert_eq!(
            query("kind=page&page=3&size="),
            Ok(Tagged::Page { page: 3, size: None })
        );
        assert_eq!(query("kind=all"), Ok(Tagged::All));
        assert_eq!(
            query::<One<Untagged>>("v=3").unwrap().v,
            Untagged::Text("3".to_owned())
        );
        assert_eq!(argument::<Option<Order>>(""), Ok(None));
        assert_eq!(argument::<Option<String>>(""), Ok(Some(String::new())));
    }

    #[test]
    fn errors_name_the_field_the_value_and_what_is_expected() {
        fn error<T: DeserializeOwned + Debug>(text: &str) -> (String, String) {
            let FieldError { field, reason } = query::<T>(text).unwrap_err();
            (field.unwrap_or_default(), reason)
        }
        for (error, field, reason) in [
            (
                error::<One<u8>>("v=300"),
                "v",
                "expected a whole number from 0 to 255, got `300`",
            ),
            (
                error::<Flat<u8>>("x=300&v=300"),
                "v",
                "expected a whole number from 0 to 255, got `300`",
            ),
            (
                error::<Flat<i8>>("v=1O"),
                "v",
                "expected a whole number from -128 to 127, got `1O`",
            ),
            (
                error::<Flat<bool>>("v=maybe"),
                "v",
                "expected `true`, `on` or `1`, or `false`, `off` or `0`, got `maybe`",
            ),
            (
                error::<One<NonZeroU8>>("v=0"),
                "v",
                "expected a whole number from 0 to 255, but not 0, got `0`",
            ),
            (
                error::<One<f64>>("v=x%0a"),
                "v",
                "expected a number, got `x\u{fffd}`",
            ),
            (
                error::<One<char>>("v=ab"),
                "v",
                "expected a single character, got `ab`",
            ),
            (
                error::<One<Order>>("v=up"),
                "v",
                "expected one of `asc`, `desc`, got `up`",
            ),
            (
                error::<One<Vec<u8>>>("v=1&v=x"),
                "v",
                "expected a whole number from 0 to 255, got `x`",
            ),
            (error::<One<u8>>("x=1"), "v", "the field is missing"),
            (error::<One<One<u8>>>("v=1"), "v", "expected struct One, got `1`"),
            (
                error::<One<std::net::Ipv4Addr>>("v=1"),
                "v",
                "invalid IPv4 address syntax, got `1`",
            ),
        ] {
            assert_eq!((error.0.as_str(), error.1.as_str()), (field, reason));
        }
        let long = format!("v={}", "x".repeat(1000));
        assert!(error::<One<u8>>(&long).1.len() < 200);
    }
}

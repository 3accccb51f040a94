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

mod deserializer;
mod error;

pub(super) use error::{FieldError, integer_range};

use deserializer::{GroupedFields, Texts};
use error::{Reason, Seen, TextError};
use serde::de::{DeserializeOwned, Error};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

/// The number of values that one deserialization converts because their type was not known at first.
const MAX_CONVERSIONS: usize = 64;

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
        _ => Err(TextError::missing_field("")),
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

#[cfg(test)]
mod tests;

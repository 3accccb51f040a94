//! JSON text, and the bytes to which it refers.
//!
//! JSON has no bytes: serde_json writes them as an array of numbers, of up to four characters for each byte. Here a value that serde
//! serializes as bytes, such as `bytes::Bytes` or a field with `#[serde(with = "serde_bytes")]`, becomes a *part*, and the text
//! contains `{"$bytes": 0}` in its place, where 0 is the index of the part. The type of the reader decides what a placeholder means,
//! so a map that happens to look like one stays a map.
//!
//! A value that would be read as another one is not written: a number that is not finite, `Some(None)`, and a value that is nested deeper
//! than [`MAX_DEPTH`].
//!
//! `Bytes` that are the whole value are not copied, nor is a `Vec<u8>` when it is written. Inside of a structure, serde hands over a slice. A field
//! with the attribute of [`as_bytes`](crate::as_bytes) hands its `Bytes` over beside serde; others are copied once on each side.

mod deserializer;
pub(crate) mod handover;
mod path;
mod serializer;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use deserializer::PartsDeserializer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serializer::{PartsSerializer, SerializedParts};
use std::any::Any;

/// The name of the only member of a placeholder.
pub(crate) const PLACEHOLDER: &str = "$bytes";

/// The maximum number of parts of one value. Further bytes are written as arrays of numbers.
pub(crate) const MAX_PARTS: usize = 64;

/// The maximum number of arrays and objects around a value. serde_json reads at most 127, of which dialects need some for their envelope.
pub(crate) const MAX_DEPTH: usize = 120;

/// What is known of a value that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Written {
    /// It contains a 128-bit integer, which its own type may be unable to read.
    pub(crate) has_wide_integer: bool,
}

/// Appends a value to `text`, and its bytes to `parts`. If the value cannot be serialized, both are as before.
pub(crate) fn write<T: Serialize + 'static>(
    text: &mut Vec<u8>,
    parts: &mut Vec<Bytes>,
    value: &T,
) -> serde_json::Result<Written> {
    let whole = value as &dyn Any;
    let whole = if let Some(bytes) = whole.downcast_ref::<Bytes>() {
        Some(bytes.clone())
    } else {
        whole
            .downcast_ref::<Vec<u8>>()
            .map(|bytes| Bytes::copy_from_slice(bytes))
    };
    match whole.filter(|_| parts.len() < MAX_PARTS) {
        Some(bytes) => push_part(text, parts, bytes),
        None => write_borrowed(text, parts, value),
    }
}

/// As [`write`], but does not copy a `Vec<u8>`.
pub(crate) fn write_owned<T: Serialize + 'static>(
    text: &mut Vec<u8>,
    parts: &mut Vec<Bytes>,
    value: T,
) -> serde_json::Result<Written> {
    let mut value = Some(value);
    let vec = (&mut value as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>();
    if parts.len() < MAX_PARTS
        && let Some(vec) = vec.and_then(Option::take)
    {
        return push_part(text, parts, vec.into());
    }
    match value {
        Some(value) => write(text, parts, &value),
        None => Ok(Written::default()),
    }
}

fn push_part(text: &mut Vec<u8>, parts: &mut Vec<Bytes>, bytes: Bytes) -> serde_json::Result<Written> {
    let index = parts.len();
    serde_json::to_writer(text, &Placeholder { index })?;
    parts.push(bytes);
    Ok(Written::default())
}

/// Appends a value of any lifetime. Its bytes are copied.
pub(crate) fn write_borrowed<T: Serialize + ?Sized>(
    text: &mut Vec<u8>,
    parts: &mut Vec<Bytes>,
    value: &T,
) -> serde_json::Result<Written> {
    let (text_before, parts_before) = (text.len(), parts.len());
    let collected = SerializedParts::default();
    collected.parts.replace(std::mem::take(parts));
    let mut serializer = serde_json::Serializer::new(&mut *text);
    let result = value.serialize(PartsSerializer::new(&mut serializer, &collected));
    *parts = collected.parts.into_inner();
    if result.is_err() {
        text.truncate(text_before);
        parts.truncate(parts_before);
    }
    result.map(|()| Written {
        has_wide_integer: collected.has_wide_integer.get(),
    })
}

/// Returns the error of a value that its own type cannot read.
pub(crate) fn unreadable(error: &serde_json::Error) -> serde_json::Error {
    serde::ser::Error::custom(format_args!(
        "its type cannot read this value: {error}; 128-bit integers cannot be in a type with `#[serde(flatten)]` or `#[serde(untagged)]`"
    ))
}

/// Reads a value from a whole text and its parts. A type that cannot hold bytes, such as a `serde_json::Value`, gets the placeholders. An
/// error names the path of the value that cannot be read.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8], parts: &[Bytes]) -> serde_json::Result<T> {
    read_value(text, parts).map_err(|error| path::locate(text, error))
}

fn read_value<T: DeserializeOwned>(text: &[u8], parts: &[Bytes]) -> serde_json::Result<T> {
    if parts.is_empty() {
        return serde_json::from_slice(text);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = T::deserialize(PartsDeserializer::new(&mut deserializer, parts)).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    value.or_else(|error| serde_json::from_slice(text).map_err(|_| error))
}

/// As [`read`], but does not copy a part that is the whole value.
pub(crate) fn read_owned<T: DeserializeOwned + 'static>(
    text: &[u8],
    parts: &[Bytes],
) -> serde_json::Result<T> {
    let mut value: Option<T> = None;
    let target = &mut value as &mut dyn Any;
    if target.is::<Option<Bytes>>() || target.is::<Option<Vec<u8>>>() {
        let part = serde_json::from_slice::<Placeholder>(text).ok();
        if let Some(part) = part.and_then(|placeholder| parts.get(placeholder.index)) {
            if let Some(bytes) = target.downcast_mut::<Option<Bytes>>() {
                *bytes = Some(part.clone());
            } else if let Some(bytes) = target.downcast_mut::<Option<Vec<u8>>>() {
                *bytes = Some(part.to_vec());
            }
        }
    }
    match value {
        Some(value) => Ok(value),
        None => read(text, parts),
    }
}

/// The placeholder of a part.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Placeholder {
    #[serde(rename = "$bytes")]
    index: usize,
}

/// Returns the text with its bytes as arrays of numbers, for a receiver that knows no parts. The rest of the text stays as it is, so
/// that no number changes.
pub(crate) fn inline(text: Bytes, parts: &[Bytes]) -> Bytes {
    if parts.is_empty() {
        return text;
    }
    let mut inlined = Vec::with_capacity(text.len());
    let (mut rest, mut in_string) = (&text[..], false);
    while let Some((&byte, after)) = rest.split_first() {
        if !in_string && let Some((bytes, after)) = placeholder_at(rest, parts) {
            // Writing numbers to memory cannot fail.
            let _ = serde_json::to_writer(&mut inlined, &bytes[..]);
            rest = after;
            continue;
        }
        inlined.push(byte);
        rest = after;
        match (byte, rest.split_first()) {
            (b'"', _) => in_string = !in_string,
            (b'\\', Some((&escaped, after))) => {
                inlined.push(escaped);
                rest = after;
            }
            _ => {}
        }
    }
    inlined.into()
}

/// Returns the part of a placeholder at the start of the text, and the rest of the text. serde_json has written it without whitespace.
fn placeholder_at<'t, 'p>(text: &'t [u8], parts: &'p [Bytes]) -> Option<(&'p Bytes, &'t [u8])> {
    let text = text.strip_prefix(b"{\"")?.strip_prefix(PLACEHOLDER.as_bytes())?;
    let text = text.strip_prefix(b"\":")?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (index, rest) = text.split_at_checked(digits)?;
    let index: usize = std::str::from_utf8(index).ok()?.parse().ok()?;
    Some((parts.get(index)?, rest.strip_prefix(b"}")?))
}

/// Replaces the placeholders in a value by arrays of numbers.
pub(crate) fn inline_value(value: &mut Value, parts: &[Bytes]) {
    match value {
        Value::Object(fields) => match placeholder_in(fields, parts) {
            Some(bytes) => *value = bytes.iter().copied().collect(),
            None => fields.values_mut().for_each(|value| inline_value(value, parts)),
        },
        Value::Array(values) => values.iter_mut().for_each(|value| inline_value(value, parts)),
        _ => {}
    }
}

fn placeholder_in<'p>(fields: &Map<String, Value>, parts: &'p [Bytes]) -> Option<&'p Bytes> {
    let index = fields.get(PLACEHOLDER).filter(|_| fields.len() == 1)?.as_u64()?;
    parts.get(usize::try_from(index).ok()?)
}

//! JSON objects that are written field by field.

use crate::json_parts;
use crate::small_bytes;
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
/// A JSON object that serialises each field when it is set.
///
/// Most requests are only sent, so building a `Map` of values first would be wasted work.
#[derive(Clone, Default)]
pub(crate) struct JsonObjectWriter {
    /// The text of the object without its closing brace. Empty if there are no fields.
    text: Vec<u8>,
    fields: SmallVec<[Field; 1]>,
    /// The parsed text with its bytes, cached for `as_map`.
    map: OnceLock<Map<String, Value>>,
}

#[derive(Clone)]
struct Field {
    name: Cow<'static, str>,
    /// The name and the value in the text.
    text: Range<usize>,
    /// The parts to which the value refers.
    parts: Range<usize>,
}

impl JsonObjectWriter {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Sets a field to the value that `write` appends. If it fails, the object is unchanged.
    pub(crate) fn set(
        &mut self,
        name: Cow<'static, str>,
        parts: &mut Vec<Bytes>,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        let first_part = parts.len();
        if let Some(index) = self.fields.iter().position(|field| field.name == name) {
            let mut value = Vec::new();
            write(&mut value, parts)?;
            self.replace(index, &value);
            if let Some(field) = self.fields.get_mut(index) {
                // The parts keep their places, because the text refers to them by index.
                let replaced = parts.get_mut(field.parts.clone()).unwrap_or_default();
                replaced.fill(Bytes::new());
                field.parts = first_part..parts.len();
            }
        } else {
            let length_before = self.text.len();
            if let Err(error) = self.append(&name, parts, write) {
                self.text.truncate(length_before);
                return Err(error);
            }
            self.fields.push(Field {
                name,
                // After the brace or the comma.
                text: length_before + 1..self.text.len(),
                parts: first_part..parts.len(),
            });
        }
        self.map = OnceLock::new();
        Ok(())
    }

    fn append(
        &mut self,
        name: &str,
        parts: &mut Vec<Bytes>,
        write: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        if self.is_empty() {
            self.text = small_bytes::take_buffer();
        }
        self.text.push(if self.is_empty() { b'{' } else { b',' });
        write_name(&mut self.text, name)?;
        write(&mut self.text, parts)
    }

    /// Writes the text again with another value of one field. The other fields are copied as text, so that no number changes.
    fn replace(&mut self, index: usize, value: &[u8]) {
        let before = std::mem::take(&mut self.text);
        for (i, field) in self.fields.iter_mut().enumerate() {
            self.text.push(if i == 0 { b'{' } else { b',' });
            let start = self.text.len();
            if i == index {
                // Writing a string to memory cannot fail.
                let _ = write_name(&mut self.text, &field.name);
                self.text.extend_from_slice(value);
            } else {
                self.text
                    .extend_from_slice(before.get(field.text.clone()).unwrap_or_default());
            }
            field.text = start..self.text.len();
        }
    }

    /// Returns the fields. Bytes are arrays of numbers, and integers of more than 64 bits are floating-point numbers.
    pub(crate) fn as_map(&self, parts: &[Bytes]) -> &Map<String, Value> {
        self.map.get_or_init(|| {
            let mut fields = self.parse();
            if !parts.is_empty() {
                fields
                    .values_mut()
                    .for_each(|value| json_parts::inline_value(value, parts));
            }
            fields
        })
    }

    /// Returns the fields. Bytes are placeholders.
    fn parse(&self) -> Map<String, Value> {
        // The text is valid JSON. Parsing it fails only if a value is nested deeper than serde_json's recursion limit,
        // and no brubeck service could parse such a request either.
        serde_json::from_slice(&self.clone().into_text()).unwrap_or_default()
    }

    /// Returns the JSON text of the object.
    pub(crate) fn into_text(mut self) -> Vec<u8> {
        if self.is_empty() {
            self.text.push(b'{');
        }
        self.text.push(b'}');
        self.text
    }
}

/// Merges two JSON objects. A member of the second one replaces that of the same name. All values are copied as text, so that no number
/// changes. Returns `None` if one of the texts is not an object.
pub(crate) fn merge_objects(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(first).ok()?;
    members.extend(serde_json::from_slice::<BTreeMap<String, &RawValue>>(second).ok()?);
    serde_json::to_vec(&members).ok()
}

fn write_name(text: &mut Vec<u8>, name: &str) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *text, name)?;
    text.push(b':');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde::Serialize;
    use std::collections::HashMap;

    fn text(fields: &JsonObjectWriter) -> String {
        String::from_utf8(fields.clone().into_text()).unwrap()
    }

    fn set(
        fields: &mut JsonObjectWriter,
        name: &'static str,
        value: impl Serialize,
    ) -> serde_json::Result<()> {
        let write = |text: &mut Vec<u8>, parts: &mut Vec<Bytes>| {
            json_parts::write_borrowed(text, parts, &value).map(drop)
        };
        fields.set(name.into(), &mut Vec::new(), write)
    }

    #[test]
    fn writes_fields_in_order() {
        let mut fields = JsonObjectWriter::default();
        assert_eq!((fields.is_empty(), text(&fields).as_str()), (true, "{}"));
        set(&mut fields, "b", 1).unwrap();
        assert_eq!(fields.as_map(&[])["b"], 1);
        set(&mut fields, "a\"", ["x"]).unwrap();
        assert_eq!(text(&fields), r#"{"b":1,"a\"":["x"]}"#);
        assert_eq!(fields.as_map(&[])["a\""][0], "x");
    }

    #[test]
    fn replaces_field_of_same_name() {
        let mut fields = JsonObjectWriter::default();
        for (name, value) in [("b", 1), ("a", u128::MAX), ("b", 3)] {
            set(&mut fields, name, value).unwrap();
        }
        assert_eq!(text(&fields), format!(r#"{{"b":3,"a":{}}}"#, u128::MAX));
        set(&mut fields, "c", 5).unwrap();
        set(&mut fields, "b", 4).unwrap();
        assert_eq!(text(&fields), format!(r#"{{"b":4,"a":{},"c":5}}"#, u128::MAX));
        assert_eq!(fields.as_map(&[])["b"], 4);
    }

    #[test]
    fn failed_serialisation_leaves_object_unchanged() {
        let mut fields = JsonObjectWriter::default();
        let not_json = HashMap::from([(vec![1], 1)]);
        assert!(set(&mut fields, "a", &not_json).is_err());
        assert!(fields.is_empty());
        set(&mut fields, "b", 1).unwrap();
        assert!(set(&mut fields, "a", &not_json).is_err());
        assert!(set(&mut fields, "b", &not_json).is_err());
        assert_eq!(text(&fields), r#"{"b":1}"#);
    }
}

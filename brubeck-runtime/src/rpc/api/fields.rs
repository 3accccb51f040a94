//! The named arguments of a request: a JSON object.

use crate::small_bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::OnceLock;

/// A JSON object that is written as its fields come, because what goes over the wire is its text.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    /// The object without its last brace; empty without fields.
    text: Vec<u8>,
    names: SmallVec<[Cow<'static, str>; 1]>,
    /// The same, for whoever wants to look.
    read: OnceLock<Map<String, Value>>,
}

impl Fields {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Adds a field, or replaces it; a value that is not JSON changes nothing.
    pub(crate) fn set(&mut self, name: Cow<'static, str>, value: &impl Serialize) -> serde_json::Result<()> {
        if self.names.contains(&name) {
            let value = serde_json::to_value(value)?;
            let mut fields = self.read().clone();
            fields.insert(name.into_owned(), value);
            *self = fields.into_iter().collect();
            return Ok(());
        }
        let before = self.text.len();
        if let Err(error) = self.append(&name, value) {
            self.text.truncate(before);
            return Err(error);
        }
        self.names.push(name);
        self.read = OnceLock::new();
        Ok(())
    }

    fn append(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        if self.is_empty() {
            self.text = small_bytes::room();
        }
        self.text.push(if self.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut self.text, name)?;
        self.text.push(b':');
        serde_json::to_writer(&mut self.text, value)
    }

    /// The object, for whoever wants to look.
    pub(crate) fn read(&self) -> &Map<String, Value> {
        // It was written as JSON; only what is nested deeper than any service reads cannot be read back.
        let read = || serde_json::from_slice(&self.clone().into_text()).unwrap_or_default();
        self.read.get_or_init(read)
    }

    /// The text of the object.
    pub(crate) fn into_text(mut self) -> Vec<u8> {
        if self.is_empty() {
            self.text.push(b'{');
        }
        self.text.push(b'}');
        self.text
    }
}

impl FromIterator<(String, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Fields {
        let mut written = Fields::default();
        for (name, value) in fields {
            // A JSON value is JSON.
            let _ = written.set(name.into(), &value);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn text(fields: &Fields) -> String {
        String::from_utf8(fields.clone().into_text()).unwrap()
    }

    #[test]
    fn an_object_is_written_field_by_field() {
        let mut fields = Fields::default();
        assert_eq!((fields.is_empty(), text(&fields).as_str()), (true, "{}"));
        fields.set("b".into(), &1).unwrap();
        assert_eq!(fields.read()["b"], 1);
        fields.set("a\"".into(), &["x"]).unwrap();
        assert_eq!(text(&fields), r#"{"b":1,"a\"":["x"]}"#);
        assert_eq!(fields.read()["a\""][0], "x");
    }

    #[test]
    fn a_field_is_replaced() {
        let mut fields = Fields::default();
        for (name, value) in [("b", 1), ("a", 2), ("b", 3)] {
            fields.set(name.into(), &value).unwrap();
        }
        assert_eq!(text(&fields), r#"{"a":2,"b":3}"#);
        fields.set("b".into(), &4).unwrap();
        assert_eq!(fields.read()["b"], 4);
    }

    #[test]
    fn what_is_not_json_changes_nothing() {
        let mut fields = Fields::default();
        let no_object = HashMap::from([(vec![1], 1)]);
        assert!(fields.set("a".into(), &no_object).is_err());
        assert!(fields.is_empty());
        fields.set("b".into(), &1).unwrap();
        assert!(fields.set("a".into(), &no_object).is_err());
        assert!(fields.set("b".into(), &no_object).is_err());
        assert_eq!(text(&fields), r#"{"b":1}"#);
    }
}

//! What a call asks, and its named arguments.

use crate::method::Method;
use crate::small_bytes;
use crate::trace::Trace;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

/// A request to a service, not sent yet.
///
/// ```
/// use brubeck::{Method, ServiceRequest};
///
/// let request = ServiceRequest::new("/service/slow").argument("RETURN_DATA", "hello").header("x-trace", "7");
/// assert_eq!(request.path(), "/service/slow");
/// assert_eq!(request.method(), Method::Request);
/// ```
///
/// An argument or body that cannot become JSON is kept as a mistake, and the call that sends the
/// request ends in [`Refused`](crate::CallError::Refused).
#[derive(Clone)]
pub struct ServiceRequest {
    pub(crate) path: Cow<'static, str>,
    pub(crate) method: Method,
    pub(crate) arguments: JsonObject,
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: Bytes,
    pub(crate) idempotent: bool,
    pub(crate) hops: u8,
    pub(crate) trace: Option<Trace>,
    mistake: Option<String>,
}

impl ServiceRequest {
    /// A request to this path, with the method `request`.
    pub fn new(path: impl Into<String>) -> ServiceRequest {
        ServiceRequest::to(path.into())
    }

    /// The same for a path that may be a constant, which is not copied then.
    #[doc(hidden)]
    pub fn to(path: impl Into<Cow<'static, str>>) -> ServiceRequest {
        ServiceRequest {
            path: path.into(),
            method: Method::Request,
            arguments: JsonObject::default(),
            headers: Map::new(),
            body: Bytes::new(),
            idempotent: false,
            hops: 0,
            trace: None,
            mistake: None,
        }
    }

    /// Another method.
    pub fn with_method(mut self, method: Method) -> ServiceRequest {
        self.method = method;
        self
    }

    /// Adds a named argument, or replaces it.
    pub fn argument(self, name: impl Into<String>, value: impl Serialize) -> ServiceRequest {
        self.named(Cow::Owned(name.into()), &value)
    }

    pub(crate) fn named(mut self, name: Cow<'static, str>, value: &impl Serialize) -> ServiceRequest {
        if let Err(error) = self.arguments.set(name.clone(), value) {
            self.mistake = Some(format!("the argument `{name}` is not JSON: {error}"));
        }
        self
    }

    /// Adds a header, or replaces it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> ServiceRequest {
        self.headers.insert(name.into(), Value::String(value.into()));
        self
    }

    /// Sets the body, which becomes JSON. Python services read it only in the dialects that carry it:
    /// there use named arguments.
    pub fn body(mut self, value: impl Serialize) -> ServiceRequest {
        match small_bytes::write_with(|text| serde_json::to_writer(text, &value)) {
            Ok(body) => self.body = body,
            Err(error) => self.mistake = Some(format!("the body is not JSON: {error}")),
        }
        self
    }

    /// Says that it does no harm to do it twice: a call that was lost with its connection may then be sent
    /// to another process of the service.
    pub fn idempotent(mut self) -> ServiceRequest {
        self.idempotent = true;
        self
    }

    /// Whether it does no harm to do it twice.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The named arguments.
    pub fn arguments(&self) -> &Map<String, Value> {
        self.arguments.read()
    }

    /// The headers.
    pub fn headers(&self) -> &Map<String, Value> {
        &self.headers
    }

    /// The text of the JSON body; empty where none was set.
    pub fn body_text(&self) -> &Bytes {
        &self.body
    }

    /// So many calls led to it, and it is this span.
    pub(crate) fn with_trace(self, hops: u8, trace: Trace) -> ServiceRequest {
        ServiceRequest {
            hops,
            trace: Some(trace),
            ..self
        }
    }

    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// What is wrong with it, in words; such a request is never sent.
    pub(crate) fn mistake(&self) -> Option<&str> {
        match (&self.mistake, self.path.starts_with('/')) {
            (Some(mistake), _) => Some(mistake),
            (None, false) => Some("the path of a request starts with `/`"),
            (None, true) => None,
        }
    }
}

/// Names and sizes instead of contents, which may hold secrets.
impl fmt::Debug for ServiceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("arguments", &self.arguments().keys().collect::<Vec<_>>())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &self.body.len())
            .finish()
    }
}

/// A JSON object that is written as its fields come, because what goes over the wire is its text.
#[derive(Clone, Default)]
pub(crate) struct JsonObject {
    /// The object without its last brace; empty without fields.
    text: Vec<u8>,
    names: SmallVec<[Cow<'static, str>; 1]>,
    /// The same, for whoever wants to look.
    read: OnceLock<Map<String, Value>>,
}

impl JsonObject {
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
            self.text = small_bytes::take_buffer();
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

impl FromIterator<(String, Value)> for JsonObject {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> JsonObject {
        let mut written = JsonObject::default();
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

    fn text(fields: &JsonObject) -> String {
        String::from_utf8(fields.clone().into_text()).unwrap()
    }

    #[test]
    fn an_object_is_written_field_by_field() {
        let mut fields = JsonObject::default();
        assert_eq!((fields.is_empty(), text(&fields).as_str()), (true, "{}"));
        fields.set("b".into(), &1).unwrap();
        assert_eq!(fields.read()["b"], 1);
        fields.set("a\"".into(), &["x"]).unwrap();
        assert_eq!(text(&fields), r#"{"b":1,"a\"":["x"]}"#);
        assert_eq!(fields.read()["a\""][0], "x");
    }

    #[test]
    fn a_field_is_replaced() {
        let mut fields = JsonObject::default();
        for (name, value) in [("b", 1), ("a", 2), ("b", 3)] {
            fields.set(name.into(), &value).unwrap();
        }
        assert_eq!(text(&fields), r#"{"a":2,"b":3}"#);
        fields.set("b".into(), &4).unwrap();
        assert_eq!(fields.read()["b"], 4);
    }

    #[test]
    fn what_is_not_json_changes_nothing() {
        let mut fields = JsonObject::default();
        let no_object = HashMap::from([(vec![1], 1)]);
        assert!(fields.set("a".into(), &no_object).is_err());
        assert!(fields.is_empty());
        fields.set("b".into(), &1).unwrap();
        assert!(fields.set("a".into(), &no_object).is_err());
        assert!(fields.set("b".into(), &no_object).is_err());
        assert_eq!(text(&fields), r#"{"b":1}"#);
    }
}

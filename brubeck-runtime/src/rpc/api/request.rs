//! The request of a call, and its named arguments.

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

/// A request to a service that has not been sent yet.
///
/// ```
/// use brubeck::{Method, ServiceRequest};
///
/// let request = ServiceRequest::new("/service/slow").argument("RETURN_DATA", "hello").header("x-trace", "7");
/// assert_eq!(request.path(), "/service/slow");
/// assert_eq!(request.method(), Method::Request);
/// ```
///
/// Building a request never fails. The call that sends the request fails with [`Refused`](crate::CallError::Refused) if an
/// argument or the body cannot be serialised as JSON, if the path does not start with `/`, or if a text is too long for the
/// protocol: brubeck's allows 8 KiB of path, and 100 headers of 16 KiB in total.
#[derive(Clone)]
pub struct ServiceRequest {
    pub(crate) path: Cow<'static, str>,
    pub(crate) method: Method,
    pub(crate) arguments: JsonObjectWriter,
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: Bytes,
    pub(crate) idempotent: bool,
    pub(crate) hops: u8,
    pub(crate) trace: Option<Trace>,
    /// The first reason why the request cannot be sent.
    invalid: Option<String>,
}

impl ServiceRequest {
    /// Creates a request to `path` with the method [`Method::Request`].
    pub fn new(path: impl Into<String>) -> ServiceRequest {
        ServiceRequest::to(path.into())
    }

    /// As [`new`](ServiceRequest::new), but does not copy a static path.
    #[doc(hidden)]
    pub fn to(path: impl Into<Cow<'static, str>>) -> ServiceRequest {
        ServiceRequest {
            path: path.into(),
            method: Method::Request,
            arguments: JsonObjectWriter::default(),
            headers: Map::new(),
            body: Bytes::new(),
            idempotent: false,
            hops: 0,
            trace: None,
            invalid: None,
        }
    }

    /// Sets the method.
    pub fn with_method(mut self, method: Method) -> ServiceRequest {
        self.method = method;
        self
    }

    /// Sets a named argument, replacing an argument of the same name.
    pub fn argument(self, name: impl Into<String>, value: impl Serialize) -> ServiceRequest {
        self.set_argument(Cow::Owned(name.into()), &value)
    }

    pub(crate) fn set_argument(mut self, name: Cow<'static, str>, value: &impl Serialize) -> ServiceRequest {
        if let Err(error) = self.arguments.set(name.clone(), value) {
            self.set_invalid(format!(
                "the argument `{name}` cannot be serialised as JSON: {error}"
            ));
        }
        self
    }

    /// Sets a header, replacing a header of the same name. Names that differ in case are different here.
    ///
    /// The service ignores a header whose name or value is not valid in HTTP.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> ServiceRequest {
        self.headers.insert(name.into(), Value::String(value.into()));
        self
    }

    /// Sets the body, which is sent as JSON.
    ///
    /// Brubeck's protocol and [`Dialect::Seed`](crate::Dialect::Seed) send named arguments as members of the body, in which
    /// they replace members of the same name. With these protocols, a request with named arguments must have no body or a JSON
    /// object as its body; any other body is dropped.
    pub fn body(mut self, value: impl Serialize) -> ServiceRequest {
        match small_bytes::write_with(|buffer| serde_json::to_writer(buffer, &value)) {
            Ok(body) => self.body = body,
            Err(error) => self.set_invalid(format!("the body cannot be serialised as JSON: {error}")),
        }
        self
    }

    fn set_invalid(&mut self, reason: String) {
        self.invalid.get_or_insert(reason);
    }

    /// Marks the request as idempotent, so that it may be retried.
    ///
    /// If the connection to a worker is lost while the call is in flight, the request is sent again after a short random
    /// delay, at most 4 times in total and within a budget for all retries of the client. Without this mark such a call
    /// fails with [`Lost`](crate::CallError::Lost) unless it is proven that its handler did not run. Calls in a dialect of
    /// the Python original are never retried.
    pub fn idempotent(mut self) -> ServiceRequest {
        self.idempotent = true;
        self
    }

    /// Returns `true` if the request is marked as idempotent.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// Returns the path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the named arguments.
    pub fn arguments(&self) -> &Map<String, Value> {
        self.arguments.as_map()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &Map<String, Value> {
        &self.headers
    }

    /// Returns the body as JSON text. It is empty if no body was set.
    pub fn body_text(&self) -> &Bytes {
        &self.body
    }

    /// Sets the hop count, that is the number of calls that led to this one, and the trace context.
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

    /// Returns the reason why the request cannot be sent, if there is one.
    pub(crate) fn invalid_reason(&self) -> Option<&str> {
        if let Some(reason) = &self.invalid {
            Some(reason)
        } else if !self.path.starts_with('/') {
            Some("the path of a request must start with `/`")
        } else {
            None
        }
    }
}

/// Shows the names of arguments and headers and the size of the body. Their contents may be secret.
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

/// A JSON object that serialises each field when it is set.
///
/// Most requests are only sent, so building a `Map` of values first would be wasted work.
#[derive(Clone, Default)]
pub(crate) struct JsonObjectWriter {
    /// The text of the object without its closing brace. Empty if there are no fields.
    text: Vec<u8>,
    names: SmallVec<[Cow<'static, str>; 1]>,
    /// The parsed text, cached for `as_map`.
    map: OnceLock<Map<String, Value>>,
}

impl JsonObjectWriter {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Sets a field. If `value` cannot be serialised, the object is unchanged.
    pub(crate) fn set(&mut self, name: Cow<'static, str>, value: &impl Serialize) -> serde_json::Result<()> {
        // A duplicate name is rare. Its value is replaced in the map, and the text is written again from the map.
        if self.names.contains(&name) {
            let value = serde_json::to_value(value)?;
            let mut fields = self.as_map().clone();
            fields.insert(name.into_owned(), value);
            *self = fields.into_iter().collect();
            return Ok(());
        }
        let length_before = self.text.len();
        if let Err(error) = self.append(&name, value) {
            self.text.truncate(length_before);
            return Err(error);
        }
        self.names.push(name);
        self.map = OnceLock::new();
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

    pub(crate) fn as_map(&self) -> &Map<String, Value> {
        // The text is valid JSON. Parsing it fails only if a value is nested deeper than serde_json's recursion limit,
        // and no brubeck service could parse such a request either.
        let parse = || serde_json::from_slice(&self.clone().into_text()).unwrap_or_default();
        self.map.get_or_init(parse)
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

impl FromIterator<(String, Value)> for JsonObjectWriter {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> JsonObjectWriter {
        let mut object = JsonObjectWriter::default();
        for (name, value) in fields {
            // A `Value` can always be serialised.
            let _ = object.set(name.into(), &value);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn text(fields: &JsonObjectWriter) -> String {
        String::from_utf8(fields.clone().into_text()).unwrap()
    }

    #[test]
    fn writes_fields_in_order() {
        let mut fields = JsonObjectWriter::default();
        assert_eq!((fields.is_empty(), text(&fields).as_str()), (true, "{}"));
        fields.set("b".into(), &1).unwrap();
        assert_eq!(fields.as_map()["b"], 1);
        fields.set("a\"".into(), &["x"]).unwrap();
        assert_eq!(text(&fields), r#"{"b":1,"a\"":["x"]}"#);
        assert_eq!(fields.as_map()["a\""][0], "x");
    }

    #[test]
    fn replaces_field_of_same_name() {
        let mut fields = JsonObjectWriter::default();
        for (name, value) in [("b", 1), ("a", 2), ("b", 3)] {
            fields.set(name.into(), &value).unwrap();
        }
        assert_eq!(text(&fields), r#"{"a":2,"b":3}"#);
        fields.set("b".into(), &4).unwrap();
        assert_eq!(fields.as_map()["b"], 4);
    }

    #[test]
    fn failed_serialisation_leaves_object_unchanged() {
        let mut fields = JsonObjectWriter::default();
        let not_json = HashMap::from([(vec![1], 1)]);
        assert!(fields.set("a".into(), &not_json).is_err());
        assert!(fields.is_empty());
        fields.set("b".into(), &1).unwrap();
        assert!(fields.set("a".into(), &not_json).is_err());
        assert!(fields.set("b".into(), &not_json).is_err());
        assert_eq!(text(&fields), r#"{"b":1}"#);
    }
}

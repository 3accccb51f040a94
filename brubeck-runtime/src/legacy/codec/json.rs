//! JSON text that is parsed on demand.

use std::borrow::Cow;
use std::fmt::{self, Write};

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};

use crate::codec::EncodeError;

/// The unparsed JSON text of `arguments`, `headers` or `body`.
///
/// ```
/// use brubeck_runtime::wire::service::JsonText;
///
/// let body = JsonText::from(br#"{"name":"caf\u00e9"}"#.as_slice());
/// assert_eq!(body.object()?["name"], "café");
/// assert!(JsonText::default().object()?.is_empty());
/// assert_eq!(
///     JsonText::from(b"[1]".as_slice()).object().unwrap_err().to_string(),
///     "expected a JSON object, got an array",
/// );
/// # Ok::<(), brubeck_runtime::wire::service::NotAnObject>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonText(Bytes);

impl JsonText {
    /// Returns the text as it was received. An empty text means `{}`.
    #[must_use]
    pub const fn raw(&self) -> &Bytes {
        &self.0
    }

    /// Returns the text, or `{}` if it is empty.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        if self.0.is_empty() { b"{}" } else { &self.0 }
    }

    /// Parses the text as an object.
    ///
    /// # Errors
    /// Returns an error if the text is not UTF-8, not JSON, or JSON of another type, or if it is nested 128 levels deep or
    /// deeper.
    pub fn object(&self) -> Result<Map<String, Value>, NotAnObject> {
        match serde_json::from_slice(self.json()) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(Value::Null) => Err(NotAnObject::Other("null")),
            Ok(Value::Bool(_)) => Err(NotAnObject::Other("a boolean")),
            Ok(Value::Number(_)) => Err(NotAnObject::Other("a number")),
            Ok(Value::String(_)) => Err(NotAnObject::Other("a string")),
            Ok(Value::Array(_)) => Err(NotAnObject::Other("an array")),
            Err(error) => Err(NotAnObject::Invalid(error)),
        }
    }

    /// Returns `true` if the text is empty or an object without members.
    pub(super) fn is_empty_object(&self) -> bool {
        let inside = self.0.trim_ascii();
        inside.is_empty()
            || inside
                .strip_prefix(b"{")
                .and_then(|rest| rest.strip_suffix(b"}"))
                .is_some_and(|members| members.trim_ascii().is_empty())
    }

    /// Returns `true` if the text, without surrounding whitespace, begins with `{` and ends with `}`. The Python original requires this
    /// before it parses. An empty text counts as `{}`.
    pub(super) fn is_braced(&self) -> bool {
        let text = self.json().trim_ascii();
        text.len() >= 2 && text.starts_with(b"{") && text.ends_with(b"}")
    }

    /// Converts the text to ASCII.
    ///
    /// In JSON, other characters occur only within strings, where an escape sequence is equivalent.
    pub(super) fn ascii(&self, field: &'static str) -> Result<Cow<'_, [u8]>, EncodeError> {
        let json = self.json();
        if json.is_ascii() {
            return Ok(Cow::Borrowed(json));
        }
        let text = std::str::from_utf8(json)
            .map_err(|_| EncodeError::new(field, "the value is not UTF-8, so it is not JSON"))?;
        let mut ascii = String::with_capacity(json.len().saturating_mul(2));
        for character in text.chars() {
            push_ascii(&mut ascii, character);
        }
        Ok(Cow::Owned(ascii.into_bytes()))
    }
}

impl From<Bytes> for JsonText {
    fn from(text: Bytes) -> Self {
        Self(text)
    }
}

impl From<Vec<u8>> for JsonText {
    fn from(text: Vec<u8>) -> Self {
        Self(text.into())
    }
}

impl From<&'static [u8]> for JsonText {
    fn from(text: &'static [u8]) -> Self {
        Self(Bytes::from_static(text))
    }
}

/// The reason why a text is not a JSON object.
///
/// The message contains positions and types, but never the text.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotAnObject {
    /// The text is not UTF-8, not JSON, or nested too deep.
    Invalid(serde_json::Error),
    /// The text is JSON of this type.
    Other(&'static str),
}

impl fmt::Display for NotAnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => write!(f, "expected a JSON object, got invalid JSON: {error}"),
            Self::Other(found) => write!(f, "expected a JSON object, got {found}"),
        }
    }
}

impl std::error::Error for NotAnObject {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::Other(_) => None,
        }
    }
}

/// Appends a character, escaped unless it is ASCII.
fn push_ascii(output: &mut String, character: char) {
    if character.is_ascii() {
        output.push(character);
        return;
    }
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing into a `String` grows it and cannot fail.
        let _ = write!(output, "\\u{unit:04x}");
    }
}

/// Writes `text` as a JSON string in ASCII.
pub(super) fn quoted(text: &str) -> String {
    let mut output = String::with_capacity(text.len() + 2);
    output.push('"');
    for character in text.chars() {
        match character {
            '"' => output.push_str("\\\""),
            '\\' => output.push_str("\\\\"),
            '\n' => output.push_str("\\n"),
            '\r' => output.push_str("\\r"),
            '\t' => output.push_str("\\t"),
            '\0'..='\x1f' => {
                let _ = write!(output, "\\u{:04x}", u32::from(character));
            }
            other => push_ascii(&mut output, other),
        }
    }
    output.push('"');
    output
}

/// Decodes a status message: a JSON string, or plain text.
///
/// Invalid UTF-8 is replaced by `?`, so that the result is never longer than the input.
pub(super) fn unquoted(raw: &[u8]) -> String {
    if let Ok(text) = serde_json::from_slice(raw) {
        return text;
    }
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push('?');
        }
    }
    text
}

/// Sets `METHOD` in `headers`, because the seed dialect encodes the method there.
pub(super) fn headers_with_method(headers: &JsonText, method: &str) -> Result<JsonText, EncodeError> {
    const FIELD: &str = "headers";
    if headers.is_empty_object() {
        return Ok(JsonText(format!("{{\"METHOD\":{}}}", quoted(method)).into()));
    }
    let mut object = headers.object().map_err(|_| {
        EncodeError::new(
            FIELD,
            "the value is not a JSON object; send an object, or leave it empty",
        )
    })?;
    if object.get("METHOD").is_some_and(|current| current == method) {
        return Ok(headers.clone());
    }
    object.insert("METHOD".to_owned(), method.into());
    Ok(JsonText(Value::Object(object).to_string().into()))
}

/// Returns the method, which the seed dialect encodes in `headers`. Returns `None` if it is missing, empty, or not a string.
pub(super) fn method_in(headers: &JsonText) -> Option<Bytes> {
    match headers.object().ok()?.remove("METHOD")? {
        Value::String(method) if !method.is_empty() => Some(method.into()),
        _ => None,
    }
}

/// Appends a string of the tail: JSON text, converted to ASCII.
pub(super) fn encode_text(
    output: &mut BytesMut,
    field: &'static str,
    text: &JsonText,
) -> Result<(), EncodeError> {
    crate::codec::lenstr::encode(output, &text.ascii(field)?);
    Ok(())
}

//! Fields that calls send as bytes.
//!
//! serde takes a `Vec<u8>` for numbers, and JSON writes up to four characters for each. With this attribute, a field of the type [`Bytes`],
//! `Vec<u8>`, or an `Option` of them is sent as bytes beside the JSON.
//!
//! ```
//! use brubeck::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct Picture {
//!     pub name: String,
//!     #[serde(with = "brubeck::as_bytes")]
//!     pub data: Vec<u8>,
//!     #[serde(default, with = "brubeck::as_bytes")]
//!     pub thumbnail: Option<Bytes>,
//! }
//!
//! #[service_client]
//! pub trait Pictures {
//!     #[call("/pictures/rotate")]
//!     async fn rotate(&self, picture: Picture) -> Result<Picture, Problem>;
//! }
//! # fn main() {}
//! ```
//!
//! [`Bytes`] are sent as bytes without it, too, but copied once by the caller and once by the service, because serde has no shared bytes; with the
//! attribute they are not copied. A `Vec<u8>` is copied once on each side. Any other format than that of calls gets what serde writes for
//! bytes, in JSON an array of numbers.

use crate::json_parts::handover;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// Types of fields that are sent as bytes. It cannot be implemented.
pub trait BytesField: Sized + sealed::BytesField {}

impl<T: sealed::BytesField> BytesField for T {}

mod sealed {
    use serde::{Deserializer, Serializer};

    pub trait BytesField: Sized {
        fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

        fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    }
}

/// Writes a field as bytes. `#[serde(with = "brubeck::as_bytes")]` calls it.
///
/// ```
/// let data = b"bytes".to_vec();
/// let mut text = Vec::new();
/// brubeck::as_bytes::serialize(&data, &mut serde_json::Serializer::new(&mut text)).unwrap();
/// assert_eq!(text, b"[98,121,116,101,115]"); // JSON alone has no bytes
/// ```
///
/// # Errors
///
/// Returns the error of the serializer.
pub fn serialize<T: BytesField, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write(serializer)
}

/// Reads a field of bytes. `#[serde(with = "brubeck::as_bytes")]` calls it.
///
/// ```
/// let mut json = serde_json::Deserializer::from_str("[98,121,116,101,115]");
/// let data: Vec<u8> = brubeck::as_bytes::deserialize(&mut json).unwrap();
/// assert_eq!(data, b"bytes");
/// ```
///
/// An array of numbers from 0 to 255 and a text, whose UTF-8 are the bytes, are accepted, too.
///
/// # Errors
///
/// Returns the error of the deserializer.
pub fn deserialize<'de, T: BytesField, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

impl sealed::BytesField for Bytes {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handover::offer(self, || serializer.serialize_bytes(self))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(SharedBytesVisitor)
    }
}

impl sealed::BytesField for Vec<u8> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(OwnedBytesVisitor)
    }
}

impl<T: BytesField> sealed::BytesField for Option<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Field<'a, T>(&'a T);

        impl<T: BytesField> Serialize for Field<'_, T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.write(serializer)
            }
        }

        match self {
            Some(value) => serializer.serialize_some(&Field(value)),
            None => serializer.serialize_none(),
        }
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Field<T>(T);

        impl<'de, T: BytesField> Deserialize<'de> for Field<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                T::read(deserializer).map(Field)
            }
        }

        let field: Option<Field<T>> = Option::deserialize(deserializer)?;
        Ok(field.map(|field| field.0))
    }
}

/// Reads bytes, and takes those that are handed over.
struct SharedBytesVisitor;

impl<'de> Visitor<'de> for SharedBytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OwnedBytesVisitor.expecting(f)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(handover::take(bytes))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        OwnedBytesVisitor.visit_str(text).map(Bytes::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Bytes, A::Error> {
        OwnedBytesVisitor.visit_seq(elements).map(Bytes::from)
    }
}

struct OwnedBytesVisitor;

impl<'de> Visitor<'de> for OwnedBytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<u8>, A::Error> {
        // The announced length may be wrong, so it reserves a bounded amount of memory.
        let mut bytes = Vec::with_capacity(elements.size_hint().unwrap_or_default().min(MAX_PREALLOCATION));
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// Limit for the memory that is reserved for an array of numbers before it is read, in bytes.
const MAX_PREALLOCATION: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use crate::json_parts;
    use bytes::Bytes;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Fields {
        #[serde(with = "crate::as_bytes")]
        shared: Bytes,
        #[serde(with = "crate::as_bytes")]
        owned: Vec<u8>,
        #[serde(default, with = "crate::as_bytes")]
        optional: Option<Bytes>,
        #[serde(flatten)]
        more: More,
        kinds: Vec<Kind>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct More {
        #[serde(with = "crate::as_bytes")]
        flat: Bytes,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Kind {
        One {
            #[serde(with = "crate::as_bytes")]
            one: Vec<u8>,
        },
        Other {
            #[serde(with = "crate::as_bytes")]
            other: Option<Bytes>,
        },
    }

    fn fields() -> Fields {
        Fields {
            shared: Bytes::from(vec![255; 100]),
            owned: vec![254; 100],
            optional: None,
            more: More {
                flat: Bytes::from(vec![253; 100]),
            },
            kinds: vec![
                Kind::One { one: vec![252; 3] },
                Kind::Other {
                    other: Some(Bytes::new()),
                },
                Kind::Other { other: None },
            ],
        }
    }

    #[test]
    fn fields_of_every_form_are_parts_and_arrive() {
        for optional in [None, Some(Bytes::from(vec![251; 9]))] {
            let sent = Fields { optional, ..fields() };
            let (mut text, mut parts) = (Vec::new(), Vec::new());
            json_parts::write(&mut text, &mut parts, &sent).unwrap();
            assert!(parts.iter().any(|part| part.as_ptr() == sent.shared.as_ptr()));
            let received: Fields = json_parts::read(&text, &parts).unwrap();
            assert_eq!(received, sent);
            assert_eq!(received.shared.as_ptr(), sent.shared.as_ptr());
        }
    }

    #[test]
    fn arrays_of_numbers_and_texts_are_bytes_and_other_values_are_not() {
        let json = serde_json::to_vec(&fields()).unwrap();
        assert_eq!(serde_json::from_slice::<Fields>(&json).unwrap(), fields());
        let read = |shared: &str| {
            let text = format!(r#"{{"shared":{shared},"owned":"\u00e9","flat":[],"kinds":[]}}"#);
            let read: serde_json::Result<Fields> = json_parts::read(text.as_bytes(), &[Bytes::from("part")]);
            read.map(|fields| (fields.shared, fields.owned))
        };
        let (part, text) = read(r#"{"$bytes":0}"#).unwrap();
        assert_eq!((&part[..], &text[..]), (&b"part"[..], "é".as_bytes()));
        assert_eq!(read(r#""text""#).unwrap().0, "text");
        for wrong in ["7", "[256]", "[-1]", r#"{"$bytes":1}"#, r#"{"a":0}"#, "null"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

//! A serializer that collects bytes as parts, refuses what JSON cannot represent, and passes everything else on.

use super::{MAX_DEPTH, MAX_PARTS, Placeholder, handover};
use bytes::Bytes;
use serde::ser::Error;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::cell::{Cell, RefCell};
use std::fmt::Display;

/// What is collected while a value is serialized.
#[derive(Default)]
pub(super) struct SerializedParts {
    pub(super) parts: RefCell<Vec<Bytes>>,
    /// The value contains a 128-bit integer. Types with `#[serde(flatten)]` or `#[serde(untagged)]` can write such an integer, but not
    /// read it.
    pub(super) has_wide_integer: Cell<bool>,
}

/// The place of a value in the value that is serialized.
#[derive(Clone, Copy)]
struct Nesting {
    /// The number of arrays and objects around the value.
    depth: usize,
    /// The value is that of a `Some`, so it must not be `null`, which is read as `None`.
    is_some: bool,
}

impl Nesting {
    /// Returns the place of an element of an array or an object at this place, which has `levels` of them for one value.
    fn inside<E: Error>(self, levels: usize) -> Result<Nesting, E> {
        let depth = self.depth.saturating_add(levels);
        if depth > MAX_DEPTH {
            return Err(E::custom(format_args!(
                "the value is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Nesting {
            depth,
            is_some: false,
        })
    }
}

#[derive(Clone, Copy)]
pub(super) struct PartsSerializer<'p, S> {
    inner: S,
    collected: &'p SerializedParts,
    place: Nesting,
}

impl<'p, S> PartsSerializer<'p, S> {
    pub(super) fn new(inner: S, collected: &'p SerializedParts) -> Self {
        let place = Nesting {
            depth: 0,
            is_some: false,
        };
        PartsSerializer {
            inner,
            collected,
            place,
        }
    }
}

impl<'p, S: Serializer> PartsSerializer<'p, S> {
    /// Returns an error if `null` would be read as another value.
    fn check_null(&self) -> Result<(), S::Error> {
        if self.place.is_some {
            return Err(S::Error::custom(
                "JSON cannot represent a `Some` whose value is `null`: it would be read as `None`",
            ));
        }
        Ok(())
    }
}

fn check_finite<E: Error>(value: f64) -> Result<(), E> {
    if value.is_finite() {
        return Ok(());
    }
    Err(E::custom(format_args!("JSON has no number for {value}")))
}

/// A value whose bytes become parts.
struct WithParts<'a, 'p, T: ?Sized> {
    value: &'a T,
    collected: &'p SerializedParts,
    place: Nesting,
}

impl<T: Serialize + ?Sized> Serialize for WithParts<'_, '_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(PartsSerializer {
            inner: serializer,
            collected: self.collected,
            place: self.place,
        })
    }
}

/// Forwards methods that take one plain value.
macro_rules! forward {
    ($($method:ident($type:ty);)*) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        })*
    };
}

impl<'p, S: Serializer> Serializer for PartsSerializer<'p, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = PartsSerializer<'p, S::SerializeSeq>;
    type SerializeTuple = PartsSerializer<'p, S::SerializeTuple>;
    type SerializeTupleStruct = PartsSerializer<'p, S::SerializeTupleStruct>;
    type SerializeTupleVariant = PartsSerializer<'p, S::SerializeTupleVariant>;
    type SerializeMap = PartsSerializer<'p, S::SerializeMap>;
    type SerializeStruct = PartsSerializer<'p, S::SerializeStruct>;
    type SerializeStructVariant = PartsSerializer<'p, S::SerializeStructVariant>;

    forward! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_char(char);
        serialize_str(&str);
    }

    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        self.collected.has_wide_integer.set(true);
        self.inner.serialize_i128(value)
    }

    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        self.collected.has_wide_integer.set(true);
        self.inner.serialize_u128(value)
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        check_finite(value.into())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        check_finite(value)?;
        self.inner.serialize_f64(value)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        let parts = &self.collected.parts;
        let index = parts.borrow().len();
        if index >= MAX_PARTS {
            return self.inner.serialize_bytes(bytes);
        }
        parts.borrow_mut().push(handover::take(bytes));
        Placeholder { index }.serialize(self.inner)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.check_null()?;
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let place = Nesting {
            is_some: true,
            ..self.place
        };
        let collected = self.collected;
        self.inner.serialize_some(&WithParts {
            value,
            collected,
            place,
        })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.check_null()?;
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.check_null()?;
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (collected, place) = (self.collected, self.place);
        let value = WithParts {
            value,
            collected,
            place,
        };
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (collected, place) = (self.collected, self.place.inside(1)?);
        let value = WithParts {
            value,
            collected,
            place,
        };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let place = self.place.inside(1)?;
        let collected = self.collected;
        Ok(PartsSerializer {
            inner: self.inner.serialize_seq(len)?,
            collected,
            place,
        })
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        let (collected, place) = (self.collected, self.place.inside(1)?);
        Ok(PartsSerializer {
            inner: self.inner.serialize_tuple(len)?,
            collected,
            place,
        })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let (collected, place) = (self.collected, self.place.inside(1)?);
        Ok(PartsSerializer {
            inner: self.inner.serialize_tuple_struct(name, len)?,
            collected,
            place,
        })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let (collected, place) = (self.collected, self.place.inside(2)?);
        Ok(PartsSerializer {
            inner: self.inner.serialize_tuple_variant(name, index, variant, len)?,
            collected,
            place,
        })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let (collected, place) = (self.collected, self.place.inside(1)?);
        Ok(PartsSerializer {
            inner: self.inner.serialize_map(len)?,
            collected,
            place,
        })
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        let (collected, place) = (self.collected, self.place.inside(1)?);
        Ok(PartsSerializer {
            inner: self.inner.serialize_struct(name, len)?,
            collected,
            place,
        })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let (collected, place) = (self.collected, self.place.inside(2)?);
        Ok(PartsSerializer {
            inner: self.inner.serialize_struct_variant(name, index, variant, len)?,
            collected,
            place,
        })
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Implements a trait for values with elements of one kind.
macro_rules! elements {
    ($($trait:ident::$method:ident;)*) => {
        $(impl<S: $trait> $trait for PartsSerializer<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.$method(&WithParts { value, collected: self.collected, place: self.place })
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

/// Adds the name of a field to an error.
fn in_field<E: Error>(name: &str, error: E) -> E {
    E::custom(format_args!("`{name}`: {error}"))
}

/// Implements a trait for values with named fields.
macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl<S: $trait> $trait for PartsSerializer<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                let value = WithParts { value, collected: self.collected, place: self.place };
                self.inner.serialize_field(name, &value).map_err(|error| in_field(name, error))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl<S: SerializeMap> SerializeMap for PartsSerializer<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let (collected, place) = (self.collected, self.place);
        self.inner.serialize_value(&WithParts {
            value,
            collected,
            place,
        })
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), S::Error> {
        let (collected, place) = (self.collected, self.place);
        let value = WithParts {
            value,
            collected,
            place,
        };
        self.inner.serialize_entry(key, &value)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

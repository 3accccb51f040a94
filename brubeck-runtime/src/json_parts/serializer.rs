//! A serializer that collects bytes as parts and passes everything else on.

use super::{MAX_PARTS, Placeholder};
use bytes::Bytes;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::cell::RefCell;
use std::fmt::Display;

#[derive(Clone, Copy)]
pub(super) struct PartsSerializer<'p, S> {
    inner: S,
    parts: &'p RefCell<Vec<Bytes>>,
}

impl<'p, S> PartsSerializer<'p, S> {
    pub(super) fn new(inner: S, parts: &'p RefCell<Vec<Bytes>>) -> Self {
        PartsSerializer { inner, parts }
    }
}

/// A value whose bytes become parts.
struct WithParts<'a, 'p, T: ?Sized> {
    value: &'a T,
    parts: &'p RefCell<Vec<Bytes>>,
}

impl<T: Serialize + ?Sized> Serialize for WithParts<'_, '_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(PartsSerializer::new(serializer, self.parts))
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
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_unit_struct(&'static str);
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<S::Ok, S::Error> {
        let index = self.parts.borrow().len();
        if index >= MAX_PARTS {
            return self.inner.serialize_bytes(bytes);
        }
        self.parts.borrow_mut().push(Bytes::copy_from_slice(bytes));
        Placeholder { index }.serialize(self.inner)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let parts = self.parts;
        self.inner.serialize_some(&WithParts { value, parts })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
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
        let parts = self.parts;
        self.inner
            .serialize_newtype_struct(name, &WithParts { value, parts })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let parts = self.parts;
        let value = WithParts { value, parts };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Ok(PartsSerializer::new(self.inner.serialize_seq(len)?, self.parts))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(PartsSerializer::new(self.inner.serialize_tuple(len)?, self.parts))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let inner = self.inner.serialize_tuple_struct(name, len)?;
        Ok(PartsSerializer::new(inner, self.parts))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let inner = self.inner.serialize_tuple_variant(name, index, variant, len)?;
        Ok(PartsSerializer::new(inner, self.parts))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Ok(PartsSerializer::new(self.inner.serialize_map(len)?, self.parts))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(PartsSerializer::new(
            self.inner.serialize_struct(name, len)?,
            self.parts,
        ))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let inner = self.inner.serialize_struct_variant(name, index, variant, len)?;
        Ok(PartsSerializer::new(inner, self.parts))
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
                self.inner.$method(&WithParts { value, parts: self.parts })
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
                self.inner.serialize_field(name, &WithParts { value, parts: self.parts })
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
        let parts = self.parts;
        self.inner.serialize_value(&WithParts { value, parts })
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), S::Error> {
        let parts = self.parts;
        self.inner.serialize_entry(key, &WithParts { value, parts })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

//! The deserializers of grouped texts.

use super::error::{BOOLEANS, TextError, whole_number};
use super::{AnyForm, Group, Reading, Scalar, boolean};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use std::borrow::Cow;

/// Deserializes a map or a struct from all groups.
pub(super) struct GroupedFields<'g, 't>(pub(super) &'g [Group<'t>]);

impl<'de> Deserializer<'de> for GroupedFields<'_, '_> {
    type Error = TextError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_map(FieldAccess {
            groups: self.0.iter().enumerate(),
            value: None,
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        let pairs = self.0.iter().flat_map(|group| {
            let list = Texts::of(group);
            let texts = group.texts.iter().map(move |text| list.element(text));
            texts.map(|text| (&*group.name, text))
        });
        visitor.visit_seq(de::value::MapDeserializer::new(pairs))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

struct FieldAccess<'g, 't> {
    groups: std::iter::Enumerate<std::slice::Iter<'g, Group<'t>>>,
    value: Option<(usize, &'g Group<'t>)>,
}

impl<'de> MapAccess<'de> for FieldAccess<'_, '_> {
    type Error = TextError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TextError> {
        self.value = self.groups.next();
        let Some((_, group)) = self.value else {
            return Ok(None);
        };
        seed.deserialize(group.name.as_ref().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TextError> {
        let Some((index, group)) = self.value.take() else {
            return Err(de::Error::custom("a value was read before its name"));
        };
        seed.deserialize(Texts::of(group))
            .map_err(|error| error.at(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.groups.len())
    }
}

/// Deserializes the texts of one name.
#[derive(Clone, Copy)]
pub(super) struct Texts<'g> {
    texts: &'g [Cow<'g, str>],
    reading: &'g Reading,
    /// An element of a list is not read as a list again.
    is_element: bool,
}

impl<'g> Texts<'g> {
    pub(super) fn of(group: &'g Group<'_>) -> Texts<'g> {
        Texts {
            texts: &group.texts,
            reading: &group.reading,
            is_element: false,
        }
    }

    /// Returns an element of this list.
    fn element(self, text: &'g Cow<'g, str>) -> Texts<'g> {
        Texts {
            texts: std::slice::from_ref(text),
            is_element: true,
            ..self
        }
    }

    /// Returns the value of a name that occurs more than once: the last one.
    fn last(&self) -> &'g str {
        self.texts.last().map_or("", |text| text)
    }
}

impl IntoDeserializer<'_, TextError> for Texts<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $ty:ty, $expected:expr;)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
                match self.last().parse::<$ty>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(TextError::text(self.last(), $expected)),
                }
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Texts<'_> {
    type Error = TextError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        self.reading.any_was_read.set(true);
        let text = self.last();
        let AnyForm { is_list, scalar } = self.reading.any;
        if is_list && !self.is_element {
            return visitor.visit_seq(Elements(self, 0));
        }
        match scalar {
            Scalar::Text => visitor.visit_str(text),
            // Nothing has been entered, so an `Option` is `None`.
            _ if text.is_empty() => visitor.visit_none(),
            Scalar::Unsigned => self.deserialize_u64(visitor),
            Scalar::Signed => self.deserialize_i64(visitor),
            Scalar::Float => self.deserialize_f64(visitor),
            Scalar::Bool => self.deserialize_bool(visitor),
            Scalar::Nothing => visitor.visit_none(),
        }
    }

    parsed! {
        deserialize_i8 visit_i8 i8, whole_number(i8::MIN, i8::MAX);
        deserialize_i16 visit_i16 i16, whole_number(i16::MIN, i16::MAX);
        deserialize_i32 visit_i32 i32, whole_number(i32::MIN, i32::MAX);
        deserialize_i64 visit_i64 i64, whole_number(i64::MIN, i64::MAX);
        deserialize_i128 visit_i128 i128, whole_number(i128::MIN, i128::MAX);
        deserialize_u8 visit_u8 u8, whole_number(u8::MIN, u8::MAX);
        deserialize_u16 visit_u16 u16, whole_number(u16::MIN, u16::MAX);
        deserialize_u32 visit_u32 u32, whole_number(u32::MIN, u32::MAX);
        deserialize_u64 visit_u64 u64, whole_number(u64::MIN, u64::MAX);
        deserialize_u128 visit_u128 u128, whole_number(u128::MIN, u128::MAX);
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
        deserialize_char visit_char char, "a single character";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        match boolean(self.last()) {
            Some(value) => visitor.visit_bool(value),
            None => Err(TextError::text(self.last(), BOOLEANS)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_bytes(self.last().as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_bytes(self.last().as_bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        if self.last().is_empty() {
            if self.reading.empty_is_none {
                return visitor.visit_none();
            }
            self.reading.empty_option_was_read.set(true);
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        match self.last() {
            "" => visitor.visit_unit(),
            text => Err(TextError::text(text, "an empty text")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_seq(Elements(self, 0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TextError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, TextError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_enum(VariantName(self.last()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_unit()
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TextError> {
        visitor.visit_str(self.last())
    }
}

/// The elements of a list: the texts, from an index on.
struct Elements<'g>(Texts<'g>, usize);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = TextError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TextError> {
        let Elements(list, index) = self;
        let Some(text) = list.texts.get(*index) else {
            return Ok(None);
        };
        *index += 1;
        seed.deserialize(list.element(text)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.texts.len().saturating_sub(self.1))
    }
}

/// The name of a variant without fields.
struct VariantName<'g>(&'g str);

impl<'de> EnumAccess<'de> for VariantName<'_> {
    type Error = TextError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), TextError> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for VariantName<'_> {
    type Error = TextError;

    fn unit_variant(self) -> Result<(), TextError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, TextError> {
        Err(TextError::text(self.0, "the name of a variant without fields"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, TextError> {
        Err(TextError::text(self.0, "the name of a variant without fields"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, TextError> {
        Err(TextError::text(self.0, "the name of a variant without fields"))
    }
}

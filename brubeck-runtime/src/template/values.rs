//! The values of templates: converts the fields of a page, and notices the use of names that do not exist.
//!
//! minijinja shows nothing for a missing name. For a key of a map this is right: maps have the keys that they have. The fields of a struct are
//! known, so a name that is none of them is a mistake. [`watch`] collects the mistakes while a page is rendered.

use minijinja::value::{Enumerator, Object, ObjectRepr, Serde, Tuple, Value};
use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// The number of mistakes that are kept of one page.
const MAX_MISTAKES: usize = 16;

/// A mistake in a template that is found when a page is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    UnknownName(UnknownName),
    /// A URL that cannot be built: the name of the handler, and the error.
    Url(String, String),
}

impl Mistake {
    /// Returns the name that the line of the mistake contains.
    pub(super) fn name(&self) -> &str {
        match self {
            Mistake::UnknownName(unknown) => &unknown.name,
            Mistake::Url(handler, _) => handler.rsplit("::").next().unwrap_or(handler),
        }
    }

    /// Adds the mistake to those of the page that this thread renders.
    pub(super) fn report(&self) {
        MISTAKES.with_borrow_mut(|mistakes| {
            if let Some(mistakes) = mistakes
                && mistakes.len() < MAX_MISTAKES
                && !mistakes.contains(self)
            {
                mistakes.push(self.clone());
            }
        });
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::UnknownName(unknown) => unknown.fmt(f),
            Mistake::Url(_, error) => f.write_str(error),
        }
    }
}

/// A name that was used in a template and that a struct does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownName {
    /// The name of the struct.
    owner: &'static str,
    name: String,
    known: Vec<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnknownName { owner, name, known } = self;
        write!(f, "`{owner}` has no field `{name}`; its fields are")?;
        for (i, field) in known.iter().enumerate() {
            write!(f, "{} `{field}`", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

thread_local! {
    /// The mistakes of the page that this thread renders. `None` if it renders none.
    static MISTAKES: RefCell<Option<Vec<Mistake>>> = const { RefCell::new(None) };
}

/// Renders a page, and returns the mistakes of its templates.
pub(super) fn watch<T>(render: impl FnOnce() -> T) -> (T, Vec<Mistake>) {
    /// Ends watching also if rendering panics.
    struct Watching(Option<Vec<Mistake>>);

    impl Drop for Watching {
        fn drop(&mut self) {
            MISTAKES.set(self.0.take());
        }
    }

    let watching = Watching(MISTAKES.replace(Some(Vec::new())));
    let rendered = render();
    let mistakes = MISTAKES.take().unwrap_or_default();
    drop(watching);
    (rendered, mistakes)
}

/// The value of a name that a struct does not have. It is like an undefined value, but its use is a mistake.
#[derive(Debug)]
struct MissingField(Mistake);

impl Object for MissingField {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        self.0.report();
        None
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.0.report();
        Enumerator::Empty
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0.report();
        false
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.report();
        Ok(())
    }
}

/// Returns whether a value is undefined, or that of a name that a struct does not have. Asking for this is no mistake.
pub(super) fn is_missing(value: &Value) -> bool {
    value.is_undefined() || value.downcast_object_ref::<MissingField>().is_some()
}

/// The fields of a struct, or the variables of a page.
#[derive(Debug)]
struct StructValue {
    name: &'static str,
    fields: Vec<(&'static str, Value)>,
    /// The fields that are left out of this value, but belong to its type.
    skipped: Vec<&'static str>,
    /// The names of a page are checked at compile time, and a template can have others: those of the engine, for example.
    is_page: bool,
}

impl Object for StructValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if let Some((_, value)) = self.fields.iter().find(|(name, _)| *name == key) {
            return Some(value.clone());
        }
        if self.is_page || self.skipped.contains(&key) {
            return None;
        }
        let known = self.fields.iter().map(|(name, _)| *name);
        Some(Value::from_object(MissingField(Mistake::UnknownName(
            UnknownName {
                owner: self.name,
                name: key.to_owned(),
                known: known.chain(self.skipped.iter().copied()).collect(),
            },
        ))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.fields.iter().map(|(name, _)| Value::from(*name)).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// Returns the variables of a page.
pub(crate) fn page(name: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
    Value::from_object(StructValue {
        name,
        fields,
        skipped: Vec::new(),
        is_page: true,
    })
}

/// Converts a field of a page.
pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> Value {
    // minijinja serializes its own values, such as safe strings, as themselves only within its serializer.
    struct Captured<'v, T: ?Sized>(&'v T, RefCell<Option<Value>>);

    impl<T: Serialize + ?Sized> Serialize for Captured<'_, T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let value = self.0.serialize(ValueSerializer).map_err(S::Error::custom)?;
            self.1.replace(Some(value));
            serializer.serialize_unit()
        }
    }

    let captured = Captured(value, RefCell::new(None));
    let converted = Value::from(Serde(&captured));
    // A value that cannot be serialized has an error, which the engine reports where the value is used.
    captured.1.take().unwrap_or(converted)
}

#[derive(Debug)]
struct SerializeError(String);

impl fmt::Display for SerializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SerializeError {}

impl serde::ser::Error for SerializeError {
    fn custom<T: fmt::Display>(text: T) -> SerializeError {
        SerializeError(text.to_string())
    }
}

/// Converts values as minijinja does, but keeps the names of structs and of fields that are skipped.
struct ValueSerializer;

macro_rules! scalars {
    ($($method:ident $ty:ty;)*) => {
        $(
            fn $method(self, value: $ty) -> Result<Value, SerializeError> {
                Ok(Value::from(value))
            }
        )*
    };
}

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = SerializeError;
    type SerializeSeq = ListValue;
    type SerializeTuple = ListValue;
    type SerializeTupleStruct = TupleStructValue;
    type SerializeTupleVariant = VariantValue<ListValue>;
    type SerializeMap = MapValue;
    type SerializeStruct = StructValue;
    type SerializeStructVariant = VariantValue<StructValue>;

    scalars! {
        serialize_bool bool;
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_u128 u128;
        serialize_f32 f32;
        serialize_f64 f64;
        serialize_char char;
        serialize_str &str;
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, SerializeError> {
        Ok(Value::from_bytes(value.to_vec()))
    }

    fn serialize_none(self) -> Result<Value, SerializeError> {
        Ok(Value::from(()))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, SerializeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, SerializeError> {
        Ok(Value::from(()))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, SerializeError> {
        Ok(Value::from(()))
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, SerializeError> {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, SerializeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, SerializeError> {
        Ok(Value::from_pairs([(variant, value.serialize(self)?)]))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListValue, SerializeError> {
        Ok(ListValue(Vec::new()))
    }

    fn serialize_tuple(self, _: usize) -> Result<ListValue, SerializeError> {
        Ok(ListValue(Vec::new()))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<TupleStructValue, SerializeError> {
        Ok(TupleStructValue {
            name,
            fields: Vec::new(),
            handle: None,
        })
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantValue<ListValue>, SerializeError> {
        Ok(VariantValue(variant, ListValue(Vec::new())))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<MapValue, SerializeError> {
        Ok(MapValue {
            entries: Vec::new(),
            key: None,
        })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<StructValue, SerializeError> {
        Ok(StructValue::empty(name))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantValue<StructValue>, SerializeError> {
        Ok(VariantValue(variant, StructValue::empty(variant)))
    }
}

struct ListValue(Vec<Value>);

impl SerializeSeq for ListValue {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        self.0.push(value.serialize(ValueSerializer)?);
        Ok(())
    }

    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::from(self.0))
    }
}

impl SerializeTuple for ListValue {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::from(Tuple::from(self.0)))
    }
}

/// A tuple struct, or a value of minijinja, which serializes as a tuple struct with a handle.
struct TupleStructValue {
    name: &'static str,
    fields: Vec<Value>,
    handle: Option<u32>,
}

/// The name of the tuple struct that a value of minijinja serializes as.
const HANDLE_NAME_START: char = '\u{1}';

impl SerializeTupleStruct for TupleStructValue {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        let value = value.serialize(ValueSerializer)?;
        self.handle = u32::try_from(value.clone()).ok();
        self.fields.push(value);
        Ok(())
    }

    fn end(self) -> Result<Value, SerializeError> {
        match self.handle {
            Some(handle) if self.name.starts_with(HANDLE_NAME_START) => {
                Ok(Value::from(Serde(ValueHandle(self.name, handle))))
            }
            _ => Ok(Value::from(self.fields)),
        }
    }
}

/// Serializes as a value of minijinja does.
struct ValueHandle(&'static str, u32);

impl Serialize for ValueHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut handle = serializer.serialize_tuple_struct(self.0, 1)?;
        handle.serialize_field(&self.1)?;
        handle.end()
    }
}

struct VariantValue<T>(&'static str, T);

impl SerializeTupleVariant for VariantValue<ListValue> {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        SerializeSeq::serialize_element(&mut self.1, value)
    }

    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::from_pairs([(self.0, Value::from(self.1.0))]))
    }
}

struct MapValue {
    entries: Vec<(Value, Value)>,
    key: Option<Value>,
}

impl SerializeMap for MapValue {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerializeError> {
        self.key = Some(key.serialize(ValueSerializer)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerializeError> {
        let key = self
            .key
            .take()
            .ok_or_else(|| SerializeError::custom("a value of a map has no key"))?;
        self.entries.push((key, value.serialize(ValueSerializer)?));
        Ok(())
    }

    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::from_pairs(self.entries))
    }
}

impl StructValue {
    fn empty(name: &'static str) -> StructValue {
        StructValue {
            name,
            fields: Vec::new(),
            skipped: Vec::new(),
            is_page: false,
        }
    }
}

impl SerializeStruct for StructValue {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        self.fields.push((key, value.serialize(ValueSerializer)?));
        Ok(())
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), SerializeError> {
        self.skipped.push(key);
        Ok(())
    }

    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::from_object(self))
    }
}

impl SerializeStructVariant for VariantValue<StructValue> {
    type Ok = Value;
    type Error = SerializeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), SerializeError> {
        SerializeStruct::serialize_field(&mut self.1, key, value)
    }

    fn end(self) -> Result<Value, SerializeError> {
        Ok(Value::from_pairs([(self.0, Value::from_object(self.1))]))
    }
}

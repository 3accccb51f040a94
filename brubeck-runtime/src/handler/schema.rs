//! What calls carry, as JSON Schema: the feature `schema`.
//!
//! Generated code writes down the signature of a handler; what each of its types says of itself is found by which
//! traits it implements. Method lookup takes [`DescribeFully`] before [`DescribeLocation`] before [`DescribeNothing`], so that a type without a
//! schema is no error.

use crate::extract::operation::{InPath, Named, read_named};
use crate::extract::{Arg, Json};
use crate::response::Reply;
use crate::rpc::api::Wire;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::marker::PhantomData;

/// Makes the schemas of a signature when they are asked for.
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    (($($name:literal: $argument:ty),*) -> $reply:ty) => {
        ::core::option::Option::Some(|| {
            use $crate::__private::{DescribeFully as _, DescribeLocation as _, DescribeNothing as _};
            let mut schemas = $crate::__private::Schemas::new();
            $((&&$crate::__private::TypeProbe::<$argument>::NEW).describe(&mut schemas, $name);)*
            (&&$crate::__private::TypeProbe::<$crate::__private::SuccessOf<$reply>>::NEW).describe(&mut schemas, "");
            (&&$crate::__private::TypeProbe::<$crate::__private::FailureOf<$reply>>::NEW).describe(&mut schemas, "");
            schemas.into_map()
        })
    };
}

/// The schemas of one operation, each of which stands for itself.
pub struct Schemas {
    /// Of the arguments, which are one schema.
    generator: SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    /// Of everything else, by where it goes.
    others: Map<String, Value>,
}

impl Schemas {
    /// Those of an operation that takes nothing and says nothing.
    #[expect(clippy::new_without_default, reason = "only generated code makes one")]
    pub fn new() -> Schemas {
        Schemas {
            generator: SchemaSettings::draft2020_12().for_deserialize().into_generator(),
            properties: Map::new(),
            required: Vec::new(),
            others: Map::new(),
        }
    }

    fn argument(&mut self, name: &'static str, is_required: bool, schema: Schema) {
        self.properties.insert(name.to_owned(), schema.into());
        if is_required {
            self.required.push(name);
        }
    }

    /// Each schema under the name that `/.brubeck/info` gives it.
    pub fn into_map(mut self) -> Map<String, Value> {
        let mut arguments = json!({
            "$schema": self.generator.settings().meta_schema,
            "type": "object",
            "properties": self.properties,
        });
        if !self.required.is_empty() {
            arguments["required"] = self.required.into();
        }
        let definitions = self.generator.take_definitions(true);
        if !definitions.is_empty() {
            arguments["$defs"] = Value::Object(definitions);
        }
        self.others.insert("arguments".to_owned(), arguments);
        self.others
    }
}

/// Where a part of a signature is in a call.
pub enum SchemaLocation {
    /// Among the arguments: in the path, or in the object of the named ones.
    Argument,
    /// All of the body.
    Body,
    /// The answer of a success.
    Answer,
    /// The answer of a failure.
    Error,
}

/// A part of a signature that goes over the wire.
pub trait SignaturePart {
    /// What goes over the wire.
    type Value;
    /// Where it goes.
    const LOCATION: SchemaLocation;

    /// Whether a call without it is refused.
    fn is_required() -> bool {
        true
    }
}

impl<T> SignaturePart for InPath<T> {
    type Value = T;
    const LOCATION: SchemaLocation = SchemaLocation::Argument;
}

impl<T: Wire> SignaturePart for Named<T> {
    type Value = T;
    const LOCATION: SchemaLocation = SchemaLocation::Argument;

    fn is_required() -> bool {
        matches!(read_named::<T>(None), Ok(None))
    }
}

impl<T> SignaturePart for Arg<T> {
    type Value = T;
    const LOCATION: SchemaLocation = SchemaLocation::Argument;
}

impl<T> SignaturePart for Json<T> {
    type Value = T;
    const LOCATION: SchemaLocation = SchemaLocation::Body;
}

impl<P: SignaturePart> SignaturePart for Option<P> {
    type Value = P::Value;
    const LOCATION: SchemaLocation = P::LOCATION;

    fn is_required() -> bool {
        false
    }
}

impl<P: SignaturePart, E> SignaturePart for Result<P, E> {
    type Value = P::Value;
    const LOCATION: SchemaLocation = P::LOCATION;

    fn is_required() -> bool {
        false
    }
}

/// What the reply `R` says on success.
pub struct SuccessOf<R>(PhantomData<R>);

/// What the reply `R` says of a failure.
pub struct FailureOf<R>(PhantomData<R>);

impl<R: JsonReply> SignaturePart for SuccessOf<R> {
    type Value = R::Value;
    const LOCATION: SchemaLocation = SchemaLocation::Answer;
}

impl<R, E: JsonReply> SignaturePart for FailureOf<Result<R, E>> {
    type Value = E::Value;
    const LOCATION: SchemaLocation = SchemaLocation::Error;
}

/// A reply that callers of services read as JSON.
pub trait JsonReply {
    /// What they read.
    type Value;
}

impl<T> JsonReply for Json<T> {
    type Value = T;
}

impl<T> JsonReply for Reply<T> {
    type Value = T;
}

impl JsonReply for String {
    type Value = String;
}

impl JsonReply for &'static str {
    type Value = String;
}

impl JsonReply for Cow<'static, str> {
    type Value = String;
}

impl<R: JsonReply> JsonReply for Option<R> {
    type Value = R::Value;
}

impl<R: JsonReply, E> JsonReply for Result<R, E> {
    type Value = R::Value;
}

/// With a status or headers before it.
impl<A, R: JsonReply> JsonReply for (A, R) {
    type Value = R::Value;
}

/// Asks a type of a signature what it is.
pub struct TypeProbe<T>(PhantomData<T>);

impl<T> Clone for TypeProbe<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TypeProbe<T> {}

impl<T> TypeProbe<T> {
    /// The one there is.
    pub const NEW: TypeProbe<T> = TypeProbe(PhantomData);
}

/// A part whose schema is known.
pub trait DescribeFully {
    /// Adds what is known.
    fn describe(self, schemas: &mut Schemas, name: &'static str);
}

impl<P: SignaturePart<Value: JsonSchema>> DescribeFully for &&TypeProbe<P> {
    fn describe(self, schemas: &mut Schemas, name: &'static str) {
        let settings = SchemaSettings::draft2020_12();
        let (key, settings) = match P::LOCATION {
            SchemaLocation::Argument => {
                let schema = schemas.generator.subschema_for::<P::Value>();
                return schemas.argument(name, P::is_required(), schema);
            }
            SchemaLocation::Body => ("body", settings.for_deserialize()),
            SchemaLocation::Answer => ("answer", settings.for_serialize()),
            SchemaLocation::Error => ("error", settings.for_serialize()),
        };
        let schema = settings.into_generator().into_root_schema_for::<P::Value>();
        schemas.others.insert(key.to_owned(), schema.into());
    }
}

/// A part of which only the place is known.
pub trait DescribeLocation {
    /// Adds what is known.
    fn describe(self, schemas: &mut Schemas, name: &'static str);
}

impl<P: SignaturePart> DescribeLocation for &TypeProbe<P> {
    fn describe(self, schemas: &mut Schemas, name: &'static str) {
        match P::LOCATION {
            SchemaLocation::Argument => schemas.argument(name, P::is_required(), true.into()),
            SchemaLocation::Body => drop(schemas.others.insert("body".to_owned(), true.into())),
            SchemaLocation::Answer | SchemaLocation::Error => {}
        }
    }
}

/// A type that does not go over the wire, or says nothing of itself.
pub trait DescribeNothing {
    /// Adds what is known.
    fn describe(self, schemas: &mut Schemas, name: &'static str);
}

impl<T> DescribeNothing for TypeProbe<T> {
    fn describe(self, _: &mut Schemas, _: &'static str) {}
}

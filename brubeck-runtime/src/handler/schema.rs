//! JSON Schemas of the arguments and responses of service handlers (feature `schema`).
//!
//! Generated code calls [`__schema!`](crate::__schema) with the signature of each handler. Not every type has a schema, and a
//! macro cannot ask whether a type implements a trait. So the macro calls `describe` on a `&&TypeProbe<T>`, and the number
//! of references that method lookup has to remove picks the implementation (autoref specialization):
//!
//! 1. [`DescribeSchema`], for `&&TypeProbe<T>` if `T` is part of a call and its value implements [`JsonSchema`];
//! 2. [`DescribeWithoutSchema`], for `&TypeProbe<T>` if `T` is part of a call;
//! 3. [`DescribeNothing`], for `TypeProbe<T>` of any other `T`, such as an extractor that reads nothing from the call.

use crate::extract::operation::{InPath, Named, read_named};
use crate::extract::{Arg, Json};
use crate::response::Reply;
use crate::rpc::api::Wire;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::marker::PhantomData;

/// Expands to `Some` of a function that builds the schemas of a signature. It runs when `/.brubeck/info` is called.
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    (($($name:literal: $argument:ty),*) -> $reply:ty) => {
        ::core::option::Option::Some(|| {
            use $crate::__private::{DescribeSchema as _, DescribeWithoutSchema as _, DescribeNothing as _};
            let mut schemas = $crate::__private::Schemas::new();
            $((&&$crate::__private::TypeProbe::<$argument>::NEW).describe(&mut schemas, $name);)*
            (&&$crate::__private::TypeProbe::<$crate::__private::SuccessOf<$reply>>::NEW).describe(&mut schemas, "");
            (&&$crate::__private::TypeProbe::<$crate::__private::FailureOf<$reply>>::NEW).describe(&mut schemas, "");
            schemas.into_map()
        })
    };
}

/// Builder for the schemas of one operation.
pub struct Schemas {
    /// Generates one schema for all arguments, with shared definitions.
    generator: SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    /// Self-contained schemas of everything but arguments, by their key in `/.brubeck/info`.
    others: Map<String, Value>,
}

impl Schemas {
    /// Creates the schemas of an operation without arguments and without a response body.
    #[expect(clippy::new_without_default, reason = "only generated code calls this")]
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

    /// Returns the schemas by their key in `/.brubeck/info`.
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

/// The part of a call that carries a value of the signature.
pub enum SchemaLocation {
    /// An argument: a capture of the path or a named argument.
    Argument,
    /// The whole request body.
    Body,
    /// The body of a successful response.
    Response,
    /// The body of an error response.
    Error,
}

/// A type of a signature whose value is sent with the call or its response.
pub trait SignaturePart {
    /// The type of the sent value.
    type Value;
    /// The part of the call that carries the value.
    const LOCATION: SchemaLocation;

    /// Returns `true` if calls without this value are rejected.
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
        matches!(read_named::<T>(None, &[]), Ok(None))
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

/// Stands for the success value of the return type `R`.
pub struct SuccessOf<R>(PhantomData<R>);

/// Stands for the error value of the return type `R`.
pub struct FailureOf<R>(PhantomData<R>);

impl<R: JsonReply> SignaturePart for SuccessOf<R> {
    type Value = R::Value;
    const LOCATION: SchemaLocation = SchemaLocation::Response;
}

impl<R, E: JsonReply> SignaturePart for FailureOf<Result<R, E>> {
    type Value = E::Value;
    const LOCATION: SchemaLocation = SchemaLocation::Error;
}

/// A return type whose value callers receive as JSON.
pub trait JsonReply {
    /// The type of the JSON value.
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

/// A value with a status or headers in front, as in `(Status, Json<T>)`.
impl<A, R: JsonReply> JsonReply for (A, R) {
    type Value = R::Value;
}

/// Selects the implementation of `describe` for the type `T`.
pub struct TypeProbe<T>(PhantomData<T>);

impl<T> Clone for TypeProbe<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TypeProbe<T> {}

impl<T> TypeProbe<T> {
    /// The only value.
    pub const NEW: TypeProbe<T> = TypeProbe(PhantomData);
}

/// Describes a part of a call whose schema is known.
pub trait DescribeSchema {
    /// Adds the schema.
    fn describe(self, schemas: &mut Schemas, name: &'static str);
}

impl<P: SignaturePart<Value: JsonSchema>> DescribeSchema for &&TypeProbe<P> {
    fn describe(self, schemas: &mut Schemas, name: &'static str) {
        let settings = SchemaSettings::draft2020_12();
        let (key, settings) = match P::LOCATION {
            SchemaLocation::Argument => {
                let schema = schemas.generator.subschema_for::<P::Value>();
                return schemas.argument(name, P::is_required(), schema);
            }
            SchemaLocation::Body => ("body", settings.for_deserialize()),
            SchemaLocation::Response => ("answer", settings.for_serialize()),
            SchemaLocation::Error => ("error", settings.for_serialize()),
        };
        let schema = settings.into_generator().into_root_schema_for::<P::Value>();
        schemas.others.insert(key.to_owned(), schema.into());
    }
}

/// Describes a part of a call whose schema is unknown.
pub trait DescribeWithoutSchema {
    /// Adds the schema `true`, which any value matches, for an argument or the body. Adds nothing for a response.
    fn describe(self, schemas: &mut Schemas, name: &'static str);
}

impl<P: SignaturePart> DescribeWithoutSchema for &TypeProbe<P> {
    fn describe(self, schemas: &mut Schemas, name: &'static str) {
        match P::LOCATION {
            SchemaLocation::Argument => schemas.argument(name, P::is_required(), true.into()),
            SchemaLocation::Body => drop(schemas.others.insert("body".to_owned(), true.into())),
            SchemaLocation::Response | SchemaLocation::Error => {}
        }
    }
}

/// Describes a type that is not part of a call.
pub trait DescribeNothing {
    /// Leaves the schemas as they are.
    fn describe(self, schemas: &mut Schemas, name: &'static str);
}

impl<T> DescribeNothing for TypeProbe<T> {
    fn describe(self, _: &mut Schemas, _: &'static str) {}
}

//! What calls carry, as JSON Schema: the feature `schema`.
//!
//! Generated code writes down the signature of a handler; what each of its types says of itself is found by which
//! traits it implements. Method lookup takes [`Describe`] before [`Mention`] before [`Pass`], so that a type without a
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
            use $crate::__private::{Describe as _, Mention as _, Pass as _};
            let mut schemas = $crate::__private::Schemas::new();
            $((&&$crate::__private::Probe::<$argument>::NEW).tell(&mut schemas, $name);)*
            (&&$crate::__private::Probe::<$crate::__private::Success<$reply>>::NEW).tell(&mut schemas, "");
            (&&$crate::__private::Probe::<$crate::__private::Failure<$reply>>::NEW).tell(&mut schemas, "");
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
pub enum Place {
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
pub trait Part {
    /// What goes over the wire.
    type Value;
    /// Where it goes.
    const PLACE: Place;

    /// Whether a call without it is refused.
    fn is_required() -> bool {
        true
    }
}

impl<T> Part for InPath<T> {
    type Value = T;
    const PLACE: Place = Place::Argument;
}

impl<T: Wire> Part for Named<T> {
    type Value = T;
    const PLACE: Place = Place::Argument;

    fn is_required() -> bool {
        matches!(read_named::<T>(None), Ok(None))
    }
}

impl<T> Part for Arg<T> {
    type Value = T;
    const PLACE: Place = Place::Argument;
}

impl<T> Part for Json<T> {
    type Value = T;
    const PLACE: Place = Place::Body;
}

impl<P: Part> Part for Option<P> {
    type Value = P::Value;
    const PLACE: Place = P::PLACE;

    fn is_required() -> bool {
        false
    }
}

impl<P: Part, E> Part for Result<P, E> {
    type Value = P::Value;
    const PLACE: Place = P::PLACE;

    fn is_required() -> bool {
        false
    }
}

/// What the reply `R` says on success.
pub struct Success<R>(PhantomData<R>);

/// What the reply `R` says of a failure.
pub struct Failure<R>(PhantomData<R>);

impl<R: JsonReply> Part for Success<R> {
    type Value = R::Value;
    const PLACE: Place = Place::Answer;
}

impl<R, E: JsonReply> Part for Failure<Result<R, E>> {
    type Value = E::Value;
    const PLACE: Place = Place::Error;
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
pub struct Probe<T>(PhantomData<T>);

impl<T> Clone for Probe<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Probe<T> {}

impl<T> Probe<T> {
    /// The one there is.
    pub const NEW: Probe<T> = Probe(PhantomData);
}

/// A part whose schema is known.
pub trait Describe {
    /// Adds what is known.
    fn tell(self, schemas: &mut Schemas, name: &'static str);
}

impl<P: Part<Value: JsonSchema>> Describe for &&Probe<P> {
    fn tell(self, schemas: &mut Schemas, name: &'static str) {
        let settings = SchemaSettings::draft2020_12();
        let (key, settings) = match P::PLACE {
            Place::Argument => {
                let schema = schemas.generator.subschema_for::<P::Value>();
                return schemas.argument(name, P::is_required(), schema);
            }
            Place::Body => ("body", settings.for_deserialize()),
            Place::Answer => ("answer", settings.for_serialize()),
            Place::Error => ("error", settings.for_serialize()),
        };
        let schema = settings.into_generator().into_root_schema_for::<P::Value>();
        schemas.others.insert(key.to_owned(), schema.into());
    }
}

/// A part of which only the place is known.
pub trait Mention {
    /// Adds what is known.
    fn tell(self, schemas: &mut Schemas, name: &'static str);
}

impl<P: Part> Mention for &Probe<P> {
    fn tell(self, schemas: &mut Schemas, name: &'static str) {
        match P::PLACE {
            Place::Argument => schemas.argument(name, P::is_required(), true.into()),
            Place::Body => drop(schemas.others.insert("body".to_owned(), true.into())),
            Place::Answer | Place::Error => {}
        }
    }
}

/// A type that does not go over the wire, or says nothing of itself.
pub trait Pass {
    /// Adds what is known.
    fn tell(self, schemas: &mut Schemas, name: &'static str);
}

impl<T> Pass for Probe<T> {
    fn tell(self, _: &mut Schemas, _: &'static str) {}
}

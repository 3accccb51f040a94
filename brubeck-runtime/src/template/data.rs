//! The fields that the values of templates have, known at compile time.

use crate::const_string::{ConstString, is_same};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

/// Structs whose fields are checked at compile time if a template uses them.
///
/// ```
/// use brubeck::{TemplateData, prelude::*};
///
/// #[derive(serde::Serialize, TemplateData)]
/// struct Author {
///     name: String,
/// }
///
/// #[derive(serde::Serialize, TemplateData)]
/// struct Book {
///     title: String,
///     authors: Vec<Author>,
/// }
///
/// // #[derive(Template)]
/// // #[template("book.html")] // {% for author in book.authors %}{{ author.name }}{% endfor %}
/// // struct BookPage { book: Book }
/// ```
///
/// Derive it, next to `serde::Serialize`, for a struct that is a field of a page, or a part of such a field.
///
/// With it, `{{ book.titel }}` and `{{ author.nmae }}` do not compile. The derive knows the attributes of serde: a field has the name with
/// which it is serialized. The parts of at most five structs within each other are checked.
///
/// A type that does not implement the trait is checked when a page is rendered. There, a name that a struct does not have is an error in
/// [development](crate::App::development), and is logged at level WARN otherwise.
pub trait TemplateData: DataOf<5> {}

impl<T: DataOf<5> + ?Sized> TemplateData for T {}

/// The fields of a type, down to `DEPTH` structs within each other. A limit is needed because a struct can contain itself.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the fields of `{Self}` are not known to templates",
    note = "put `#[derive(TemplateData)]` on `{Self}`"
)]
pub trait DataOf<const DEPTH: u8> {
    const SHAPE: &'static DataShape;
}

/// What a template can do with a value.
#[doc(hidden)]
#[derive(Debug)]
pub enum DataShape {
    /// Not known.
    Any,
    /// A value without parts, such as a text or a number.
    Scalar(&'static str),
    List(&'static DataShape),
    Map(&'static DataShape),
    Struct {
        name: &'static str,
        fields: &'static [(&'static str, &'static DataShape)],
        /// There may be more fields.
        is_open: bool,
    },
}

/// A step from a value to a part of it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum DataStep {
    Field(&'static str),
    Item,
    Method(&'static str),
}

/// Finds the shape of a type that may not implement [`DataOf`]: the inherent constant takes precedence over that of [`AnyData`].
#[doc(hidden)]
pub struct DataProbe<T: ?Sized, const DEPTH: u8>(PhantomData<T>);

impl<T: DataOf<DEPTH> + ?Sized, const DEPTH: u8> DataProbe<T, DEPTH> {
    pub const SHAPE: &'static DataShape = T::SHAPE;
}

#[doc(hidden)]
pub trait AnyData {
    const SHAPE: &'static DataShape = &DataShape::Any;
}

impl<T: ?Sized, const DEPTH: u8> AnyData for DataProbe<T, DEPTH> {}

macro_rules! scalars {
    ($($name:literal: $($ty:ty),*;)*) => {
        $($(
            impl<const DEPTH: u8> DataOf<DEPTH> for $ty {
                const SHAPE: &'static DataShape = &DataShape::Scalar($name);
            }
        )*)*
    };
}

scalars! {
    "a text": str, String, char, std::path::Path, std::path::PathBuf;
    "a number": u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64;
    "a boolean": bool;
}

/// Types that serialize as the value in them.
macro_rules! transparent {
    ($($(#[$attribute:meta])? [$($generics:tt)*] $ty:ty => $inner:ty;)*) => {
        $(
            impl<$($generics)*, const DEPTH: u8> DataOf<DEPTH> for $ty {
                const SHAPE: &'static DataShape = <$inner as DataOf<DEPTH>>::SHAPE;
            }
        )*
    };
}

transparent! {
    [T: DataOf<DEPTH> + ?Sized] &T => T;
    [T: DataOf<DEPTH> + ?Sized] &mut T => T;
    [T: DataOf<DEPTH> + ?Sized] Box<T> => T;
    [T: DataOf<DEPTH> + ?Sized] Rc<T> => T;
    [T: DataOf<DEPTH> + ?Sized] Arc<T> => T;
    [T: DataOf<DEPTH> + ToOwned + ?Sized] Cow<'_, T> => T;
    [T: DataOf<DEPTH>] Option<T> => T;
}

macro_rules! lists {
    ($([$($generics:tt)*] $ty:ty;)*) => {
        $(
            impl<$($generics)*, const DEPTH: u8> DataOf<DEPTH> for $ty {
                const SHAPE: &'static DataShape = &DataShape::List(T::SHAPE);
            }
        )*
    };
}

lists! {
    [T: DataOf<DEPTH>] [T];
    [T: DataOf<DEPTH>] Vec<T>;
    [T: DataOf<DEPTH>] VecDeque<T>;
    [T: DataOf<DEPTH>] BTreeSet<T>;
    [T: DataOf<DEPTH>, S] HashSet<T, S>;
    [T: DataOf<DEPTH>, const N: usize] [T; N];
}

impl<K, V: DataOf<DEPTH>, const DEPTH: u8> DataOf<DEPTH> for BTreeMap<K, V> {
    const SHAPE: &'static DataShape = &DataShape::Map(V::SHAPE);
}

impl<K, V: DataOf<DEPTH>, S, const DEPTH: u8> DataOf<DEPTH> for HashMap<K, V, S> {
    const SHAPE: &'static DataShape = &DataShape::Map(V::SHAPE);
}

/// The methods of texts, lists and maps, which are those of Python.
const METHODS: &[&str] = &[
    "capitalize",
    "count",
    "endswith",
    "find",
    "format",
    "get",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "items",
    "join",
    "keys",
    "lower",
    "lstrip",
    "replace",
    "rfind",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
    "values",
];

/// Panics, which is a compile error, if a value has no part to which the steps lead. `place` is the line of the template.
#[doc(hidden)]
#[track_caller]
pub const fn check_data(shape: &DataShape, steps: &[DataStep], place: &str) {
    let mut shape = shape;
    let mut i = 0;
    while i < steps.len() {
        shape = match (shape, steps[i]) {
            (DataShape::Any, _) => return,
            (DataShape::List(item), DataStep::Item) => item,
            // A character of a text, or the key of a map.
            (_, DataStep::Item) => return,
            (_, DataStep::Method(name)) => {
                if !contains(METHODS, name) {
                    let text = ConstString::new()
                        .push("there is no method `")
                        .push(name)
                        .push("`\n  ")
                        .push(place);
                    panic!("{}", text.as_str());
                }
                return;
            }
            (DataShape::Map(value), DataStep::Field(_)) => value,
            (
                DataShape::Struct {
                    name,
                    fields,
                    is_open,
                },
                DataStep::Field(field),
            ) => match find(fields, field) {
                Some(shape) => shape,
                None if *is_open => return,
                None => {
                    let mut text = ConstString::new()
                        .push("`")
                        .push(name)
                        .push("` has no field `")
                        .push(field)
                        .push("`\n  ")
                        .push(place)
                        .push("\nhelp: its fields are ");
                    let mut j = 0;
                    while j < fields.len() {
                        text = text
                            .push(if j == 0 { "`" } else { ", `" })
                            .push(fields[j].0)
                            .push("`");
                        j += 1;
                    }
                    panic!("{}", text.as_str());
                }
            },
            (DataShape::Scalar(kind), DataStep::Field(field)) => no_field(kind, field, place),
            (DataShape::List(_), DataStep::Field(field)) => no_field("a list", field, place),
        };
        i += 1;
    }
}

#[track_caller]
const fn no_field(kind: &str, field: &str, place: &str) -> ! {
    let text = ConstString::new()
        .push(kind)
        .push(" has no field `")
        .push(field)
        .push("`\n  ")
        .push(place);
    panic!("{}", text.as_str());
}

const fn find(
    fields: &'static [(&'static str, &'static DataShape)],
    name: &str,
) -> Option<&'static DataShape> {
    let mut i = 0;
    while i < fields.len() {
        if is_same(fields[i].0, name) {
            return Some(fields[i].1);
        }
        i += 1;
    }
    None
}

const fn contains(names: &[&str], name: &str) -> bool {
    let mut i = 0;
    while i < names.len() {
        if is_same(names[i], name) {
            return true;
        }
        i += 1;
    }
    false
}

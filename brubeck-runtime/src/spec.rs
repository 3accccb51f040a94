//! The compile-time description of a route.

use crate::method::{Kind, Method};

use serde_json::{Map, Value};

/// The description of a route, as its attribute declares it. [`Routes::specs`](crate::Routes::specs) lists the routes of an
/// application.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get(r"^/user/(?<id>\d+)$")]
/// async fn user(id: u64) -> String {
///     id.to_string()
/// }
///
/// const ROUTES: Routes<()> = routes![user];
///
/// let spec = ROUTES.specs().next().unwrap();
/// assert_eq!((spec.name, spec.pattern, spec.example), ("user", r"^/user/(?<id>\d+)$", "/user/1"));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Spec {
    /// The name of the handler.
    pub name: &'static str,
    /// The pattern, as in the attribute.
    pub pattern: &'static str,
    /// The method.
    pub method: Method,
    /// The kind of the handler.
    pub kind: Kind,
    /// The names of the named groups of the pattern, in order.
    pub captures: &'static [&'static str],
    /// A path of minimal length that matches the pattern. Empty if none is known.
    pub example: &'static str,
    /// `true` if the handler is a plain `fn` that runs on a thread for blocking work: `#[service_handler(.., blocking)]`.
    pub blocking: bool,
    /// The maximum number of calls of the handler that run at once in this process:
    /// `#[service_handler(.., concurrency = 4)]`. If it is `None`, only the concurrency of the service limits them.
    pub concurrency: Option<u32>,
    /// The source file of the handler.
    pub file: &'static str,
    /// The line of the handler in its source file.
    pub line: u32,
    #[doc(hidden)]
    pub automaton: &'static [u8],
    #[doc(hidden)]
    pub prefix: Prefix,
    #[doc(hidden)]
    pub schema: Option<fn() -> Map<String, Value>>,
}

impl Spec {
    /// A placeholder for a handler whose attribute has an error. It prevents follow-up errors.
    #[doc(hidden)]
    pub const BROKEN: Spec = Spec::new("", "", Method::Get, Kind::Web);

    /// Creates a spec without the optional fields, which generated code sets with the other methods.
    #[doc(hidden)]
    pub const fn new(name: &'static str, pattern: &'static str, method: Method, kind: Kind) -> Spec {
        Spec {
            name,
            pattern,
            method,
            kind,
            captures: &[],
            example: "",
            blocking: false,
            concurrency: None,
            file: "",
            line: 0,
            automaton: &[],
            prefix: Prefix::new(b""),
            schema: None,
        }
    }

    #[doc(hidden)]
    pub const fn with_automaton(
        self,
        automaton: &'static [u8],
        prefix: &[u8],
        example: &'static str,
    ) -> Spec {
        Spec {
            automaton,
            prefix: Prefix::new(prefix),
            example,
            ..self
        }
    }

    #[doc(hidden)]
    pub const fn with_captures(self, captures: &'static [&'static str]) -> Spec {
        Spec { captures, ..self }
    }

    #[doc(hidden)]
    pub const fn blocking(self) -> Spec {
        Spec {
            blocking: true,
            ..self
        }
    }

    #[doc(hidden)]
    pub const fn concurrency(self, concurrency: u32) -> Spec {
        Spec {
            concurrency: Some(concurrency),
            ..self
        }
    }

    /// Sets the function that generates the JSON schemas of the handler.
    #[doc(hidden)]
    pub const fn schema(self, schema: Option<fn() -> Map<String, Value>>) -> Spec {
        Spec { schema, ..self }
    }

    #[doc(hidden)]
    pub const fn at(self, file: &'static str, line: u32) -> Spec {
        Spec { file, line, ..self }
    }

    /// Returns the spec of a handler of this operation: a service handler or a response handler.
    #[doc(hidden)]
    pub const fn handled_by(self, name: &'static str, method: Method, kind: Kind) -> Spec {
        Spec {
            name,
            method,
            kind,
            ..self
        }
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.pattern.is_empty()
    }

    /// Returns `true` if both routes have the same pattern, so that they are methods of one resource.
    pub(super) const fn same_resource(&self, other: &Spec) -> bool {
        let (a, b) = (self.pattern.as_bytes(), other.pattern.as_bytes());
        if a.len() != b.len() {
            return false;
        }
        // `==` on slices is not available in constant evaluation.
        let mut i = 0;
        while i < a.len() {
            if a[i] != b[i] {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Returns `true` if both routes have the same method and the same kind of handler.
    pub(super) const fn same_method(&self, other: &Spec) -> bool {
        self.method as u8 == other.method as u8 && self.kind as u8 == other.kind as u8
    }
}

/// A handler that can be listed in `routes!`.
///
/// The attribute of a handler generates a type with the name of the function, and implements this trait for that type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "`routes!` lists handlers",
    note = "put `#[service_handler(path = ..)]`, `#[response_handler(path = ..)]` or `#[get(..)]` on a function"
)]
pub trait Routed {
    /// The route of the handler.
    const SPEC: Spec;

    /// Evaluating this constant is a compile error if an argument of the handler is not an extractor.
    const CHECKED: bool = true;
}

/// The literal prefix of all paths that match a route, at most 32 bytes.
///
/// A route can be shadowed only by one whose literal prefix is a prefix of its own. The bytes are packed into integers, so
/// that constant evaluation compares two prefixes in a few operations instead of byte by byte.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u128; 2],
    /// `0xff` for each byte that is part of the prefix.
    mask: [u128; 2],
}

impl Prefix {
    /// Packs the first 32 bytes of `prefix`; the rest is ignored.
    pub const fn new(prefix: &[u8]) -> Prefix {
        let mut packed = Prefix {
            bytes: [0; 2],
            mask: [0; 2],
        };
        let mut i = 0;
        while i < prefix.len() && i < 32 {
            let shift = 8 * (15 - i % 16);
            packed.bytes[i / 16] |= (prefix[i] as u128) << shift;
            packed.mask[i / 16] |= 0xff << shift;
            i += 1;
        }
        packed
    }

    /// Returns the bytes and the mask of the first half, for a fast comparison.
    pub(crate) const fn head(self) -> [u128; 2] {
        [self.bytes[0], self.mask[0]]
    }

    /// Returns `true` if `early` is a prefix of `self`.
    pub(crate) const fn extends(self, early: Prefix) -> bool {
        self.bytes[0] & early.mask[0] == early.bytes[0]
            && self.bytes[1] & early.mask[1] == early.bytes[1]
            && self.mask[0] & early.mask[0] == early.mask[0]
            && self.mask[1] & early.mask[1] == early.mask[1]
    }
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    #[test]
    fn prefix_extends_only_its_own_prefixes() {
        let extends = |late: &[u8], early: &[u8]| Prefix::new(late).extends(Prefix::new(early));
        assert!(extends(b"/service/slow", b"/service"));
        assert!(extends(b"/a", b""));
        assert!(extends(b"/a", b"/a"));
        assert!(!extends(b"/service", b"/service/slow"));
        assert!(!extends(b"/service", b"/user"));
        assert!(!extends(b"", b"\0"));
        assert!(extends(
            b"/a/very/long/path/that/passes/the/32nd/byte",
            b"/a/very/long/path/that"
        ));
    }
}

//! What is known of a route when the program is compiled.

use crate::method::{Kind, Method};

use serde_json::{Map, Value};

/// A route as its attribute describes it; [`Routes::specs`](crate::Routes::specs) lists them.
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
    /// The pattern, as it was written.
    pub pattern: &'static str,
    /// The method.
    pub method: Method,
    /// What sort of message the handler answers.
    pub kind: Kind,
    /// The names of the groups that the pattern captures, in their order.
    pub captures: &'static [&'static str],
    /// A shortest path that matches; empty where none is known.
    pub example: &'static str,
    /// Whether the handler is a plain `fn` that runs on a thread of its own, where it may block or compute for
    /// long: `#[service_handler(.., blocking)]`.
    pub blocking: bool,
    /// How many of this handler may run at once in this process: `#[service_handler(.., concurrency = 4)]`. `None`: as
    /// many as the connection takes.
    pub concurrency: Option<u32>,
    /// The file of the handler.
    pub file: &'static str,
    /// The line of the handler.
    pub line: u32,
    #[doc(hidden)]
    pub automaton: &'static [u8],
    #[doc(hidden)]
    pub prefix: Prefix,
    #[doc(hidden)]
    pub schema: Option<fn() -> Map<String, Value>>,
}

impl Spec {
    /// Stands for a handler whose attribute is in error, so that no second error is made of it.
    #[doc(hidden)]
    pub const BROKEN: Spec = Spec::new("", "", Method::Get, Kind::Web);

    /// A route without automaton; the macros add what they know.
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

    /// What makes the schemas of what its calls carry, when somebody asks.
    #[doc(hidden)]
    pub const fn schema(self, schema: Option<fn() -> Map<String, Value>>) -> Spec {
        Spec { schema, ..self }
    }

    #[doc(hidden)]
    pub const fn at(self, file: &'static str, line: u32) -> Spec {
        Spec { file, line, ..self }
    }

    /// The same path for another handler, as an operation is served.
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

    /// Whether both have one pattern text: handlers of one resource.
    pub(super) const fn same_resource(&self, other: &Spec) -> bool {
        let (a, b) = (self.pattern.as_bytes(), other.pattern.as_bytes());
        if a.len() != b.len() {
            return false;
        }
        let mut i = 0;
        while i < a.len() {
            if a[i] != b[i] {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Whether both answer the same method of the same sort of message.
    pub(super) const fn same_method(&self, other: &Spec) -> bool {
        self.method as u8 == other.method as u8 && self.kind as u8 == other.kind as u8
    }
}

/// The type beside a handler, which carries its route.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "`routes!` lists handlers",
    note = "put `#[service_handler(path = ..)]`, `#[response_handler(path = ..)]` or `#[get(..)]` on a function"
)]
pub trait Routed {
    /// Its route.
    const SPEC: Spec;

    /// An error where an argument of the handler is none.
    const CHECKED: bool = true;
}

/// The first bytes that every match of a route starts with, packed so that two routes are told apart in a few
/// machine operations: a route is shadowed only by one whose forced prefix is a prefix of its own.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    bytes: [u128; 2],
    mask: [u128; 2],
}

impl Prefix {
    /// Packs the first 32 bytes of `prefix`.
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

    /// The first half, for a quick look: bytes and mask.
    pub(crate) const fn head(self) -> [u128; 2] {
        [self.bytes[0], self.mask[0]]
    }

    /// Whether `early` is a prefix of this.
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
    fn a_longer_prefix_extends_a_shorter_one() {
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

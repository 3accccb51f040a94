//! The compile-time description of a route.

use crate::const_string::{fnv1a, is_same, is_same_bytes};
use crate::method::{Kind, Method};

use regex_syntax::hir::Look;
use serde_json::{Map, Value};
use std::fmt::Write;

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
    /// The name of the handler: that of its function, such as `user`.
    pub name: &'static str,
    /// The pattern of the path, as it is written in the attribute: a template or a regex.
    pub pattern: &'static str,
    /// The method that the handler answers. A GET handler also answers HEAD.
    pub method: Method,
    /// The kind of the handler: for web requests, for calls of other applications, or for responses of services.
    pub kind: Kind,
    /// The names of the captures, in order.
    pub captures: &'static [&'static str],
    /// A path of minimal length that matches the pattern, percent-encoded. Empty if none is known.
    pub example: &'static str,
    /// `true` if the handler is a plain `fn` that runs on a thread for blocking work: `#[service_handler(.., blocking)]`.
    pub blocking: bool,
    /// The maximum number of calls of the handler that run at once in this process:
    /// `#[service_handler(.., concurrency = 4)]`. If it is `None`, only the concurrency of the service limits them.
    pub concurrency: Option<u32>,
    /// The source file of the handler, as [`file!`] returns it.
    pub file: &'static str,
    /// The line of the handler in its source file.
    pub line: u32,
    /// The prefixes of the tables in which the route is, decoded. The regex matches the rest of the path.
    #[doc(hidden)]
    pub mount: &'static str,
    /// The pattern as a regex over the canonical form of paths.
    #[doc(hidden)]
    pub regex: &'static str,
    /// The path below the mount point as a template, if the pattern is a regex of text and captures.
    #[doc(hidden)]
    pub url: &'static str,
    #[doc(hidden)]
    pub automaton: &'static [u8],
    #[doc(hidden)]
    pub schema: Option<fn() -> Map<String, Value>>,
    /// The name of the operation of a contract, such as `slow_echo::echo`. Empty for a route without a contract.
    #[doc(hidden)]
    pub operation: &'static str,
    /// The digest of the declaration of the operation: its name, the names and types of its arguments, and its result. 0 without one.
    #[doc(hidden)]
    pub contract: u64,
    /// The declaration of the operation: a line `name: type` for each argument, and a line for each of the types of the result and the error.
    #[doc(hidden)]
    pub declaration: &'static str,
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
            mount: "",
            regex: pattern,
            url: "",
            automaton: &[],
            schema: None,
            operation: "",
            contract: 0,
            declaration: "",
        }
    }

    #[doc(hidden)]
    pub const fn with_automaton(mut self, automaton: &'static [u8], example: &'static str) -> Spec {
        self.automaton = automaton;
        self.example = example;
        self
    }

    /// Sets the regex that finds the captures, or matches the path if there is no automaton.
    #[doc(hidden)]
    pub const fn with_regex(mut self, regex: &'static str) -> Spec {
        self.regex = regex;
        self
    }

    #[doc(hidden)]
    pub const fn with_url(mut self, url: &'static str) -> Spec {
        self.url = url;
        self
    }

    #[doc(hidden)]
    pub const fn with_captures(mut self, captures: &'static [&'static str]) -> Spec {
        self.captures = captures;
        self
    }

    #[doc(hidden)]
    pub const fn blocking(mut self) -> Spec {
        self.blocking = true;
        self
    }

    #[doc(hidden)]
    pub const fn concurrency(mut self, concurrency: u32) -> Spec {
        self.concurrency = Some(concurrency);
        self
    }

    /// Sets the function that generates the JSON schemas of the handler.
    #[doc(hidden)]
    pub const fn schema(mut self, schema: Option<fn() -> Map<String, Value>>) -> Spec {
        self.schema = schema;
        self
    }

    /// Makes this the spec of an operation with this declaration.
    #[doc(hidden)]
    pub const fn of_operation(mut self, declaration: &'static str) -> Spec {
        self.operation = self.name;
        self.contract = fnv1a(&[self.name.as_bytes(), b"\n", declaration.as_bytes()]);
        self.declaration = declaration;
        self
    }

    #[doc(hidden)]
    pub const fn at(mut self, file: &'static str, line: u32) -> Spec {
        self.file = file;
        self.line = line;
        self
    }

    /// Returns the spec of a handler of this operation: a service handler or a response handler.
    #[doc(hidden)]
    pub const fn handled_by(mut self, name: &'static str, method: Method, kind: Kind) -> Spec {
        self.name = name;
        self.method = method;
        self.kind = kind;
        self
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.pattern.is_empty()
    }

    /// Returns `true` if the pattern is a regex that can match a part of the path only: it does not end in `$`.
    pub(super) fn matches_prefix(&self) -> bool {
        let is_regex = self.pattern.starts_with('^');
        is_regex
            && regex_syntax::parse(self.pattern)
                .is_ok_and(|hir| !hir.properties().look_set_suffix().contains(Look::End))
    }

    /// Returns `true` if the routes are methods of one resource: they have the same pattern, or match the same paths without captures.
    pub(super) const fn same_resource(&self, other: &Spec) -> bool {
        is_same_bytes(self.resource(), other.resource())
    }

    /// Returns what routes of the same resource have in common.
    ///
    /// Automata are minimal, so two of them are equal if they accept the same paths: `^/a$` and `/a` are one resource. Captures depend
    /// on the pattern.
    pub(super) const fn resource(&self) -> &'static [u8] {
        if self.captures.is_empty() && !self.automaton.is_empty() {
            self.automaton
        } else {
            self.pattern.as_bytes()
        }
    }

    /// Returns `true` if the routes have the same handler, in whichever table and below whichever prefix they are. The source location
    /// of a handler is unique.
    pub(super) const fn same_handler(&self, other: &Spec) -> bool {
        self.line == other.line && is_same(self.file, other.file) && is_same(self.name, other.name)
    }

    /// Returns `true` if both routes have the same method and the same kind of handler.
    pub(super) const fn same_method(&self, other: &Spec) -> bool {
        self.method as u8 == other.method as u8 && self.kind as u8 == other.kind as u8
    }
}

/// Returns a line for each route: method, pattern, handler, and a mark if the pattern can match a part of the path only.
pub(crate) fn listing(specs: &[&Spec]) -> String {
    let width = specs.iter().map(|spec| spec.pattern.chars().count()).max();
    let width = width.unwrap_or_default().min(MAX_PATTERN_WIDTH);
    let mut text = String::new();
    for spec in specs.iter().filter(|spec| !spec.is_broken()) {
        let mark = if spec.matches_prefix() { " (prefix)" } else { "" };
        let Spec {
            method,
            pattern,
            name,
            file,
            line,
            ..
        } = spec;
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n  {:<8} {pattern:<width$} {name} at {file}:{line}{mark}",
            method.as_str()
        );
    }
    text
}

/// The width of the column of patterns, in characters. Longer patterns move the rest of their line.
const MAX_PATTERN_WIDTH: usize = 40;

/// A handler that can be listed in `routes!`.
///
/// The attribute of a handler generates a type with the name of the function, and implements this trait for that type.
/// [`App::limit`](crate::App::limit) names a handler by it. Nothing else implements it.
///
/// ```
/// use brubeck::Routed;
/// use brubeck::prelude::*;
///
/// #[post("^/upload$")]
/// async fn upload(upload: Upload) -> Status {
///     Status::OK
/// }
///
/// fn with_large_bodies<H: Routed>(app: App<()>) -> App<()> {
///     app.limit::<H>(Limits::new().body_limit(100 << 20))
/// }
///
/// let app = with_large_bodies::<upload>(App::new(routes![upload], ()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "`routes!` lists handlers",
    note = "put `#[service_handler(path = ..)]`, `#[response_handler(path = ..)]` or `#[get(..)]` on a function"
)]
pub trait Routed {
    #[doc(hidden)]
    const SPEC: Spec;

    /// Evaluating this constant is a compile error if an argument of the handler is not an extractor.
    #[doc(hidden)]
    const CHECKED: bool = true;
}

#[cfg(test)]
mod tests {
    use super::{Spec, listing};
    use crate::method::{Kind, Method};

    #[test]
    fn listing_marks_patterns_that_match_a_prefix() {
        for (pattern, is_prefix) in [
            ("/user/{id}", false),
            ("/files/{*rest}", false),
            ("^/$", false),
            ("^/", true),
            ("^/static", true),
            ("^/a/.*", true),
            ("^/a$|^/b", true),
            ("^/a$|^/b$", false),
            (r"^/(?:a|b$)", true),
            (r"^/(?:a|b)$", false),
            (r"^/price\$", true),
            ("^/a(?:$|/)", true),
            ("^/a(?:/(?<b>[a-z]+))?$", false),
        ] {
            let spec = Spec::new("page", pattern, Method::Get, Kind::Web).at("main.rs", 7);
            let text = listing(&[&spec]);
            assert!(text.contains(&format!("{pattern} page at main.rs:7")), "{text}");
            assert_eq!(text.ends_with(" (prefix)"), is_prefix, "{text}");
        }
    }
}

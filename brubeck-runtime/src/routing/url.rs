//! URLs of handlers: `url!`.

use super::automaton::Automaton;
use super::captures::ByteSetInterner;
use super::prefixed::{below_mount, routed_text};
use super::router::CaptureFinder;
use super::table::{ListedRoute, Routes};
use crate::const_string::{ConstString, is_same};
use crate::extract::operation::{push_segment, push_segments};
use crate::method::Kind;
use crate::response::{IntoReply, Problem, Response};
use crate::spec::Spec;
use crate::target::canonical_path;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Builds the URL of a web handler: its path, filled with values and percent-encoded.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::url;
///
/// mod admin {
///     use brubeck::prelude::*;
///
///     #[get("/user/{name}")]
///     pub async fn user(name: String) -> String {
///         name
///     }
///
///     pub const ROUTES: Routes<()> = routes![user];
/// }
///
/// #[get(r"^/thumb/(?<id>\d+)$")]
/// async fn thumb(id: u64) -> String {
///     id.to_string()
/// }
///
/// const ROUTES: Routes<()> = routes![thumb, "/admin" => ..admin::ROUTES];
/// # fn main() {
///
/// assert_eq!(url!(thumb, id = 7).unwrap(), "/thumb/7");
/// assert_eq!(url!(ROUTES, admin::user, name = "Eve / Mallory").unwrap(), "/admin/user/Eve%20%2F%20Mallory");
/// // No digits, so no request for this path would reach the handler.
/// assert!(url!(thumb, id = "x").is_err());
/// # }
/// ```
///
/// ```text
/// url!(handler, name = value, ..)
/// url!(ROUTES, handler, name = value, ..)
/// ```
///
/// The first form uses the path of the handler itself. The second form takes the path from a route table, with the prefixes of the
/// tables in it, and checks that no earlier route of the table takes the URL.
///
/// The values implement [`Display`](std::fmt::Display), and are percent-encoded as needed. The names are checked when the program is
/// compiled: each capture needs a value, and no other name is allowed. The path must consist of text and captures: a URL cannot be
/// built from alternatives, repetitions, or optional captures. With a table, it must list the handler, and below one prefix only.
///
/// ```compile_fail
/// # use brubeck::prelude::*;
/// # #[get("/user/{id}")]
/// # async fn user(id: u64) {}
/// # fn main() {
/// let _ = brubeck::url!(user, ident = 7);
/// # }
/// ```
///
/// # Errors
///
/// Returns a [`UrlError`](crate::UrlError) if a request for the URL would not run the handler with these values: a value is empty, or
/// does not match its group, or the segment would be `.` or `..`; an earlier route of the table matches the URL; or a handler without a
/// table is listed only below a prefix in an application of this process.
#[macro_export]
macro_rules! url {
    ($handler:path $(, $name:ident = $value:expr)* $(,)?) => {{
        static __ROUTE: $crate::__private::UrlRoute = $crate::__private::UrlRoute::new(
            const { $crate::__private::own_url_spec(&<$handler as $crate::__private::Routed>::SPEC, &[$(stringify!($name)),*]) },
        );
        __ROUTE.own_url(&[$((stringify!($name), &$value as &dyn ::core::fmt::Display)),*])
    }};
    ($routes:expr, $handler:path $(, $name:ident = $value:expr)* $(,)?) => {{
        static __ROUTE: $crate::__private::UrlRoute = $crate::__private::UrlRoute::new(
            const { $crate::__private::url_spec($routes, &<$handler as $crate::__private::Routed>::SPEC, &[$(stringify!($name)),*]) },
        );
        __ROUTE.url_in($routes, &[$((stringify!($name), &$value as &dyn ::core::fmt::Display)),*])
    }};
}

/// The error of [`url!`](crate::url!): no request for the URL would run the handler with these values.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("/user/{name}")]
/// async fn user(name: String) {}
///
/// # fn main() {
/// let error = brubeck::url!(user, name = "..").unwrap_err();
/// assert!(error.to_string().starts_with("cannot build the URL of `user`"));
/// # }
/// ```
///
/// As a reply it is a logged 500.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError(String);

impl Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}

impl IntoReply for UrlError {
    fn into_reply(self) -> Response {
        tracing::error!(error = %self, "handler failed");
        Problem::new(500, "a URL could not be built").into_reply()
    }
}

/// A route from which URLs are built. One static for each use of `url!`.
pub struct UrlRoute {
    spec: &'static Spec,
    /// Finds the captures in a URL that was built, to compare them with the values.
    captures: OnceLock<Option<CaptureFinder>>,
}

impl UrlRoute {
    /// Creates a route for [`own_url`](Self::own_url) or [`url_in`](Self::url_in).
    pub const fn new(spec: &'static Spec) -> UrlRoute {
        UrlRoute {
            spec,
            captures: OnceLock::new(),
        }
    }

    /// Builds the URL of a handler that is listed without a prefix.
    ///
    /// # Errors
    ///
    /// See [`url!`](crate::url!).
    pub fn own_url(&self, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        if let Some(mount) = only_mount(self.spec) {
            return Err(self.error(format_args!(
                "the application lists it below `{mount}`; name the table: `url!(ROUTES, {}, ..)`",
                self.spec.name
            )));
        }
        self.url(values).map(|(url, _)| url)
    }

    /// Builds the URL of a handler in a table.
    ///
    /// # Errors
    ///
    /// See [`url!`](crate::url!).
    pub fn url_in<S>(&self, routes: Routes<S>, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        self.url_among(routes.specs(), values)
    }

    /// Builds the URL of a handler in a table with these routes.
    fn url_among(
        &self,
        routes: impl Iterator<Item = &'static Spec>,
        values: &[(&str, &dyn Display)],
    ) -> Result<String, UrlError> {
        let (url, path) = self.url(values)?;
        for earlier in routes.take_while(|spec| !spec.same_resource(self.spec)) {
            let automaton = Automaton(earlier.automaton);
            if !automaton.is_absent() && automaton.matches(&path) {
                return Err(self.error(format_args!(
                    "`{}`, which is listed before it, matches `{url}`",
                    earlier.name
                )));
            }
        }
        Ok(url)
    }

    /// Returns the URL, and its path in the canonical form.
    fn url(&self, values: &[(&str, &dyn Display)]) -> Result<(String, Vec<u8>), UrlError> {
        let values: Vec<(&str, String)> = values
            .iter()
            .map(|(name, value)| (plain_name(name), value.to_string()))
            .collect();
        // A `/` in a value is a separator if the capture accepts it, and is percent-encoded otherwise.
        for push in [push_segments, push_segment] {
            let url = fill(self.spec, &values, push);
            if let Some(path) = self.check(&url, &values) {
                return Ok((url, path));
            }
        }
        let shown: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name} = {value:?}"))
            .collect();
        Err(self.error(format_args!(
            "its path `{}` does not match the values {}",
            self.spec.pattern,
            shown.join(", ")
        )))
    }

    /// Returns the canonical path of a URL if the handler would get these values from it.
    fn check(&self, url: &str, values: &[(&str, String)]) -> Option<Vec<u8>> {
        // A reference that begins with `//` names a host (RFC 3986, section 4.2).
        if url.starts_with("//") {
            return None;
        }
        let canonical = canonical_path(url).ok()?;
        let path = canonical.bytes().to_vec();
        let finder = self
            .captures
            .get_or_init(|| CaptureFinder::new(self.spec, &mut ByteSetInterner::default()).ok());
        let finder = finder.as_ref()?;
        let rest = below_mount(self.spec.mount, &path)?;
        let automaton = Automaton(self.spec.automaton);
        let is_match = if automaton.is_absent() {
            finder.regex_matches(rest)
        } else {
            automaton.matches(&path)
        };
        if !is_match {
            return None;
        }
        let captures = finder.find(rest).moved_by(self.spec.mount.len());
        let routed = routed_text(self.spec, canonical);
        let text = routed.as_deref().unwrap_or(url);
        let is_same = |(index, name): (usize, &&str)| {
            let value = values.iter().find(|(given, _)| given == name);
            let captured = captures.get(index).and_then(|range| text.get(range));
            value.map(|(_, value)| value.as_str()) == captured
        };
        self.spec.captures.iter().enumerate().all(is_same).then_some(path)
    }

    fn error(&self, reason: fmt::Arguments<'_>) -> UrlError {
        url_error(self.spec, reason)
    }
}

fn url_error(spec: &Spec, reason: fmt::Arguments<'_>) -> UrlError {
    let Spec { name, file, line, .. } = spec;
    UrlError(format!(
        "cannot build the URL of `{name}` ({file}:{line}): {reason}"
    ))
}

/// Fills the template of a route with values.
fn fill(spec: &Spec, values: &[(&str, String)], push: fn(&mut String, &str)) -> String {
    let mut url = String::new();
    push_segments(&mut url, spec.mount);
    let template = url_template(spec);
    if template == "/" && !url.is_empty() {
        return url;
    }
    let mut text = String::new();
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match (c, after.chars().next()) {
            ('{', Some('{')) | ('}', Some('}')) => {
                text.push(c);
                rest = after.get(1..).unwrap_or_default();
            }
            ('{', _) => {
                push_segments(&mut url, &std::mem::take(&mut text));
                let (name, after) = after.split_once('}').unwrap_or((after, ""));
                let name = name.trim_start_matches('*');
                if let Some((_, value)) = values.iter().find(|(given, _)| *given == name) {
                    push(&mut url, value);
                }
                rest = after;
            }
            _ => {
                text.push(c);
                rest = after;
            }
        }
    }
    push_segments(&mut url, &text);
    url
}

/// Returns the path below the prefix of its table, as a template. Empty if no URL can be built from it.
const fn url_template(spec: &Spec) -> &'static str {
    if !matches!(spec.pattern.as_bytes(), [b'/', ..]) {
        return spec.url;
    }
    match spec.pattern.split_at_checked(spec.mount.len()) {
        Some((_, template)) if !template.is_empty() => template,
        _ => "/",
    }
}

/// Returns the name of a capture for an identifier, which may be raw.
const fn plain_name(name: &str) -> &str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// Returns the spec of a handler for a URL without a table.
///
/// # Panics
///
/// Panics, which is a compile error, if the names are not those of the captures.
#[track_caller]
pub const fn own_url_spec(handler: &'static Spec, names: &[&str]) -> &'static Spec {
    check_names(handler, names, "");
    handler
}

/// Returns the spec of a handler for a URL in a template. `place` is the line of the template.
///
/// # Panics
///
/// Panics, which is a compile error, if the names are not those of the captures.
#[track_caller]
pub const fn template_url(handler: &'static Spec, names: &[&str], place: &str) -> &'static Spec {
    check_names(handler, names, place);
    handler
}

/// Returns the spec of a handler in a table.
///
/// # Panics
///
/// Panics, which is a compile error, if the table does not list the handler below exactly one prefix, or if the names are not those of
/// the captures.
#[track_caller]
pub const fn url_spec<S>(routes: Routes<S>, handler: &Spec, names: &[&str]) -> &'static Spec {
    let entries = routes.entries();
    let mut found: Option<&'static Spec> = None;
    let mut i = 0;
    while i < entries.len() {
        let spec = entries[i].route.spec;
        if spec.same_handler(handler) {
            match found {
                Some(other) if !is_same(other.mount, spec.mount) => {
                    let text = refuse(handler)
                        .push("the table lists it twice\n  at ")
                        .push(other.pattern)
                        .push("\n  at ");
                    let text = text
                        .push(spec.pattern)
                        .push("\nhelp: name the table below one of the prefixes");
                    panic!("{}", text.as_str())
                }
                _ => found = Some(spec),
            }
        }
        i += 1;
    }
    let Some(spec) = found else {
        let text = refuse(handler)
            .push("the table does not list it\nhelp: add it to the table, or name another table");
        panic!("{}", text.as_str())
    };
    check_names(spec, names, "");
    spec
}

#[track_caller]
const fn check_names(spec: &Spec, names: &[&str], place: &str) {
    if let Some(text) = name_mistake(spec, names, place) {
        panic!("{}", text.as_str())
    }
}

/// Returns the reason why no URL of a route can be built with values of these names.
const fn name_mistake(spec: &Spec, names: &[&str], place: &str) -> Option<ConstString> {
    if spec.is_broken() {
        return None;
    }
    if !matches!(spec.kind, Kind::Web) {
        let text = refuse(spec).push("only web handlers have one");
        return Some(with_place(text, place).push("\nhelp: call it through a client"));
    }
    if url_template(spec).is_empty() {
        let text = refuse(spec)
            .push("its path is more than text and captures\n  ")
            .push(spec.pattern);
        let help = "\nhelp: write the path as a template, such as `/user/{id}`, or build the URL by hand";
        return Some(with_place(text, place).push(help));
    }
    let mut i = 0;
    while i < spec.captures.len() {
        if count(names, spec.captures[i]) == 0 {
            let text = refuse(spec)
                .push("the capture `")
                .push(spec.captures[i])
                .push("` has no value");
            let text = with_place(text, place).push("\nhelp: add `");
            return Some(text.push(spec.captures[i]).push(" = ..`"));
        }
        i += 1;
    }
    i = 0;
    while i < names.len() {
        let name = plain_name(names[i]);
        if count(spec.captures, name) == 0 {
            let text = refuse(spec)
                .push("its path has no capture `")
                .push(name)
                .push("`\n  ")
                .push(spec.pattern);
            return Some(with_place(text, place).push("\nhelp: remove the value, or rename it"));
        }
        if count(names, name) > 1 {
            let text = refuse(spec)
                .push("the capture `")
                .push(name)
                .push("` has two values");
            return Some(with_place(text, place).push("\nhelp: remove one of them"));
        }
        i += 1;
    }
    None
}

/// Appends the line of a template. It is empty for a URL in Rust.
const fn with_place(text: ConstString, place: &str) -> ConstString {
    if place.is_empty() {
        text
    } else {
        text.push("\n  ").push(place)
    }
}

const fn refuse(spec: &Spec) -> ConstString {
    ConstString::new()
        .push("no URL of `")
        .push(spec.name)
        .push("` can be built: ")
}

const fn count(names: &[&str], name: &str) -> usize {
    let (mut count, mut i) = (0, 0);
    while i < names.len() {
        count += is_same(plain_name(names[i]), name) as usize;
        i += 1;
    }
    count
}

/// The source location of a handler.
type Location = (&'static str, u32, &'static str);

/// The prefix below which an application of this process lists a handler; empty if one lists it without a prefix.
static MOUNTS: Mutex<Option<HashMap<Location, &'static str>>> = Mutex::new(None);

/// Records where an application lists its handlers.
pub(crate) fn record_mounts(routes: &[&'static ListedRoute]) {
    let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mounts = mounts.get_or_insert_default();
    for ListedRoute { spec, .. } in routes {
        let mount = mounts
            .entry((spec.file, spec.line, spec.name))
            .or_insert(spec.mount);
        if spec.mount.is_empty() {
            *mount = "";
        }
    }
}

/// Returns the prefix of a handler that no application of this process lists without one.
fn only_mount(spec: &Spec) -> Option<&'static str> {
    let mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mount = mounts.as_ref()?.get(&(spec.file, spec.line, spec.name))?;
    (!mount.is_empty()).then_some(mount)
}

/// The routes of an application, of which its templates build URLs.
#[cfg(feature = "templates")]
pub(crate) struct UrlTable(Vec<UrlRoute>);

#[cfg(feature = "templates")]
impl UrlTable {
    pub(crate) fn new(routes: &[&'static ListedRoute]) -> UrlTable {
        UrlTable(routes.iter().map(|route| UrlRoute::new(route.spec)).collect())
    }

    /// Builds the URL of a handler that is known.
    ///
    /// # Errors
    ///
    /// Returns an error if the application does not list the handler, or below several prefixes only; and the errors of
    /// [`url!`](crate::url!).
    pub(crate) fn url(&self, handler: &Spec, values: &[(&str, &dyn Display)]) -> Result<String, UrlError> {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        if let Some(text) = name_mistake(handler, &names, "") {
            let lines: Vec<&str> = text.as_str().lines().map(str::trim).collect();
            return Err(UrlError(lines.join("; ")));
        }
        let mut found: Option<&UrlRoute> = None;
        let listed = self.0.iter().filter(|route| route.spec.same_handler(handler));
        for route in listed {
            match found {
                Some(other) if other.spec.mount.is_empty() => {}
                Some(other) if !route.spec.mount.is_empty() && other.spec.mount != route.spec.mount => {
                    let (a, b) = (other.spec.mount, route.spec.mount);
                    return Err(route.error(format_args!(
                        "the application lists it below `{a}` and below `{b}`; build the URL in the handler: `url!(ROUTES, {}, ..)`",
                        handler.name
                    )));
                }
                _ => found = Some(route),
            }
        }
        let Some(route) = found else {
            let reason = format_args!("the application does not list it; add it to its routes");
            return Err(url_error(handler, reason));
        };
        route.url_among(self.0.iter().map(|route| route.spec), values)
    }

    /// Builds the URL of a handler by its name. Modules before the name, as in `admin::user`, are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if the application lists no handler of this name, or several; and the errors of [`url`](Self::url).
    pub(crate) fn url_by_name(
        &self,
        name: &str,
        values: &[(&str, &dyn Display)],
    ) -> Result<String, UrlError> {
        let last = plain_name(name.rsplit("::").next().unwrap_or(name));
        let is_named = |spec: &Spec| {
            matches!(spec.kind, Kind::Web) && !spec.is_broken() && plain_name(spec.name) == last
        };
        let mut named = self.0.iter().filter(|route| is_named(route.spec));
        let Some(first) = named.next() else {
            return Err(UrlError(format!(
                "cannot build the URL of `{name}`: the application lists no web handler of this name"
            )));
        };
        if let Some(other) = named.find(|route| !route.spec.same_handler(first.spec)) {
            let (a, b) = (first.spec, other.spec);
            return Err(UrlError(format!(
                "cannot build the URL of `{name}`: the application lists two handlers of this name, at {}:{} and at {}:{}; \
                 rename one of them",
                a.file, a.line, b.file, b.line
            )));
        }
        self.url(first.spec, values)
    }
}

//! Attribute and signature -> route. Everything a user can get wrong is found here.

use super::Marker;
use crate::attribute::Attribute;
use crate::error::{Errors, suggest};
use crate::item::ItemFn;
use crate::method::{Kind, check_method};
use crate::pattern::{Capture, Pattern};
use crate::types;
use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{FnArg, GenericParam, LitInt, Pat, PatType, Path, Safety, Type};

pub(crate) struct Route {
    pub(crate) target: Target,
    pub(crate) kind: Kind,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) blocking: bool,
    pub(crate) concurrency: Option<LitInt>,
}

pub(crate) enum Target {
    Pattern { pattern: Pattern, method: String },
    Operation(Path),
}

pub(crate) struct Argument {
    /// The one name the argument binds, by which `Arg<T>` finds its value.
    pub(crate) name: Option<String>,
    pub(crate) ty: Type,
    pub(crate) source: Source,
}

pub(crate) enum Source {
    /// The capture of that index; an optional one has peeled `Option<T>` to `T`.
    Capture {
        index: usize,
    },
    OptionalCapture {
        index: usize,
        inner: Box<Type>,
    },
    Message,
}

pub(super) fn lower(
    marker: Marker,
    attribute: &Attribute,
    function: &ItemFn,
    errors: &Errors,
) -> Option<Route> {
    check_signature(marker, attribute, function, errors);
    if let Some(operation) = &attribute.operation {
        let target = operation_target(marker, attribute, operation, errors);
        let arguments = arguments(function, None, errors);
        if let Some(ty) = function.returned().filter(|ty| types::mentions_impl(ty)) {
            errors.on(
                ty,
                "what a handler of a contract returns has a name: callers know its type",
            );
        }
        return Some(Route {
            target: target?,
            kind: marker.kind,
            arguments,
            blocking: attribute.blocking,
            concurrency: attribute.concurrency.clone(),
        });
    }
    let method = method(marker, attribute, errors);
    let pattern = pattern(marker, attribute, errors);
    let arguments = arguments(function, pattern.as_ref(), errors);
    let (pattern, method) = (pattern?, method?);
    let kind = if method == "response" {
        Kind::Response
    } else {
        marker.kind
    };
    Some(Route {
        target: Target::Pattern { pattern, method },
        kind,
        arguments,
        blocking: attribute.blocking,
        concurrency: attribute.concurrency.clone(),
    })
}

fn check_signature(marker: Marker, attribute: &Attribute, function: &ItemFn, errors: &Errors) {
    let sig = &function.sig;
    let name = &sig.ident;
    match &sig.asyncness {
        Some(token) if attribute.blocking => errors.on(
            token,
            format!("a handler that blocks a thread is a plain `fn`\nhelp: write `fn {name}`, or leave `blocking` out"),
        ),
        None if !attribute.blocking => {
            let blocks = if marker.kind == Kind::Service {
                ", or say that it blocks: `#[service_handler(.., blocking)]`"
            } else {
                ""
            };
            errors.on(
                sig.fn_token,
                format!("a handler is an `async fn`\nhelp: write `async fn {name}`{blocks}"),
            );
        }
        _ => {}
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.on(token, "a handler is a safe function: messages call it");
    }
    let mut params = sig.generics.params.iter();
    match params
        .clone()
        .find(|param| !matches!(param, GenericParam::Lifetime(_)))
    {
        Some(_) => errors.on(
            &sig.generics,
            "a handler cannot be generic: its argument types are known to the route table",
        ),
        None if params.next().is_some() => errors.on(
            &sig.generics,
            "a handler has no lifetimes: its arguments own their values\nhelp: take `String` for `&str`",
        ),
        None => {}
    }
}

fn pattern(marker: Marker, attribute: &Attribute, errors: &Errors) -> Option<Pattern> {
    if let Some(lit) = &attribute.path {
        return errors.keep(Pattern::parse(lit.clone()));
    }
    if !attribute.path_is_broken {
        let name = marker.name;
        let key = if marker.method.is_some() && marker.kind == Kind::Web {
            ""
        } else {
            "path = "
        };
        let help = format!("help: `#[{name}({key}\"^/...\")]`");
        errors.at(Span::call_site(), format!("`#[{name}]` needs a path\n{help}"));
    }
    None
}

fn operation_target(
    marker: Marker,
    attribute: &Attribute,
    operation: &Path,
    errors: &Errors,
) -> Option<Target> {
    if let Some(lit) = attribute.path.iter().chain(&attribute.method).next() {
        errors.on(
            lit,
            "the contract already says the path and the method of its operation",
        );
    }
    if marker.kind == Kind::Web {
        errors.on(
            operation,
            "browsers do not call contracts\nhelp: an operation is served by `#[service_handler(..)]`, and its \
             replies are handled by `#[response_handler(..)]`",
        );
        return None;
    }
    Some(Target::Operation(operation.clone()))
}

fn method(marker: Marker, attribute: &Attribute, errors: &Errors) -> Option<String> {
    let default = if marker.kind == Kind::Web {
        "get"
    } else {
        "request"
    };
    match (&attribute.method, marker.method) {
        (Some(lit), Some(fixed)) => {
            errors.on(
                lit,
                format!("`#[{}]` already says the method is \"{fixed}\"", marker.name),
            );
            None
        }
        (Some(lit), None) => {
            let method = lit.value();
            errors
                .keep(check_method(&method, marker.kind).map_err(|text| syn::Error::new(lit.span(), text)))
                .map(|()| method)
        }
        (None, fixed) => Some(fixed.unwrap_or(default).to_owned()),
    }
}

fn arguments(function: &ItemFn, pattern: Option<&Pattern>, errors: &Errors) -> Vec<Argument> {
    let captures = pattern.map_or(&[][..], |pattern| &pattern.captures);
    let mut bound = vec![false; captures.len()];
    let mut arguments = Vec::new();
    for input in &function.sig.inputs {
        match input {
            FnArg::Receiver(receiver) => errors.on(
                receiver,
                "a handler is a free function: state comes in as `State<T>`, not as `self`",
            ),
            FnArg::Typed(typed) => {
                check_argument(function, typed, errors);
                let capture = plain_name(&typed.pat)
                    .and_then(|name| captures.iter().position(|capture| capture.name == name));
                let source = match capture {
                    Some(index) => {
                        bound[index] = true;
                        capture_source(index, &captures[index], &typed.ty, errors)
                    }
                    None => Source::Message,
                };
                arguments.push(Argument {
                    name: bound_name(&typed.pat),
                    ty: (*typed.ty).clone(),
                    source,
                });
            }
        }
    }
    if let Some(pattern) = pattern {
        let unbound = captures.iter().zip(&bound).filter(|(_, bound)| !**bound);
        for (capture, _) in unbound {
            errors.at(
                pattern.span(),
                unbound_capture(capture, captures, &arguments, function),
            );
        }
    }
    arguments
}

fn check_argument(function: &ItemFn, argument: &PatType, errors: &Errors) {
    if let Some(attr) = argument.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
        errors.on(
            attr,
            "an argument cannot come and go: its route is the same in every build\nhelp: write two \
             handlers, each with its `#[cfg(..)]`",
        );
    }
    let ty = &*argument.ty;
    if types::mentions_impl(ty) {
        errors.on(
            ty,
            "a handler cannot be generic: its argument types are known to the route table",
        );
    } else if let Some(owned) = types::borrowed(ty).filter(|_| function.sig.generics.params.is_empty()) {
        // That a handler has no lifetimes is said where it names them.
        errors.on(
            ty,
            format!(
                "a handler argument owns its value, and `{}` borrows it\nhelp: {owned}",
                types::text(ty)
            ),
        );
    }
}

fn capture_source(index: usize, capture: &Capture, ty: &Type, errors: &Errors) -> Source {
    let name = &capture.name;
    match (capture.optional, types::option(ty)) {
        (true, Some(inner)) => Source::OptionalCapture {
            index,
            inner: Box::new(inner.clone()),
        },
        (false, None) => Source::Capture { index },
        (true, None) => {
            let text = types::text(ty);
            errors.on(
                ty,
                format!(
                    "capture `{name}` may be absent from a matching path, so this is an `Option<{text}>`"
                ),
            );
            Source::Message
        }
        (false, Some(inner)) => {
            let text = types::text(inner);
            errors.on(
                ty,
                format!(
                    "capture `{name}` is in every matching path, so this is a `{text}`\n\
                     help: or make the group optional, `(?:(?<{name}>...))?`"
                ),
            );
            Source::Message
        }
    }
}

fn unbound_capture(
    capture: &Capture,
    captures: &[Capture],
    arguments: &[Argument],
    function: &ItemFn,
) -> String {
    let name = &capture.name;
    let free = arguments
        .iter()
        .filter_map(|argument| argument.name.as_deref())
        .filter(|argument| !captures.iter().any(|capture| capture.name == *argument));
    let help = match suggest(name, free) {
        Some(close) => format!("the argument `{close}` is close; use one name for both"),
        None => format!("add `{name}: <type>`, or do not capture: `(?:...)`"),
    };
    format!(
        "capture `{name}` is no argument of `{}`\nhelp: {help}",
        function.name()
    )
}

/// The name of an argument that is a plain variable.
fn plain_name(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(pattern) if pattern.subpat.is_none() => Some(pattern.ident.unraw().to_string()),
        _ => None,
    }
}

/// The name of an argument, through destructuring: `text` in `Arg(text): Arg<String>`.
fn bound_name(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::TupleStruct(pattern) if pattern.elems.len() == 1 => pattern.elems.first().and_then(bound_name),
        Pat::Paren(pattern) => bound_name(&pattern.pat),
        _ => plain_name(pattern),
    }
}

impl Argument {
    /// The last name of the type alone, where a trait bound is to be underlined.
    pub(super) fn span(&self) -> Span {
        types::span(&self.ty)
    }
}

impl Target {
    /// `request ^/service/slow`, for hovering.
    pub(super) fn summary(&self) -> String {
        match self {
            Target::Pattern { pattern, method } => format!("`{method} {}`", pattern.text()),
            Target::Operation(path) => {
                format!("serves `{}`", path.to_token_stream().to_string().replace(' ', ""))
            }
        }
    }
}

//! Builds the route from an attribute and a signature, and reports every mistake in the signature. Code generation, which follows, does
//! not fail.

use super::HandlerAttribute;
use super::shadowing::Hidden;
use crate::attribute::HandlerArgs;
use crate::error::{Errors, suggest};
use crate::item::{ItemFn, argument_types};
use crate::method::{Kind, check_method};
use crate::pattern::{Capture, Pattern};
use crate::types;
use proc_macro2::Span;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, FnArg, GenericParam, LitInt, Pat, PatType, Path, Safety, Type};

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
    /// The name that the argument binds, by which `Arg<T>` finds its value.
    pub(crate) name: Option<String>,
    pub(crate) ty: Type,
    pub(crate) source: Source,
}

pub(crate) enum Source {
    Capture {
        index: usize,
    },
    /// `inner` is the `T` of the argument's `Option<T>`.
    OptionalCapture {
        index: usize,
        inner: Box<Type>,
    },
    /// An extractor.
    Message,
    /// The result of the call that a response handler handles: `CallResult<T, E>`, or `Result<ServiceResponse<T>, CallError<E>>`.
    CallResult,
}

pub(super) fn lower(
    attribute: HandlerAttribute,
    args: &HandlerArgs,
    function: &ItemFn,
    errors: &Errors,
) -> Option<Route> {
    check_signature(attribute, args, function, errors);
    if let Some(operation) = &args.operation {
        let target = operation_target(attribute, args, operation, errors);
        let arguments = arguments(function, None, errors);
        if let Some(ty) = function.returned().filter(|ty| types::mentions_impl(ty)) {
            errors.on(
                ty,
                "the handler of an operation cannot return `impl Trait`, because callers need its type\n\
                 help: write the `Result` of the operation",
            );
        }
        return Some(Route {
            target: target?,
            kind: attribute.kind,
            arguments: with_call_results(arguments, attribute.kind),
            blocking: args.blocking,
            concurrency: args.concurrency.clone(),
        });
    }
    let method = method(attribute, args, errors);
    let pattern = pattern(attribute, args, errors);
    let arguments = arguments(function, pattern.as_ref(), errors);
    let (pattern, method) = (pattern?, method?);
    let kind = if method == "response" {
        Kind::Response
    } else {
        attribute.kind
    };
    Some(Route {
        target: Target::Pattern { pattern, method },
        kind,
        arguments: with_call_results(arguments, kind),
        blocking: args.blocking,
        concurrency: args.concurrency.clone(),
    })
}

fn check_signature(attribute: HandlerAttribute, args: &HandlerArgs, function: &ItemFn, errors: &Errors) {
    let sig = &function.sig;
    let name = &sig.ident;
    match &sig.asyncness {
        Some(token) if args.blocking => errors.on(
            token,
            format!("a `blocking` handler must be a plain `fn`: it runs on a thread where it may block\nhelp: write `fn {name}`, or remove `blocking`"),
        ),
        None if !args.blocking && !args.blocking_is_broken => {
            let blocks = if attribute.kind == Kind::Service {
                ", or mark it as blocking: `#[service_handler(.., blocking)]`"
            } else {
                ""
            };
            errors.on(
                sig.fn_token,
                format!("a handler must be an `async fn`\nhelp: write `async fn {name}`{blocks}"),
            );
        }
        _ => {}
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.on(
            token,
            "a handler must be a safe function, because requests call it\nhelp: remove `unsafe`",
        );
    }
    if let Some(hidden) = Hidden::by(function, args.operation.as_ref()) {
        errors.on(name, hidden.message(function));
    }
    if let Some(second) = function.attrs.iter().find(|attr| is_second_attribute(attr)) {
        errors.on(
            second,
            format!(
                "a function has one handler attribute, and `#[{}]` is already there\n\
                 help: write a second function, which calls this one",
                attribute.name
            ),
        );
    }
    let mut params = sig.generics.params.iter();
    match params
        .clone()
        .find(|param| !matches!(param, GenericParam::Lifetime(_)))
    {
        Some(_) => errors.on(
            &sig.generics,
            "a handler cannot be generic, because the route table needs its types\nhelp: use concrete types",
        ),
        None if params.next().is_some() => errors.on(
            &sig.generics,
            "a handler cannot have lifetime parameters, because its arguments own their values\nhelp: take `String` instead of `&str`",
        ),
        None => {}
    }
}

/// Returns `true` for a handler attribute below another one. `#[trace]`, `#[connect]` and the like may be attributes of other crates.
pub(super) fn is_second_attribute(attribute: &Attribute) -> bool {
    const CERTAIN: [&str; 10] = [
        "web_handler",
        "service_handler",
        "response_handler",
        "websocket",
        "json_socket",
        "get",
        "post",
        "put",
        "patch",
        "delete",
    ];
    CERTAIN.iter().any(|name| attribute.path().is_ident(name))
}

/// Returns `true` if rustc rejects a type of the signature: `_`, or a reference in the return type, although no argument borrows. It reports
/// that once if there is no twin.
pub(super) fn is_rejected_by_rustc(function: &ItemFn) -> bool {
    let infers = argument_types(&function.sig).any(|ty| types::mentions(ty, "_"));
    let returns = |ty: &Type| types::mentions(ty, "_") || types::borrowed(ty).is_some();
    infers || function.returned().is_some_and(returns)
}

fn pattern(attribute: HandlerAttribute, args: &HandlerArgs, errors: &Errors) -> Option<Pattern> {
    if let Some(lit) = &args.path {
        return errors.keep(Pattern::parse(lit.clone()));
    }
    if !args.path_is_broken {
        let name = attribute.name;
        let key = if attribute.method.is_some() && attribute.kind == Kind::Web {
            ""
        } else {
            "path = "
        };
        let help = format!("help: write `#[{name}({key}\"^/...\")]`");
        errors.at(Span::call_site(), format!("`#[{name}]` needs a path\n{help}"));
    }
    None
}

fn operation_target(
    attribute: HandlerAttribute,
    args: &HandlerArgs,
    operation: &Path,
    errors: &Errors,
) -> Option<Target> {
    if let Some(lit) = args.path.iter().chain(&args.method).next() {
        errors.on(
            lit,
            "the contract already defines the path and the method of its operation\nhelp: remove this",
        );
    }
    if attribute.kind == Kind::Web {
        errors.on(
            operation,
            "a web handler cannot serve an operation\nhelp: serve it with `#[service_handler(..)]`, or handle its \
             responses with `#[response_handler(..)]`",
        );
        return None;
    }
    Some(Target::Operation(operation.clone()))
}

fn method(attribute: HandlerAttribute, args: &HandlerArgs, errors: &Errors) -> Option<String> {
    let default = if attribute.kind == Kind::Web {
        "get"
    } else {
        "request"
    };
    let Some(lit) = &args.method else {
        return Some(attribute.method.unwrap_or(default).to_owned());
    };
    let method = lit.value();
    let checked = check_method(&method, attribute.kind).map_err(|text| syn::Error::new(lit.span(), text));
    errors.keep(checked).map(|()| method)
}

fn arguments(function: &ItemFn, pattern: Option<&Pattern>, errors: &Errors) -> Vec<Argument> {
    let captures = pattern.map_or(&[][..], |pattern| &pattern.captures);
    let mut bound = vec![false; captures.len()];
    let mut arguments = Vec::new();
    for input in &function.sig.inputs {
        match input {
            FnArg::Receiver(receiver) => errors.on(
                receiver,
                "a handler must be a free function, not a method\nhelp: remove `self`, and take state as an argument: `State<T>`",
            ),
            FnArg::Typed(typed) => {
                check_argument(function, typed, errors);
                // Only a plain variable binds to a capture; `Arg(id)` reads the argument `id` of the request.
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
                unbound_capture(capture, pattern, &arguments, function),
            );
        }
    }
    arguments
}

/// Finds the arguments of a response handler that take the result of the call. The other arguments of the type `Result` take the rejection of
/// an extractor.
fn with_call_results(mut arguments: Vec<Argument>, kind: Kind) -> Vec<Argument> {
    for argument in &mut arguments {
        let error = types::arguments(&argument.ty, "Result").and_then(|types| types.get(1).copied());
        let is_result = types::is_named(&argument.ty, "CallResult")
            || error.is_some_and(|error| types::is_named(error, "CallError"));
        if kind == Kind::Response && matches!(argument.source, Source::Message) && is_result {
            argument.source = Source::CallResult;
        }
    }
    arguments
}

fn check_argument(function: &ItemFn, argument: &PatType, errors: &Errors) {
    if let Some(attr) = argument.attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
        errors.on(
            attr,
            "`#[cfg]` is not supported on an argument of a handler\nhelp: write two handlers, each with its own \
             `#[cfg(..)]`",
        );
    }
    let ty = &*argument.ty;
    if types::mentions_impl(ty) {
        errors.on(
            ty,
            "a handler cannot be generic, because the route table needs its types\nhelp: use concrete types",
        );
    } else if let Some(owned) = types::borrowed(ty).filter(|_| function.sig.generics.params.is_empty()) {
        // If the handler has lifetime parameters, the error is at those.
        errors.on(
            ty,
            format!(
                "an argument of a handler must own its value; `{}` borrows\nhelp: take {owned}",
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
                    "capture `{name}` is absent from some matching paths, so its argument must be an `Option`\n\
                     help: write `Option<{text}>`"
                ),
            );
            Source::Message
        }
        (false, Some(inner)) => {
            let text = types::text(inner);
            errors.on(
                ty,
                format!(
                    "capture `{name}` is in every matching path, so its argument cannot be an `Option`\n\
                     help: write `{text}`, or make the group optional: `(?:(?<{name}>...))?`"
                ),
            );
            Source::Message
        }
    }
}

fn unbound_capture(
    capture: &Capture,
    pattern: &Pattern,
    arguments: &[Argument],
    function: &ItemFn,
) -> String {
    let name = &capture.name;
    let free = arguments
        .iter()
        .filter_map(|argument| argument.name.as_deref())
        .filter(|argument| !pattern.captures.iter().any(|capture| capture.name == *argument));
    let help = match suggest(name, free) {
        Some(close) => {
            format!("a capture and its argument have the same name: rename `{close}` or the capture")
        }
        None if pattern.is_template() => format!("add an argument `{name}: <type>`"),
        None => format!("add an argument `{name}: <type>`, or do not capture: `(?:...)`"),
    };
    format!(
        "capture `{name}` is not an argument of `{}`\nhelp: {help}",
        function.name()
    )
}

/// Returns the name of an argument that is a plain variable.
fn plain_name(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Ident(pattern) if pattern.subpat.is_none() => Some(pattern.ident.unraw().to_string()),
        _ => None,
    }
}

/// Returns the name of an argument that may be destructured: `text` in `Arg(text): Arg<String>`.
fn bound_name(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::TupleStruct(pattern) if pattern.elems.len() == 1 => pattern.elems.first().and_then(bound_name),
        Pat::Paren(pattern) => bound_name(&pattern.pat),
        _ => plain_name(pattern),
    }
}

impl Route {
    /// Returns the arguments that are extractors.
    pub(super) fn extractors(&self) -> impl Iterator<Item = &Argument> {
        self.arguments
            .iter()
            .filter(|argument| matches!(argument.source, Source::Message))
    }
}

impl Argument {
    /// Returns the span at which an unmet trait bound is reported: the last segment of the type.
    pub(super) fn span(&self) -> Span {
        types::span(&self.ty)
    }
}

impl Target {
    /// Returns a summary such as `request ^/service/slow`, which an editor shows on hover.
    pub(super) fn summary(&self, kind: Kind) -> String {
        match self {
            Target::Pattern { pattern, method } => format!("`{method} {}`", pattern.text()),
            Target::Operation(path) => {
                let operation = path.to_token_stream().to_string().replace(' ', "");
                match kind {
                    Kind::Response => format!("handles the responses of `{operation}`"),
                    _ => format!("serves `{operation}`"),
                }
            }
        }
    }
}

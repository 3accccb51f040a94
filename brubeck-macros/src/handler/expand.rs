//! Generates the code of a route. Nothing can fail here.
//!
//! Locals have the span of the macro call; only paths and types have the spans of the user's code, where rustc reports errors. In
//! the expansion of a `macro_rules` macro, two uses of a local with different spans would not refer to the same variable.

use super::builder::builder;
use super::lower::{Argument, Route, Source, Target};
use super::nowait::NowaitCallScan;
use super::socket::SocketOptions;
use crate::attribute::HandlerArgs;
use crate::item::{ItemFn, docs};
use crate::method::{Kind, variant};
use crate::pattern::Pattern;
use crate::schema::schema;
use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Ident;
use syn::ext::IdentExt;

pub(super) fn expand(route: &Route, function: &ItemFn, socket: Option<&SocketOptions>) -> TokenStream {
    let conditions = function.conditions();
    let route_type = route_type(route, function);
    let spec = spec(route, function);
    let checks = checks(route, function);
    let handle = handle(route, function, socket);
    let handles = handles(route, function);
    let builder = builder(route, function);
    let name = function.name();
    // `#[cfg]` without an item after it is a syntax error.
    let handles = if handles.is_empty() {
        quote!()
    } else {
        quote!(#(#conditions)* #handles)
    };
    let builder = if builder.is_empty() {
        quote!()
    } else {
        quote!(#(#conditions)* #builder)
    };
    quote! {
        #(#conditions)*
        #route_type
        #(#conditions)*
        impl priv::Routed for #name {
            const SPEC: priv::Spec = #spec;
            #checks
        }
        #(#conditions)*
        #handle
        #handles
        #builder
    }
}

/// Returns the type with the name of the handler, which carries the route. Its span has the location of the function's name but not its
/// hygiene, so that rustc reports a handler that is in no list once, and not twice.
fn route_type(route: &Route, function: &ItemFn) -> TokenStream {
    let vis = &function.vis;
    let mut name = function.name().clone();
    name.set_span(Span::mixed_site().located_at(name.span()));
    let docs = docs(&function.attrs);
    let summary = route.target.summary(route.kind);
    quote! {
        #(#docs)*
        #[doc = ""]
        #[doc = #summary]
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis enum #name {}
    }
}

fn spec(route: &Route, function: &ItemFn) -> TokenStream {
    let name = function.name().unraw().to_string();
    let kind = kind(route.kind);
    let blocking = route.blocking.then(|| quote!(.blocking()));
    let concurrency = route
        .concurrency
        .as_ref()
        .map(|concurrency| quote!(.concurrency(#concurrency)));
    match &route.target {
        Target::Pattern { pattern, method } => {
            let spec = pattern_spec(&name, pattern, method, route.kind);
            let schema = (route.kind == Kind::Service).then(|| signature(route, function));
            quote!(#spec #blocking #concurrency #schema.at(::core::file!(), ::core::line!()))
        }
        Target::Operation(operation) => {
            let method = match route.kind {
                Kind::Response => quote!(priv::Method::Response),
                _ => quote!(<#operation as priv::Operation>::SPEC.method),
            };
            quote! {
                <#operation as priv::Operation>::SPEC
                    .handled_by(#name, #method, #kind)
                    #blocking
                    #concurrency
                    .at(::core::file!(), ::core::line!())
            }
        }
    }
}

/// Returns the signature of the handler, for schemas.
fn signature(route: &Route, function: &ItemFn) -> TokenStream {
    let arguments = route.arguments.iter().map(|Argument { name, ty, source }| {
        let ty = match source {
            Source::Capture { .. } => quote!(priv::InPath<#ty>),
            Source::OptionalCapture { inner, .. } => {
                quote!(::core::option::Option<priv::InPath<#inner>>)
            }
            Source::Message | Source::CallResult => quote!(#ty),
        };
        (name.clone().unwrap_or_default(), ty)
    });
    let reply = match function.returned().filter(|ty| !types::mentions_impl(ty)) {
        Some(ty) => quote!(#ty),
        None => quote!(()),
    };
    schema(arguments, &reply)
}

/// Returns the route of a pattern, without its file and line.
pub(crate) fn pattern_spec(name: &str, pattern: &Pattern, method: &str, of: Kind) -> TokenStream {
    let kind = kind(of);
    let method = format_ident!("{}", variant(method));
    let captures = pattern.captures.iter().map(|capture| &capture.name);
    let capturing = if pattern.captures.is_empty() {
        TokenStream::new()
    } else {
        quote!(.with_captures(&[#(#captures),*]))
    };
    let (automaton, example) = (pattern.automaton(), pattern.example());
    let url = pattern
        .url()
        .filter(|_| of == Kind::Web)
        .map(|url| quote!(.with_url(#url)));
    let regex = pattern.regex().map(|regex| quote!(.with_regex(#regex)));
    let lit = &pattern.lit;
    quote! {
        priv::Spec::new(#name, #lit, priv::Method::#method, #kind)
            #capturing
            #regex
            #url
            .with_automaton(#automaton, #example)
    }
}

fn kind(kind: Kind) -> TokenStream {
    let variant = match kind {
        Kind::Web => quote!(Web),
        Kind::Service => quote!(Service),
        Kind::Response => quote!(Response),
    };
    quote!(priv::Kind::#variant)
}

/// Checks each extractor against a state that provides everything. An invalid argument is then an error even if the handler is in no
/// list, and it is reported only here, because `routes!` evaluates this constant first. The checks are hidden from rust-analyzer, which
/// would otherwise offer them as definitions.
fn checks(route: &Route, function: &ItemFn) -> TokenStream {
    let is_checked = |argument: &&Argument| matches!(argument.source, Source::Message | Source::CallResult);
    let arguments = route.arguments.iter().filter(is_checked);
    let checks = arguments.map(|argument| check(route, argument));
    let checks: Vec<TokenStream> = checks.chain(check_sendable(route, function)).collect();
    if checks.is_empty() {
        return TokenStream::new();
    }
    let bodies = check_bodies(route);
    quote! {
        #[allow(unexpected_cfgs)]
        const CHECKED: ::core::primitive::bool = {
            #[cfg(not(rust_analyzer))]
            {
                #[allow(unused_imports)]
                use priv::{ResponseOf, AnyApp, ArgsOf, FromMessage};
                use ::core::marker::PhantomData;
                #(#checks)*
                #bodies
            }
            true
        };
    }
}

/// Checks that a service can send what the handler returns. A message socket answers in messages of its own.
fn check_sendable(route: &Route, function: &ItemFn) -> Option<TokenStream> {
    let Target::Pattern { pattern, .. } = &route.target else {
        return None;
    };
    let is_message = pattern.text().starts_with("^/@") || pattern.text().starts_with("^/<");
    let ty = function.returned().filter(|ty| !types::mentions_impl(ty))?;
    (route.kind == Kind::Service && !is_message).then(
        || quote_spanned!(types::span(ty)=> priv::check_sendable(<#ty as priv::IntoReply>::UNSENDABLE);),
    )
}

/// Checks that the arguments can read the same body. The error is at the second of two arguments that cannot.
fn check_bodies(route: &Route) -> TokenStream {
    let arguments: Vec<&Argument> = route.extractors().collect();
    if arguments.len() < 2 {
        return TokenStream::new();
    }
    let uses = arguments.iter().map(|Argument { name, ty, .. }| {
        let text = match name {
            Some(name) => format!("{name}: {}", types::text(ty)),
            None => types::text(ty),
        };
        quote!((#text, <#ty as FromMessage<AnyApp>>::BODY))
    });
    let checks = arguments.iter().enumerate().skip(1).map(|(index, argument)| {
        let check = quote_spanned!(argument.span()=> priv::check_body(__BODIES, #index));
        quote!(#check;)
    });
    quote! {
        const __BODIES: &[(&::core::primitive::str, priv::BodyUse)] = &[#(#uses),*];
        #(#checks)*
    }
}

fn check(route: &Route, argument: &Argument) -> TokenStream {
    let ty = &argument.ty;
    let span = argument.span();
    if let Target::Operation(operation) = &route.target {
        // `Args` and `ServiceResponse` exist for every operation. Here they must belong to the operation that the handler names.
        let named = |name| types::arguments(ty, name).is_some();
        if route.kind == Kind::Service && named("Args") {
            return quote_spanned!(span=> let _: PhantomData<<#ty as ArgsOf<#operation>>::Proof>;);
        }
        let is_response = named("ServiceResponse") || matches!(argument.source, Source::CallResult);
        if route.kind == Kind::Response && is_response {
            return quote_spanned!(span=> let _: PhantomData<<#ty as ResponseOf<#operation>>::Proof>;);
        }
    }
    if matches!(argument.source, Source::CallResult) {
        return quote_spanned!(span=> let _: PhantomData<<#ty as priv::ResultOfCall<AnyApp>>::Proof>;);
    }
    quote_spanned!(span=> let _: PhantomData<<#ty as FromMessage<AnyApp>>::Rejection>;)
}

/// Implements the trait that `handled_by` requires, for a response handler of an operation.
fn handles(route: &Route, function: &ItemFn) -> TokenStream {
    let (Target::Operation(operation), Kind::Response) = (&route.target, route.kind) else {
        return TokenStream::new();
    };
    let name = function.name();
    let (_, output) = function.returned_type();
    quote! {
        impl priv::Handles<#operation> for #name {
            type Output = #output;
        }
    }
}

fn handle(route: &Route, function: &ItemFn, socket: Option<&SocketOptions>) -> TokenStream {
    let name = function.name();
    let bounds = route.arguments.iter().filter_map(|Argument { ty, source, .. }| {
        let span = types::span(ty);
        match source {
            Source::Message => Some(quote_spanned!(span=> #ty: priv::FromMessage<__S>,)),
            Source::CallResult => Some(quote_spanned!(span=> #ty: priv::ResultOfCall<__S>,)),
            Source::Capture { .. } | Source::OptionalCapture { .. } => None,
        }
    });
    let locals: Vec<Ident> = (0..route.arguments.len())
        .map(|i| format_ident!("__argument{i}"))
        .collect();
    let sources: Vec<TokenStream> = route.arguments.iter().map(source).collect();
    let (sources, pattern) = (nested(&sources), nested(&locals));
    let body = match socket {
        None => {
            // If the future is not `Send`, rustc reports it at the name of the handler.
            let (call, reply) = run_arguments(route, function, &locals);
            let cx = quote!(__cx);
            quote_spanned!(name.span()=> priv::run_handler(#cx, #sources, |#pattern| #call, #reply))
        }
        Some(socket) => {
            let check = socket.check();
            let run = socket.run(function, &quote!(#name(#(#locals),*)));
            let body = quote! {
                #check
                let #pattern = match priv::read_arguments(&mut __cx, #sources).await {
                    ::core::result::Result::Ok(values) => values,
                    ::core::result::Result::Err(response) => return response,
                };
                #run
            };
            quote_spanned!(name.span()=> ::std::boxed::Box::pin(async move { #body }))
        }
    };
    let binding = socket.map(|_| quote!(mut));
    let streams = streams(route);
    let takes_call_errors = takes_call_errors(route);
    let nowait_calls = nowait_calls(route, function);
    quote! {
        impl<__S: priv::AppState> priv::RouteHandler<__S> for #name
        where
            #(#bounds)*
        {
            #streams
            #takes_call_errors
            #nowait_calls

            #[allow(deprecated)]
            fn handle(#binding __cx: priv::Context<__S>) -> priv::BoxFuture {
                #body
            }
        }
    }
}

/// The size of the largest tuple of arguments that the runtime can read.
const MAX_TUPLE: usize = 8;

/// Returns a tuple of these parts. A larger number becomes a tuple of tuples.
fn nested<T: ToTokens>(parts: &[T]) -> TokenStream {
    if parts.len() <= MAX_TUPLE {
        return quote!((#(#parts,)*));
    }
    let tuples: Vec<TokenStream> = parts.chunks(MAX_TUPLE).map(nested).collect();
    nested(&tuples)
}

/// Returns the constant that is `true` if an argument reads the body while it arrives.
fn streams(route: &Route) -> TokenStream {
    let streams = route
        .extractors()
        .filter(|_| route.kind == Kind::Web)
        .map(|Argument { ty, .. }| {
            quote_spanned!(types::span(ty)=> <#ty as priv::FromMessage<__S>>::BODY.is_stream())
        });
    let streams: Vec<TokenStream> = streams.collect();
    match streams[..] {
        [] => TokenStream::new(),
        _ => quote!(const STREAMS: ::core::primitive::bool = #(#streams)||*;),
    }
}

/// Returns the constant that is `true` if an argument takes the result of a call, which may be an error.
fn takes_call_errors(route: &Route) -> Option<TokenStream> {
    let mut arguments = route.arguments.iter();
    let takes_errors = arguments.any(|argument| matches!(argument.source, Source::CallResult));
    takes_errors.then(|| {
        quote!(
            const TAKES_CALL_ERRORS: ::core::primitive::bool = true;
        )
    })
}

/// Returns the constant with the calls that the body sends with `nowait`, and the contracts whose clients the handler takes.
fn nowait_calls(route: &Route, function: &ItemFn) -> TokenStream {
    let operations = route.extractors().map(
        |Argument { ty, .. }| quote_spanned!(types::span(ty)=> <#ty as priv::FromMessage<__S>>::OPERATIONS),
    );
    let operations: Vec<TokenStream> = operations.collect();
    NowaitCallScan::of(function.body().clone()).constant(&operations)
}

/// Returns the source of an argument, for the runtime.
fn source(argument: &Argument) -> TokenStream {
    let name = argument.name.as_deref().unwrap_or("");
    let ty = &argument.ty;
    let span = argument.span();
    match &argument.source {
        Source::Capture { index } => {
            let source = quote_spanned!(span=> priv::capture::<#ty>);
            quote!(#source(#index))
        }
        Source::OptionalCapture { index, inner } => {
            let source = quote_spanned!(span=> priv::optional_capture::<#inner>);
            quote!(#source(#index))
        }
        Source::Message => {
            let source = quote_spanned!(span=> priv::extracted::<#ty>);
            quote!(#source(#name))
        }
        Source::CallResult => {
            let source = quote_spanned!(span=> priv::call_result::<#ty>);
            quote!(#source())
        }
    }
}

/// Returns the future that runs the handler, and the function that converts its output to a response.
fn run_arguments(route: &Route, function: &ItemFn, locals: &[Ident]) -> (TokenStream, TokenStream) {
    let (name, reply) = (function.name(), reply(route, function));
    let call = quote_spanned!(name.span()=> #name(#(#locals),*));
    let acquire = route.concurrency.as_ref().map(|concurrency| {
        quote! {
            static __LIMIT: priv::ConcurrencyLimit = priv::ConcurrencyLimit::new(#concurrency);
            let __permit = __LIMIT.acquire().await;
        }
    });
    if !route.blocking {
        let call = match acquire {
            None => call,
            Some(acquire) => quote!(async move { #acquire #call.await }),
        };
        // A closure, or rustc would report a type that is no reply here and at the call of `run_handler`.
        return (call, quote!(|__output| #reply(__output)));
    }
    // The closure owns the permit, so it is released when the handler returns and not already when the caller cancels: the thread is in
    // use until then.
    let held = acquire.as_ref().map(|_| quote!(let __permit = __permit;));
    let run = quote! {
        async move {
            #acquire
            let __run = move || {
                #held
                #reply(#call)
            };
            priv::blocking(__run).await
        }
    };
    (run, quote!(::core::convert::identity))
}

/// Returns the function that converts the return value of the handler to a response.
fn reply(route: &Route, function: &ItemFn) -> TokenStream {
    let (span, ty) = function.returned_type();
    let unnamed = function.returned().is_some_and(types::mentions_impl);
    match (&route.target, route.kind) {
        (_, Kind::Response) => quote_spanned!(span=> priv::handler_value),
        (Target::Operation(operation), _) if !unnamed => {
            quote_spanned!(span=> <#ty as priv::Answers<#operation>>::into_reply)
        }
        _ if unnamed => quote_spanned!(span=> priv::reply),
        _ => quote_spanned!(span=> <#ty as priv::IntoReply>::into_reply),
    }
}

/// Emits every key, known or incomplete, as an import of a documented item, so that rust-analyzer completes it.
pub(super) fn keys(args: &HandlerArgs) -> TokenStream {
    // `crate` is a keyword, which an editor completes.
    let keys: Vec<&Ident> = args.keys.iter().filter(|key| *key != "crate").collect();
    if keys.is_empty() {
        return TokenStream::new();
    }
    quote! {
        #[allow(unexpected_cfgs)]
        const _: () = {
            #[cfg(rust_analyzer)]
            mod handler_keys {
                use priv::keys::*;
                use self::{ #(#keys as _,)* };
            }
        };
    }
}

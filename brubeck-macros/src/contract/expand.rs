//! Generates the trait, the module of its operations, and its client. Nothing can fail here.

use super::lower::{Operation, OperationArgument, is_call};
use super::path::PathSegment;
use crate::handler::pattern_spec;
use crate::method::Kind;
use crate::schema::schema;
use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, FnArg, Ident, ItemTrait, Pat, ReturnType, Token, TraitItem, TraitItemFn, Visibility};

pub(super) fn expand(contract: &ItemTrait, operations: Option<&[Operation<'_>]>) -> TokenStream {
    let conditions: Vec<&Attribute> = contract
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .collect();
    let definition = definition(contract);
    let Some(operations) = operations else {
        return definition;
    };
    let name = contract.ident.unraw().to_string();
    let module = Ident::new(&snake(&name), located(contract.ident.span()));
    let client = format_ident!("{name}Client", span = contract.ident.span());
    let operations_module = operations_module(contract, &module, operations);
    let client = self::client(contract, &module, &client, operations);
    quote! {
        #definition
        #(#conditions)*
        #operations_module
        #(#conditions)*
        #client
    }
}

/// Returns the trait as written, with futures that are `Send`. Invalid parts, which were reported, are removed, so that rustc does not
/// report them again.
fn definition(contract: &ItemTrait) -> TokenStream {
    let mut contract = contract.clone();
    for item in &mut contract.items {
        if let TraitItem::Fn(function) = item {
            function.attrs.retain(|attribute| !is_call(attribute));
            function.default = None;
            function.semi_token = Some(Token![;](Span::call_site()));
            for input in &mut function.sig.inputs {
                // A pattern as an argument was reported; in a trait it is an error of rustc, too.
                if let FnArg::Typed(typed) = input
                    && !matches!(*typed.pat, Pat::Ident(_))
                {
                    typed.pat = syn::parse_quote!(_);
                }
            }
            // The future of an `async fn` in a trait is not known to be `Send`, but that of this desugared form is.
            if function.sig.asyncness.take().is_some() {
                let returned = match &function.sig.output {
                    ReturnType::Type(_, ty) => quote!(#ty),
                    ReturnType::Default => quote!(()),
                };
                function.sig.output = syn::parse_quote! {
                    -> impl ::core::future::Future<Output = #returned> + ::core::marker::Send
                };
            }
        }
    }
    // The trait is not implemented if the service is another program, or consists of functions.
    quote!(#[allow(dead_code)] #contract)
}

fn operations_module(contract: &ItemTrait, module: &Ident, operations: &[Operation<'_>]) -> TokenStream {
    let (vis, name) = (within_module_vis(&contract.vis), &contract.ident);
    let outer = &contract.vis;
    let items = operations
        .iter()
        .map(|operation| operation_item(&vis, module, operation));
    let names: Vec<_> = operations
        .iter()
        .map(|operation| &operation.function.sig.ident)
        .collect();
    let entries = operations.iter().map(|operation| entry(name, operation));
    let (doc, routes_doc, operations_doc) = (
        format!("The operations of [`{name}`], with their arguments as fields."),
        format!("Returns the routes of all operations, for a state that implements [`{name}`]."),
        "The routes of all operations.",
    );
    let len = operations.len();
    quote! {
        #[doc = #doc]
        #outer mod #module {
            #[allow(unused_imports)]
            use super::*;
            #(#items)*
            #[doc = #routes_doc]
            #vis const fn routes<__S: #name + ::brubeck::__private::AppState>() -> ::brubeck::__private::Routes<__S> {
                ::brubeck::__private::table(const { &[#(#entries),*] })
            }
            #[doc = #operations_doc]
            #vis const OPERATIONS: [&::brubeck::__private::Spec; #len] =
                [#(&<#names as ::brubeck::__private::Operation>::SPEC),*];
        }
    }
}

/// Returns the visibility of the trait for the items of a child module.
fn within_module_vis(vis: &Visibility) -> TokenStream {
    match vis {
        Visibility::Public(_) => quote!(pub),
        Visibility::Inherited => quote!(pub(super)),
        Visibility::Restricted(restricted) if restricted.path.is_ident("crate") => quote!(#vis),
        Visibility::Restricted(restricted) => {
            let path = types::within_module(&restricted.path);
            quote!(pub(in #path))
        }
    }
}

fn operation_item(vis: &TokenStream, module: &Ident, operation: &Operation<'_>) -> TokenStream {
    let name = &operation.function.sig.ident;
    let docs = docs(operation.function);
    let fields = operation
        .arguments
        .iter()
        .map(|OperationArgument { name, ty, .. }| {
            let ty = types::within_module(ty);
            quote!(#vis #name: #ty)
        });
    let codecs: Vec<_> = (0..operation.arguments.len())
        .map(|i| format_ident!("__ARGUMENT{i}"))
        .collect();
    let consts = operation
        .arguments
        .iter()
        .zip(&codecs)
        .map(|(argument, codec)| codec_item(argument, codec));
    let (ok, fault) = (
        types::within_module(operation.ok),
        types::within_module(operation.fault),
    );
    let full = format!("{}::{}", module.unraw(), name.unraw());
    let spec = pattern_spec(&full, &operation.pattern, &operation.method, Kind::Service);
    let signature = operation
        .arguments
        .iter()
        .map(|OperationArgument { name, ty, parameter }| {
            let ty = types::within_module(ty);
            let ty = match parameter {
                Some(_) => quote!(::brubeck::__private::InPath<#ty>),
                None => quote!(::brubeck::__private::Named<#ty>),
            };
            (name.unraw().to_string(), ty)
        });
    let schema = schema(
        signature,
        &quote!(::core::result::Result<::brubeck::__private::Json<#ok>, ::brubeck::__private::Json<#fault>>),
    );
    let timeout = match operation.timeout {
        Some(timeout) => {
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            quote!(::core::option::Option::Some(::core::time::Duration::from_millis(#millis)))
        }
        None => quote!(::core::option::Option::None),
    };
    let method = format_ident!("{}", crate::method::variant(&operation.method));
    let idempotent = operation.idempotent.then(|| quote!(.idempotent()));
    let path = path(operation, &codecs);
    let writes = operation
        .arguments
        .iter()
        .zip(&codecs)
        .filter(|(argument, _)| argument.parameter.is_none())
        .map(|(argument, codec)| {
            let name = argument.name;
            quote!(let __request = #codec.write(__request, self.#name);)
        });
    // Path parameters are read one by one. The named arguments are read together, in one pass over the JSON object, into a
    // local for each.
    let (mut named, mut vacant, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for (argument, codec) in operation.arguments.iter().zip(&codecs) {
        let name = argument.name;
        match argument.parameter {
            Some(_) => reads.push(quote!(#name: #codec.read(__arguments)?)),
            None => {
                let value = format_ident!("__value{}", vacant.len());
                reads.push(quote!(#name: #value.take()?));
                named.push(codec);
                vacant.push(value);
            }
        }
    }
    // The types carry the spans of the user, the locals do not: see `handler::expand`.
    let ok_result = quote_spanned!(types::span(operation.ok)=> ::brubeck::__private::body_codec::<#ok>);
    let fault_result =
        quote_spanned!(types::span(operation.fault)=> ::brubeck::__private::body_codec::<#fault>);
    quote! {
        #(#docs)*
        #[allow(non_camel_case_types, missing_docs)]
        #vis struct #name {
            #(#fields),*
        }
        const _: () = {
            #(#consts)*
            impl ::brubeck::__private::Operation for #name {
                type Ok = #ok;
                type Fault = #fault;
                const OK: ::brubeck::__private::BodyCodec<#ok> = #ok_result();
                const FAULT: ::brubeck::__private::BodyCodec<#fault> = #fault_result();
                const SPEC: ::brubeck::__private::Spec = #spec #schema.at(::core::file!(), ::core::line!());
                const TIMEOUT: ::core::option::Option<::core::time::Duration> = #timeout;
                fn into_request(self) -> ::brubeck::__private::ServiceRequest {
                    #path
                    let __request = ::brubeck::__private::ServiceRequest::to(__path)
                        .with_method(::brubeck::__private::Method::#method)
                        #idempotent;
                    #(#writes)*
                    __request
                }
            }
            impl ::brubeck::__private::ReadOperation for #name {
                fn read<__S>(
                    __arguments: &::brubeck::__private::Arguments<'_, __S>,
                ) -> ::core::result::Result<Self, ::brubeck::__private::Rejection> {
                    #(let mut #vacant = #named.slot();)*
                    __arguments.fill(&mut [#(&mut #vacant),*]);
                    ::core::result::Result::Ok(#name { #(#reads),* })
                }
            }
        };
    }
}

/// Defines the constant that writes and reads an argument. A type that cannot be sent is an error here, and only here.
fn codec_item(argument: &OperationArgument<'_>, codec: &Ident) -> TokenStream {
    let ty = types::within_module(argument.ty);
    let name = argument.name.unraw().to_string();
    let span = types::span(argument.ty);
    let (kind, new) = match argument.parameter {
        Some(index) => {
            let new = quote_spanned!(span=> ::brubeck::__private::in_path::<#ty>);
            (quote!(InPath), quote!(#new(#index)))
        }
        None => {
            let new = quote_spanned!(span=> ::brubeck::__private::named::<#ty>);
            (quote!(Named), quote!(#new(#name)))
        }
    };
    quote!(const #codec: ::brubeck::__private::#kind<#ty> = #new;)
}

/// Returns the statements that build `__path`.
fn path(operation: &Operation<'_>, codecs: &[Ident]) -> TokenStream {
    if operation.path.parameters().next().is_none() {
        let lit = &operation.path.lit;
        return quote!(let __path = #lit;);
    }
    let mut ordered: Vec<_> = operation
        .arguments
        .iter()
        .zip(codecs)
        .filter(|(argument, _)| argument.parameter.is_some())
        .collect();
    ordered.sort_by_key(|(argument, _)| argument.parameter);
    let mut ordered = ordered.into_iter();
    let pushes = operation.path.segments.iter().map(|segment| match segment {
        PathSegment::Text(text) => quote!(__path.push_str(#text);),
        PathSegment::Parameter(_) => match ordered.next() {
            Some((OperationArgument { name, .. }, codec)) => quote!(#codec.write(&mut __path, self.#name);),
            None => TokenStream::new(),
        },
    });
    quote! {
        let mut __path = ::std::string::String::new();
        #(#pushes)*
    }
}

/// Returns the route table entry that serves an operation with the trait.
fn entry(contract: &Ident, operation: &Operation<'_>) -> TokenStream {
    let name = &operation.function.sig.ident;
    let fields = operation.arguments.iter().map(|argument| argument.name);
    let call = quote!(<__S as #contract>::#name);
    quote! {
        ::brubeck::__private::Entry {
            spec: const { &<#name as ::brubeck::__private::Operation>::SPEC },
            handle: |__cx| ::std::boxed::Box::pin(async move {
                let __args: #name = match ::brubeck::__private::read_operation(&__cx) {
                    ::core::result::Result::Ok(__args) => __args,
                    ::core::result::Result::Err(__response) => return __response,
                };
                // Without this, rustc warns about an unused variable if the operation has no arguments.
                let _ = &__args;
                let __released = __cx.release_message();
                ::brubeck::__private::operation_response::<#name>(#call(__released.state(), #(__args.#fields),*).await)
            }),
            streams: false,
            nowait_calls: ::brubeck::__private::NowaitCalls::NONE,
        }
    }
}

fn client(contract: &ItemTrait, module: &Ident, client: &Ident, operations: &[Operation<'_>]) -> TokenStream {
    let (vis, name) = (&contract.vis, &contract.ident);
    let doc = format!("A client of services that implement [`{name}`].");
    let doc_state = "As an argument of a handler, it is provided by the state of the application.";
    let calls = operations.iter().map(|operation| {
        let function = &operation.function.sig.ident;
        let docs = docs(operation.function);
        let names: Vec<_> = operation.arguments.iter().map(|argument| argument.name).collect();
        let arguments = operation
            .arguments
            .iter()
            .map(|OperationArgument { name, ty, .. }| quote!(#name: #ty));
        quote! {
            #(#docs)*
            #vis fn #function(&self, #(#arguments),*) -> ::brubeck::__private::TypedCall<#module::#function> {
                ::brubeck::__private::TypedCall::new(&self.client, #module::#function { #(#names),* })
            }
        }
    });
    quote! {
        #[doc = #doc]
        #[doc = ""]
        #[doc = #doc_state]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #client {
            client: ::brubeck::__private::Client,
        }
        #[allow(missing_docs)]
        impl #client {
            /// Returns a client that makes its calls with this untyped one.
            #vis const fn new(client: ::brubeck::__private::Client) -> Self {
                Self { client }
            }
            /// Returns a client of the service at this address, which connects at its first call. If the address is invalid, the
            /// calls fail with `CallError::Refused`.
            #vis fn at(
                address: impl ::core::convert::Into<::std::string::String>,
                secret: impl ::core::convert::Into<::std::string::String>,
            ) -> Self {
                Self::new(::brubeck::__private::lazy_client(address, secret))
            }
            #(#calls)*
        }
        impl<__S> ::brubeck::__private::FromMessage<__S> for #client
        where
            __S: ::brubeck::__private::Provides<#client> + ::brubeck::__private::AppState,
        {
            type Rejection = ::core::convert::Infallible;
            const OPERATIONS: &'static [&'static ::brubeck::__private::Spec] = &#module::OPERATIONS;
            async fn from_message(
                __cx: &::brubeck::__private::Context<__S>,
            ) -> ::core::result::Result<Self, ::core::convert::Infallible> {
                let __own: #client = ::brubeck::__private::Provides::provide(__cx.state());
                ::core::result::Result::Ok(Self::new(::brubeck::__private::client_for(__cx, __own.client)))
            }
        }
    }
}

fn docs(function: &TraitItemFn) -> impl Iterator<Item = &Attribute> {
    function
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
}

/// Returns the location without the hygiene of the user's code, so that rustc does not warn about unused items of a contract.
fn located(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// `SlowEcho` -> `slow_echo`, `HTTPProxy` -> `http_proxy`.
fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|before| chars.get(before));
        // A word starts at a capital after a small letter or digit, and at the last capital of a run: `HTTPProxy`.
        let starts = before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit());
        let ends = before.is_some_and(|before| before.is_uppercase())
            && chars.get(i + 1).is_some_and(|after| after.is_lowercase());
        if c.is_uppercase() && (starts || ends) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::snake;

    #[test]
    fn converts_names_to_snake_case() {
        assert_eq!(snake("SlowEcho"), "slow_echo");
        assert_eq!(snake("HTTPProxy"), "http_proxy");
        assert_eq!(snake("V2Users"), "v2_users");
        assert_eq!(snake("A"), "a");
    }
}

//! Generates the trait, the module of its operations, and its client. Nothing can fail here.

use super::call::mentions_call;
use super::lower::{Operation, OperationArgument, Returned, is_plain, is_repeated, may_be_unsized};
use crate::automaton::encode;
use crate::crate_path::CratePath;
use crate::handler::pattern_spec;
use crate::item::{deprecated, docs, hidden, identifier, inherited, is_conditional};
use crate::method::Kind;
use crate::pattern::PatternSegment;
use crate::schema::schema;
use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::collections::HashSet;
use syn::ext::IdentExt;
use syn::{FnArg, Ident, ItemTrait, Pat, ReturnType, Token, TraitItem, Visibility};

pub(super) fn expand(
    contract: &ItemTrait,
    operations: Option<&[Operation<'_>]>,
    brubeck: &CratePath,
) -> TokenStream {
    let conditions = inherited(&contract.attrs);
    let definition = definition(contract);
    let Some(operations) = operations else {
        return definition;
    };
    let name = contract.ident.unraw().to_string();
    let module = identifier(&module_name(&contract.ident), located(contract.ident.span()));
    let client = format_ident!("{name}Client", span = contract.ident.span());
    let operations_module = operations_module(contract, &module, operations, brubeck);
    let implementations = brubeck.resolve(implementations(contract, &module, operations));
    let client = brubeck.resolve(self::client(contract, &module, &client, operations));
    quote! {
        #definition
        #(#conditions)*
        #operations_module
        #(#conditions)*
        #implementations
        #client
    }
}

/// Returns the name of the module of the operations.
pub(super) fn module_name(contract: &Ident) -> String {
    snake(&contract.unraw().to_string())
}

/// Returns the trait as written, with futures that are `Send`. Invalid parts, which were reported, are removed, so that rustc does not
/// report them again.
fn definition(contract: &ItemTrait) -> TokenStream {
    let repeated: Vec<bool> = contract
        .items
        .iter()
        .map(|item| match item {
            TraitItem::Fn(function) => is_repeated(contract, function),
            other => matches!(other, TraitItem::Macro(_)),
        })
        .collect();
    let mut contract = contract.clone();
    let mut repeated = repeated.into_iter();
    contract.items.retain(|_| !repeated.next().unwrap_or(false));
    contract.unsafety = None;
    for item in &mut contract.items {
        if let TraitItem::Fn(function) = item {
            function.attrs.retain(|attribute| !mentions_call(attribute));
            function.default = None;
            function.semi_token = Some(Token![;](Span::call_site()));
            function.sig.constness = None;
            let mut names = HashSet::new();
            for input in &mut function.sig.inputs {
                let FnArg::Typed(typed) = input else { continue };
                // The documentation of an argument is that of a field of its operation.
                typed.attrs.retain(|attribute| {
                    !attribute.path().is_ident("doc") && !is_conditional(std::slice::from_ref(attribute))
                });
                // A pattern as an argument was reported; in a trait it is an error of rustc, too. So is a second argument of one name.
                let is_name = matches!(&*typed.pat, Pat::Ident(pattern) if is_plain(pattern) && names.insert(pattern.ident.clone()));
                if !is_name {
                    typed.pat = syn::parse_quote!(_);
                }
            }
            // The future of an `async fn` in a trait is not known to be `Send`, but that of this desugared form is. A result of no fixed
            // size was reported; as the output of a future it is an error of rustc, too.
            if function.sig.asyncness.take().is_some() {
                let returned = match &function.sig.output {
                    ReturnType::Type(_, ty) if !may_be_unsized(ty) => quote!(#ty),
                    _ => quote!(()),
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

/// Returns the module of the operations. It does not use the types of the contract, so the contract may be inside a function, whose items
/// no module can name, and an operation may have the name of a type of the contract.
fn operations_module(
    contract: &ItemTrait,
    module: &Ident,
    operations: &[Operation<'_>],
    brubeck: &CratePath,
) -> TokenStream {
    let (vis, name) = (within_module_vis(&contract.vis), &contract.ident);
    let outer = &contract.vis;
    let items = operations
        .iter()
        .enumerate()
        .map(|(index, operation)| operation_struct(&vis, index, operation));
    let specs = operations.iter().map(|operation| {
        let (name, conditions) = (
            &operation.function.sig.ident,
            inherited(&operation.function.attrs),
        );
        quote!(#(#conditions)* &<#name as priv::Operation>::SPEC)
    });
    let (doc, routes_doc, operations_doc) = (
        format!("The operations of [`{name}`], with their arguments as fields."),
        format!("Returns the routes of all operations, for a state that implements [`{name}`]."),
        "The routes of all operations.",
    );
    let len = len(operations);
    let parent = brubeck.is_relative().then(|| {
        quote! {
            #[allow(unused_imports)]
            use super::*;
        }
    });
    let items = brubeck.within_module().resolve(quote! {
        #(#items)*
        // Its implementations are outside of the module, where the types of the contract are.
        #[doc(hidden)]
        #[allow(dead_code)]
        pub(super) enum __Contract {}
        #[doc = #routes_doc]
        #[allow(private_bounds)]
        #vis const fn routes<__S: priv::AppState>() -> priv::Routes<__S>
        where
            __Contract: priv::ContractRoutes<__S>,
        {
            <__Contract as priv::ContractRoutes<__S>>::ROUTES
        }
        #[doc = #operations_doc]
        #vis const OPERATIONS: [&priv::Spec; #len] =
            [#(#specs),*];
        // One table that all operations refer to: a constant would be copied into each of them.
        #[allow(dead_code)]
        pub(super) static __OPERATIONS: [&priv::Spec; #len] = OPERATIONS;
    });
    let hidden = hidden(&contract.attrs);
    quote! {
        #[doc = #doc]
        #(#hidden)*
        #outer mod #module {
            #parent
            #items
        }
    }
}

/// Returns the implementations that use the types of the contract, for the scope of its trait.
fn implementations(contract: &ItemTrait, module: &Ident, operations: &[Operation<'_>]) -> TokenStream {
    let name = &contract.ident;
    let entries = operations.iter().map(|operation| {
        let (entry, conditions) = (
            entry(name, module, operation),
            inherited(&operation.function.attrs),
        );
        quote!(#(#conditions)* #entry)
    });
    let operations = operations
        .iter()
        .enumerate()
        .map(|(index, operation)| operation_impls(module, index, operation));
    quote! {
        const _: () = {
            #(#operations)*
            #[allow(deprecated)]
            impl<__S: #name + priv::AppState> priv::ContractRoutes<__S> for #module::__Contract {
                const ROUTES: priv::Routes<__S> = priv::table(const { &[#(#entries),*] });
            }
        };
    }
}

/// Returns the number of operations, of which some may be absent.
fn len(operations: &[Operation<'_>]) -> TokenStream {
    if !operations
        .iter()
        .any(|operation| is_conditional(&operation.function.attrs))
    {
        let len = operations.len();
        return quote!(#len);
    }
    let each = operations.iter().map(|operation| {
        let conditions = inherited(&operation.function.attrs);
        quote!(#(#conditions)* ())
    });
    quote!({
        const EACH: &[()] = &[#(#each),*];
        EACH.len()
    })
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

/// Returns the struct of an operation, whose fields are its arguments. Their types are those of `__Contract`.
fn operation_struct(vis: &TokenStream, index: usize, operation: &Operation<'_>) -> TokenStream {
    let name = &operation.function.sig.ident;
    let docs = docs(&operation.function.attrs);
    let conditions = inherited(&operation.function.attrs);
    let fields = operation.arguments.iter().enumerate().map(
        |(
            argument,
            OperationArgument {
                docs,
                allowed,
                name,
                ty,
                ..
            },
        )| {
            let doc = format!("`{}: {}`", name.unraw(), types::text(ty));
            quote! {
                #(#docs)*
                #[doc = ""]
                #[doc = #doc]
                #(#allowed)*
                #vis #name: <__Contract as priv::ArgumentType<#index, #argument>>::Type
            }
        },
    );
    quote! {
        #(#docs)*
        #(#conditions)*
        #[allow(non_camel_case_types, missing_docs, private_interfaces)]
        #vis struct #name {
            #(#fields),*
        }
    }
}

/// Returns the implementations for an operation.
fn operation_impls(module: &Ident, index: usize, operation: &Operation<'_>) -> TokenStream {
    let name = &operation.function.sig.ident;
    let conditions = inherited(&operation.function.attrs);
    let codecs: Vec<_> = (0..operation.arguments.len())
        .map(|i| format_ident!("__ARGUMENT{i}"))
        .collect();
    let consts = operation
        .arguments
        .iter()
        .zip(&codecs)
        .map(|(argument, codec)| codec_item(argument, codec));
    let argument_types =
        operation
            .arguments
            .iter()
            .enumerate()
            .map(|(argument, OperationArgument { ty, .. })| {
                quote! {
                    impl priv::ArgumentType<#index, #argument> for #module::__Contract {
                        type Type = #ty;
                    }
                }
            });
    let Returned {
        ty: result,
        ok,
        error,
    } = &operation.returned;
    let (ok_span, error_span) = (
        types::span(ok.unwrap_or(result)),
        types::span(error.unwrap_or(result)),
    );
    let ok = quote_spanned!(ok_span=> <#result as priv::OperationResult>::Ok);
    let error = quote_spanned!(error_span=> <#result as priv::OperationResult>::Error);
    let full = format!("{}::{}", module.unraw(), name.unraw());
    let spec = pattern_spec(&full, &operation.pattern, &operation.method, Kind::Service);
    let signature = operation.arguments.iter().map(
        |OperationArgument {
             name, ty, parameter, ..
         }| {
            let ty = match parameter {
                Some(_) => quote!(priv::InPath<#ty>),
                None => quote!(priv::Named<#ty>),
            };
            (name.unraw().to_string(), ty)
        },
    );
    let schema = schema(
        signature,
        &quote!(::core::result::Result<priv::Json<#ok>, priv::Json<#error>>),
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
    let writes = operation.arguments.iter().zip(&codecs).map(|(argument, codec)| {
        let name = argument.name;
        match argument.parameter {
            Some(_) => {
                let (word, text) = (name.unraw().to_string(), path_text(codec));
                quote!(let __request = __request.with_path_argument(#word, #text);)
            }
            None => quote!(let __request = #codec.write(__request, self.#name);),
        }
    });
    // The arguments are read together, in one pass over the JSON object, into a local for each. An argument in the path is read from there
    // if the call was made without the contract.
    let vacant: Vec<_> = (0..codecs.len()).map(|i| format_ident!("__value{i}")).collect();
    let reads = operation.arguments.iter().zip(&vacant).map(|(argument, value)| {
        let name = argument.name;
        match argument.parameter {
            Some(_) => quote!(#name: #value.take(__arguments)?),
            None => quote!(#name: #value.take()?),
        }
    });
    let declaration = declaration(operation);
    // The types carry the spans of the user, the locals do not: see `handler::expand`.
    let ok_codec = quote_spanned!(ok_span=> priv::body_codec::<#ok>);
    let error_codec = quote_spanned!(error_span=> priv::body_codec::<#error>);
    quote! {
        #(#conditions)*
        const _: () = {
            #(#consts)*
            #(#argument_types)*
            impl priv::Operation for #module::#name {
                type Ok = #ok;
                type Error = #error;
                const OK: priv::BodyCodec<Self::Ok> = #ok_codec();
                const ERROR: priv::BodyCodec<Self::Error> = #error_codec();
                const SPEC: priv::Spec = #spec #schema.of_operation(#declaration).at(::core::file!(), ::core::line!());
                const CONTRACT_ROUTES: &'static [&'static priv::Spec] = &#module::__OPERATIONS;
                const TIMEOUT: ::core::option::Option<::core::time::Duration> = #timeout;
                fn into_request(self) -> priv::ServiceRequest {
                    #path
                    let __request = priv::ServiceRequest::to(__path)
                        .with_method(priv::Method::#method)
                        #idempotent;
                    #(#writes)*
                    __request
                }
            }
            impl priv::ReadOperation for #module::#name {
                fn read<__S>(
                    __arguments: &priv::Arguments<'_, __S>,
                ) -> ::core::result::Result<Self, priv::Rejection> {
                    #(let mut #vacant = #codecs.slot();)*
                    __arguments.fill(&mut [#(&mut #vacant),*]);
                    ::core::result::Result::Ok(#module::#name { #(#reads),* })
                }
            }
        };
    }
}

/// Defines the constant that writes and reads an argument. A type that cannot be sent is an error here, and only here.
fn codec_item(argument: &OperationArgument<'_>, codec: &Ident) -> TokenStream {
    let ty = argument.ty;
    let name = argument.name.unraw().to_string();
    let span = types::span(argument.ty);
    let (kind, new) = match argument.parameter {
        Some(index) => {
            let new = quote_spanned!(span=> priv::in_path::<#ty>);
            (quote!(InPath), quote!(#new(#name, #index)))
        }
        None => {
            let new = quote_spanned!(span=> priv::named::<#ty>);
            (quote!(Named), quote!(#new(#name)))
        }
    };
    quote!(const #codec: priv::#kind<#ty> = #new;)
}

/// Returns the local that holds the text of the argument in the path with this codec.
fn path_text(codec: &Ident) -> Ident {
    format_ident!("__text{}", codec.to_string().trim_start_matches("__ARGUMENT"))
}

/// Returns the declaration of an operation as text: a line for each argument with its type, and one for each of the types of the result and
/// the error, as they are written. An alias of a `Result` stands for the types that it does not name.
fn declaration(operation: &Operation<'_>) -> String {
    let arguments = operation
        .arguments
        .iter()
        .map(|OperationArgument { name, ty, .. }| format!("{}: {}\n", name.unraw(), types::text(ty)));
    let arguments: String = arguments.collect();
    let Returned { ty, ok, error } = &operation.returned;
    format!(
        "{arguments}{}\n{}",
        types::text(ok.unwrap_or(ty)),
        types::text(error.unwrap_or(ty))
    )
}

/// Returns the statements that build `__path`.
fn path(operation: &Operation<'_>, codecs: &[Ident]) -> TokenStream {
    let segments = operation.pattern.segments().unwrap_or_default();
    if let [PatternSegment::Text(text)] = &segments[..] {
        let path = encode(text.as_bytes());
        return quote!(let __path = #path;);
    }
    let argument = |index: usize| {
        let mut arguments = operation.arguments.iter().zip(codecs);
        arguments.find(|(argument, _)| argument.parameter == Some(index))
    };
    let texts = operation
        .arguments
        .iter()
        .zip(codecs)
        .filter(|(argument, _)| argument.parameter.is_some())
        .map(|(OperationArgument { name, .. }, codec)| {
            let text = path_text(codec);
            quote!(let #text = #codec.text(self.#name);)
        });
    let pushes = segments.iter().map(|segment| match segment {
        PatternSegment::Text(text) => {
            let text = encode(text.as_bytes());
            quote!(__path.push_str(#text);)
        }
        PatternSegment::Capture(index) => argument(*index)
            .map(|(_, codec)| {
                let text = path_text(codec);
                quote!(priv::push_segment(&mut __path, &#text);)
            })
            .unwrap_or_default(),
        PatternSegment::Rest(index) => argument(*index)
            .map(|(_, codec)| {
                let text = path_text(codec);
                quote!(priv::push_segments(&mut __path, &#text);)
            })
            .unwrap_or_default(),
    });
    quote! {
        #(#texts)*
        let mut __path = ::std::string::String::new();
        #(#pushes)*
    }
}

/// Returns the route table entry that serves an operation with the trait.
fn entry(contract: &Ident, module: &Ident, operation: &Operation<'_>) -> TokenStream {
    let name = &operation.function.sig.ident;
    let ty = quote!(#module::#name);
    let fields = operation.arguments.iter().map(|argument| argument.name);
    let call = quote!(<__S as #contract>::#name);
    let Returned { ty: result, ok, .. } = &operation.returned;
    let result =
        quote_spanned!(types::span(ok.unwrap_or(result))=> <#result as priv::OperationResult>::into_result);
    quote! {
        priv::Entry {
            route: priv::ListedRoute::new(const { &<#ty as priv::Operation>::SPEC }),
            handle: |__cx| ::std::boxed::Box::pin(async move {
                let __args: #ty = match priv::read_operation(&__cx) {
                    ::core::result::Result::Ok(__args) => __args,
                    ::core::result::Result::Err(__response) => return __response,
                };
                // Without this, rustc warns about an unused variable if the operation has no arguments.
                let _ = &__args;
                let __released = __cx.release_message();
                priv::operation_response::<#ty>(#result(#call(__released.state(), #(__args.#fields),*).await))
            }),
        }
    }
}

fn client(contract: &ItemTrait, module: &Ident, client: &Ident, operations: &[Operation<'_>]) -> TokenStream {
    let (vis, name) = (&contract.vis, &contract.ident);
    let conditions = inherited(&contract.attrs);
    let (hidden, deprecated_client) = (hidden(&contract.attrs), deprecated(&contract.attrs));
    let doc = format!("A client of services that implement [`{name}`].");
    let doc_state = "As an argument of a handler, it is provided by the state of the application.";
    let calls = operations.iter().map(|operation| {
        let function = &operation.function.sig.ident;
        let docs = docs(&operation.function.attrs);
        let conditions = inherited(&operation.function.attrs);
        let deprecated = deprecated(&operation.function.attrs);
        let names: Vec<_> = operation.arguments.iter().map(|argument| argument.name).collect();
        let arguments = operation.arguments.iter().map(
            |OperationArgument {
                 allowed, name, ty, ..
             }| quote!(#(#allowed)* #name: #ty),
        );
        quote! {
            #(#docs)*
            #(#conditions)*
            #(#deprecated)*
            #vis fn #function(&self, #(#arguments),*) -> priv::TypedCall<#module::#function> {
                priv::TypedCall::new(&self.client, #module::#function { #(#names),* })
            }
        }
    });
    quote! {
        #[doc = #doc]
        #[doc = ""]
        #[doc = #doc_state]
        #(#hidden)*
        #(#conditions)*
        #(#deprecated_client)*
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #client {
            client: priv::Client,
        }
        #(#conditions)*
        #[allow(missing_docs, deprecated)]
        impl #client {
            /// Returns a client that makes its calls with this untyped one.
            #vis const fn new(client: priv::Client) -> Self {
                Self { client }
            }
            /// Returns a client of the service at this address, which connects at its first call. If the address is invalid, the
            /// calls fail with `CallError::Refused`.
            #vis fn at(
                address: impl ::core::convert::Into<::std::string::String>,
                credentials: impl ::core::convert::Into<priv::Credentials>,
            ) -> Self {
                Self::new(priv::lazy_client(address, credentials))
            }
            #(#calls)*
        }
        #(#conditions)*
        #[allow(deprecated)]
        impl<__S> priv::FromMessage<__S> for #client
        where
            __S: priv::Provides<#client> + priv::AppState,
        {
            type Rejection = ::core::convert::Infallible;
            const OPERATIONS: &'static [&'static priv::Spec] = &#module::OPERATIONS;
            async fn from_message(
                __cx: &priv::Context<__S>,
            ) -> ::core::result::Result<Self, ::core::convert::Infallible> {
                let __own: #client = priv::Provides::provide(__cx.state());
                ::core::result::Result::Ok(Self::new(priv::client_for(__cx, __own.client)))
            }
        }
    }
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

//! `routes![a, path::to::b, ..nested::ROUTES]` and `serves!`: constant tables, and their checks in constant evaluation.

use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, Path, Token};

/// An entry of the list.
enum ListItem {
    Handler(Path),
    /// `..admin::ROUTES`: a nested table.
    Table(Expr),
}

impl Parse for ListItem {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![#]) {
            let attribute = input.call(Attribute::parse_outer)?;
            return Err(syn::Error::new_spanned(
                attribute.first(),
                "attributes are not supported in `routes!`\nhelp: write two tables, each with its own `#[cfg(..)]`",
            ));
        }
        if input.parse::<Option<Token![..]>>()?.is_some() {
            return Ok(ListItem::Table(input.parse()?));
        }
        Path::parse_mod_style(input)
            .map(ListItem::Handler)
            .map_err(|error| {
                syn::Error::new(
                    error.span(),
                    "expected a handler, or `..` and a table\nhelp: write `routes![index, ..admin::ROUTES]`",
                )
            })
    }
}

impl ListItem {
    /// Returns the span of the token that the checks underline.
    fn span(&self) -> Span {
        match self {
            ListItem::Handler(path) => types::path_span(path),
            ListItem::Table(Expr::Path(path)) => types::path_span(&path.path),
            ListItem::Table(other) => syn::spanned::Spanned::span(other),
        }
    }
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match Punctuated::<ListItem, Token![,]>::parse_terminated.parse2(input) {
        Ok(items) => table(&items.into_iter().collect::<Vec<_>>()),
        Err(error) => {
            let error = error.into_compile_error();
            quote!({ #error ::brubeck::__private::table(&[]) })
        }
    }
}

fn table(items: &[ListItem]) -> TokenStream {
    let names: Vec<_> = (0..items.len()).map(|i| format_ident!("__Route{i}")).collect();
    let routes = items.iter().zip(&names).filter_map(|(item, name)| match item {
        ListItem::Handler(path) => Some(route(path, name)),
        ListItem::Table(_) => None,
    });
    let parts = items.iter().zip(&names).map(|(item, name)| match item {
        ListItem::Handler(path) => {
            let name = respanned(name, types::path_span(path));
            quote!(&[::brubeck::__private::entry::<#name, _>()])
        }
        ListItem::Table(table) => quote!(#table.entries()),
    });
    let counts: Vec<TokenStream> = items.iter().map(count).collect();
    let checks = checks(items, &names);
    quote! {{
        #(#routes)*
        const __LEN: usize = 0 #(+ #counts)*;
        #checks
        // If the table has another state than its constant, rustc names the type of this local, `Routes<..>`, and not that of the
        // entries.
        let routes = ::brubeck::__private::table(const { &::brubeck::__private::join::<_, __LEN>(&[#(#parts),*]) });
        routes
    }}
}

/// Defines the type of a listed handler. If an argument of the handler is invalid, the error is reported at the handler. `CHECKED` then
/// fails to evaluate, so rustc cannot form this type and reports nothing more. The path is written once, so that a path that does not
/// resolve is a single error.
fn route(path: &Path, name: &Ident) -> TokenStream {
    let handler = Ident::new(&format!("{name}Listed"), types::path_span(path));
    let checked = quote_spanned!(handler.span()=> { <#handler as ::brubeck::__private::Routed>::CHECKED });
    quote! {
        type #handler = #path;
        type #name = <::brubeck::__private::Checked<#handler, #checked> as ::brubeck::__private::Listed>::Handler;
    }
}

fn count(item: &ListItem) -> TokenStream {
    match item {
        ListItem::Handler(_) => quote!(1),
        ListItem::Table(table) => quote!(#table.len()),
    }
}

/// Expands `serves!(ROUTES => slow_echo, other);`.
pub(crate) fn expand_serves(input: TokenStream) -> TokenStream {
    let parser = |input: ParseStream<'_>| {
        let routes: Expr = input.parse()?;
        input.parse::<Token![=>]>()?;
        Ok((
            routes,
            Punctuated::<Path, Token![,]>::parse_terminated_with(input, Path::parse_mod_style)?,
        ))
    };
    let (routes, contracts) = match parser.parse2(input) {
        Ok(parsed) => parsed,
        Err(error) => {
            let text = format!(
                "{error}\nhelp: write `serves!(ROUTES => contract)`, with the module of the contract"
            );
            return syn::Error::new(error.span(), text).into_compile_error();
        }
    };
    let checks = contracts.iter().map(|contract| {
        let check =
            quote_spanned!(types::path_span(contract)=> check_served(#routes, &#contract::OPERATIONS));
        quote! {
            const _: () = {
                use ::brubeck::__private::check_served;
                #check
            };
        }
    });
    quote!(#(#checks)*)
}

/// Emits one check per entry of the list, with the span of the entry, so that an error underlines the entry. The checks are hidden from
/// rust-analyzer, which would otherwise offer them as definitions of the entry.
fn checks(items: &[ListItem], names: &[Ident]) -> TokenStream {
    let specs = items.iter().zip(names).map(|(item, name)| match item {
        ListItem::Handler(path) => {
            let name = respanned(name, types::path_span(path));
            quote!(&[&<#name as Routed>::SPEC])
        }
        ListItem::Table(table) => quote!(&specs::<_, { #table.len() }>(#table)),
    });
    let counts = items.iter().map(count);
    let reports = items.iter().enumerate().map(|(i, item)| {
        let report = quote_spanned!(item.span()=> emit_error(&SPECS, &SHADOW_CHECKS, &COUNTS, #i));
        quote!(const _: () = #report;)
    });
    let len = items.len();
    quote! {
        #[allow(unexpected_cfgs)]
        const _: () = {
            #[cfg(not(rust_analyzer))]
            const _: () = {
                #[allow(unused_imports)]
                use ::brubeck::__private::{Routed, Spec, emit_error, join_specs, specs, shadow_checks};
                // A static is evaluated once; a constant would be evaluated again for each check.
                static COUNTS: [usize; #len] = [#(#counts),*];
                static SPECS: [&Spec; __LEN] = join_specs(&[#(#specs),*]);
                #[allow(long_running_const_eval)]
                static SHADOW_CHECKS: [u32; __LEN] = shadow_checks(&SPECS, &COUNTS);
                #(#reports)*
            };
        };
    }
}

fn respanned(name: &Ident, span: Span) -> Ident {
    let mut name = name.clone();
    name.set_span(span);
    name
}

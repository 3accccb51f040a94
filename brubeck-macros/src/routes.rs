//! `routes![a, path::to::b, ..nested::ROUTES]`: a constant table, checked in constant evaluation.

use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, Path, Token};

enum Item {
    Handler(Path),
    /// `..admin::ROUTES`, a table within the table.
    Table(Expr),
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Token![#]) {
            let attribute = input.call(Attribute::parse_outer)?;
            return Err(syn::Error::new_spanned(
                attribute.first(),
                "an entry of `routes!` has no attributes\nhelp: write two tables, each with its `#[cfg(..)]`",
            ));
        }
        if input.parse::<Option<Token![..]>>()?.is_some() {
            return Ok(Item::Table(input.parse()?));
        }
        Path::parse_mod_style(input).map(Item::Handler).map_err(|error| {
            syn::Error::new(
                error.span(),
                "expected the name of a handler, or `..` and the name of a table",
            )
        })
    }
}

impl Item {
    /// One token of it, which the checks underline.
    fn span(&self) -> Span {
        match self {
            Item::Handler(path) => types::path_span(path),
            Item::Table(Expr::Path(path)) => types::path_span(&path.path),
            Item::Table(other) => syn::spanned::Spanned::span(other),
        }
    }
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match Punctuated::<Item, Token![,]>::parse_terminated.parse2(input) {
        Ok(items) => table(&items.into_iter().collect::<Vec<_>>()),
        Err(error) => {
            let error = error.into_compile_error();
            quote!({ #error ::brubeck::__private::table(&[]) })
        }
    }
}

fn table(items: &[Item]) -> TokenStream {
    let names: Vec<_> = (0..items.len()).map(|i| format_ident!("__Route{i}")).collect();
    let routes = items.iter().zip(&names).filter_map(|(item, name)| match item {
        Item::Handler(path) => Some(route(path, name)),
        Item::Table(_) => None,
    });
    let parts = items.iter().zip(&names).map(|(item, name)| match item {
        Item::Handler(path) => {
            let name = respanned(name, types::path_span(path));
            quote!(&[::brubeck::__private::entry::<#name, _>()])
        }
        Item::Table(table) => quote!(#table.entries()),
    });
    let counts: Vec<TokenStream> = items.iter().map(count).collect();
    let checks = checks(items, &names);
    quote! {{
        #(#routes)*
        const __LEN: usize = 0 #(+ #counts)*;
        #checks
        // A table for another state is told by its type, not by that of its entries.
        let routes = ::brubeck::__private::table(const { &::brubeck::__private::join::<_, __LEN>(&[#(#parts),*]) });
        routes
    }}
}

/// The type of a handler whose arguments are right. Where they are not, that was said at the handler: the constant
/// is an error then, so this type is one, and rustc says nothing more of it. The path is written once, so that one
/// that leads nowhere is one error.
fn route(path: &Path, name: &Ident) -> TokenStream {
    let handler = Ident::new(&format!("{name}Listed"), types::path_span(path));
    let checked = quote_spanned!(handler.span()=> { <#handler as ::brubeck::__private::Routed>::CHECKED });
    quote! {
        type #handler = #path;
        type #name = <::brubeck::__private::Checked<#handler, #checked> as ::brubeck::__private::Listed>::Handler;
    }
}

fn count(item: &Item) -> TokenStream {
    match item {
        Item::Handler(_) => quote!(1),
        Item::Table(table) => quote!(#table.len()),
    }
}

/// `serves!(ROUTES => slow_echo, other);`
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
            let text = format!("{error}\nhelp: `serves!(ROUTES => contract)`");
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

/// One check an item, whose tokens sit on that item so that it is underlined. An editor does not see them, and
/// finds only the handler there.
fn checks(items: &[Item], names: &[Ident]) -> TokenStream {
    let specs = items.iter().zip(names).map(|(item, name)| match item {
        Item::Handler(path) => {
            let name = respanned(name, types::path_span(path));
            quote!(&[&<#name as Routed>::SPEC])
        }
        Item::Table(table) => quote!(&specs::<_, { #table.len() }>(#table)),
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

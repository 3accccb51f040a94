//! `routes![a, path::to::b, ..nested::ROUTES]` and `serves!`: constant tables, and their checks in constant evaluation.

use crate::automaton::encode;
use crate::crate_path::CratePath;
use crate::types;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, LitStr, Path, Token};

const LIST_HELP: &str =
    "\nhelp: list handlers by their names, separated by commas: `routes![index, ..admin::ROUTES]`";

/// An entry of the list.
enum ListItem {
    Handler(Path),
    /// `..admin::ROUTES`: a nested table.
    Table(Expr),
    /// `"/admin" => ..admin::ROUTES`: a nested table below a prefix.
    Prefixed(LitStr, Expr),
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
        if input.peek(LitStr) && input.peek2(Token![=>]) {
            let prefix: LitStr = input.parse()?;
            check_prefix(&prefix)?;
            let help = "a prefix is followed by a table\nhelp: write `\"/admin\" => ..admin::ROUTES`";
            input.parse::<Token![=>]>()?;
            input
                .parse::<Token![..]>()
                .map_err(|error| syn::Error::new(error.span(), help))?;
            return Ok(ListItem::Prefixed(prefix, input.parse()?));
        }
        if input.parse::<Option<Token![..]>>()?.is_some() {
            return Ok(ListItem::Table(input.parse()?));
        }
        Path::parse_mod_style(input)
            .map(ListItem::Handler)
            .map_err(|error| {
                syn::Error::new(
                    error.span(),
                    "expected a handler, `..` and a table, or a prefix\nhelp: write `routes![index, ..admin::ROUTES]` or \
                     `routes![index, \"/admin\" => ..admin::ROUTES]`",
                )
            })
    }
}

impl ListItem {
    /// Returns the span of the token that the checks underline.
    fn span(&self) -> Span {
        match self {
            ListItem::Handler(path) => types::path_span(path),
            ListItem::Table(Expr::Path(path)) | ListItem::Prefixed(_, Expr::Path(path)) => {
                types::path_span(&path.path)
            }
            ListItem::Table(other) | ListItem::Prefixed(_, other) => syn::spanned::Spanned::span(other),
        }
    }
}

/// Checks that a path can begin with the prefix, and that no part of it is anything but text.
fn check_prefix(lit: &LitStr) -> syn::Result<()> {
    let text = lit.value();
    let trimmed = text.trim_matches(['/', '^', '$']);
    let error =
        |message: &str, help: String| Err(syn::Error::new(lit.span(), format!("{message}\nhelp: {help}")));
    if text.starts_with('^') {
        return error(
            "the prefix of a table is text, not a regex",
            format!("write `\"/{trimmed}\"`"),
        );
    }
    if !text.starts_with('/') {
        return error(
            "the prefix of a table begins with `/`, as every path does",
            format!("write `\"/{trimmed}\"`"),
        );
    }
    if trimmed.is_empty() {
        return error(
            "the prefix of a table has at least one segment",
            "list the table without a prefix: `..TABLE`".to_owned(),
        );
    }
    if text.ends_with('/') {
        return error(
            "the prefix of a table does not end with `/`: the paths of its routes begin with one",
            format!("write `\"{}\"`", text.trim_end_matches('/')),
        );
    }
    if text.contains(['{', '}']) {
        return error(
            "the prefix of a table has no parameters, because the handlers of the table have no arguments for them",
            "put the parameter into the paths of the handlers".to_owned(),
        );
    }
    if text.contains(['?', '#', '\0']) {
        return error(
            "a path has no query, no fragment and no NUL",
            "remove it from the prefix".to_owned(),
        );
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return error(
            "the segments `.` and `..` are removed from the path of a request before it is matched",
            "remove them from the prefix".to_owned(),
        );
    }
    Ok(())
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (brubeck, input) = split_off_path(input);
    let table = match Punctuated::<ListItem, Token![,]>::parse_terminated.parse2(input) {
        Ok(items) => table(&items.into_iter().collect::<Vec<_>>()),
        Err(error) => {
            let text = error.to_string();
            let error = if text.contains("help:") {
                error
            } else {
                syn::Error::new(error.span(), format!("{text}{LIST_HELP}"))
            };
            let error = error.into_compile_error();
            quote!({ #error priv::table(&[]) })
        }
    };
    brubeck.resolve(table)
}

/// Splits `$crate; list`, which the macros of the facade pass, into the path and the list. A renamed brubeck needs no key in these macros.
fn split_off_path(input: TokenStream) -> (CratePath, TokenStream) {
    let mut input = input.into_iter();
    let path = input
        .by_ref()
        .take_while(|token| token.to_string() != ";")
        .collect();
    (CratePath::of(path), input.collect())
}

fn table(items: &[ListItem]) -> TokenStream {
    let names: Vec<_> = (0..items.len()).map(|i| format_ident!("__Route{i}")).collect();
    let routes = items.iter().zip(&names).filter_map(|(item, name)| match item {
        ListItem::Handler(path) => Some(route(path, name)),
        ListItem::Table(_) => None,
        ListItem::Prefixed(prefix, table) => Some(prefixed(prefix, table, name)),
    });
    let parts = items.iter().zip(&names).map(|(item, name)| match item {
        ListItem::Handler(path) => {
            let name = respanned(name, types::path_span(path));
            quote!(&[priv::entry::<#name, _>()])
        }
        ListItem::Table(table) => quote!(#table.entries()),
        ListItem::Prefixed(_, table) => {
            let specs = specs_name(name);
            quote!(&priv::prefixed_entries(#table, &#specs))
        }
    });
    let counts: Vec<TokenStream> = items.iter().map(count).collect();
    let checks = checks(items, &names);
    quote! {{
        #(#routes)*
        const __LEN: ::core::primitive::usize = 0 #(+ #counts)*;
        #checks
        // If the table has another state than its constant, rustc names the type of this local, `Routes<..>`, and not that of the
        // entries.
        let routes = priv::table(const { &priv::join::<_, __LEN>(&[#(#parts),*]) });
        routes
    }}
}

/// Defines the type of a listed handler. If an argument of the handler is invalid, the error is reported at the handler. `CHECKED` then
/// fails to evaluate, so rustc cannot form this type and reports nothing more. The path is written once, so that a path that does not
/// resolve is a single error.
fn route(path: &Path, name: &Ident) -> TokenStream {
    let handler = Ident::new(&format!("{name}Listed"), types::path_span(path));
    let checked = quote_spanned!(handler.span()=> { <#handler as priv::Routed>::CHECKED });
    quote! {
        type #handler = #path;
        type #name = <priv::Checked<#handler, #checked> as priv::Listed>::Handler;
    }
}

fn count(item: &ListItem) -> TokenStream {
    match item {
        ListItem::Handler(_) => quote!(1),
        ListItem::Table(table) | ListItem::Prefixed(_, table) => quote!(#table.len()),
    }
}

/// Returns the name of the constant with the specs of a table below a prefix.
fn specs_name(name: &Ident) -> Ident {
    format_ident!("{}_SPECS", name.to_string().to_uppercase())
}

/// Defines the constant with the specs of a table below a prefix.
fn prefixed(prefix: &LitStr, table: &Expr, name: &Ident) -> TokenStream {
    let specs = specs_name(name);
    let text = prefix.value();
    let (regex, encoded) = (regex_syntax::escape(&text), encode(text.as_bytes()));
    quote! {
        const #specs: [priv::Spec; #table.len()] = {
            use priv::{TablePrefix, automata, automata_len, prefixed_specs, specs, texts, texts_len};
            const PREFIX: TablePrefix = TablePrefix {
                text: #text,
                template: #text,
                regex: #regex,
                encoded: #encoded,
            };
            const SPECS: [&priv::Spec; #table.len()] = specs(#table);
            const AUTOMATA: [::core::primitive::u8; automata_len(PREFIX, &SPECS)] = automata(PREFIX, &SPECS);
            const TEXTS: [::core::primitive::u8; texts_len(PREFIX, &SPECS)] = texts(PREFIX, &SPECS);
            prefixed_specs(PREFIX, &SPECS, &AUTOMATA, &TEXTS)
        };
    }
}

/// Expands `serves!(ROUTES => slow_echo, other);`.
pub(crate) fn expand_serves(input: TokenStream) -> TokenStream {
    let (brubeck, input) = split_off_path(input);
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
        let check = quote_spanned!(types::path_span(contract)=> check_served::<_, LEN, _>(#routes, &#contract::OPERATIONS));
        quote! {
            const _: () = {
                use priv::check_served;
                const LEN: ::core::primitive::usize = #routes.len();
                #[allow(long_running_const_eval)]
                const _: () = #check;
            };
        }
    });
    brubeck.resolve(quote!(#(#checks)*))
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
        ListItem::Prefixed(..) => {
            let specs = specs_name(name);
            quote!(&spec_references(&#specs))
        }
    });
    let counts = items.iter().map(count);
    let reports = items.iter().enumerate().map(|(i, item)| {
        let report = quote_spanned!(item.span()=> emit_error(&SPECS, &SHADOW_CHECKS, FIRST_ERRORS[#i]));
        quote!(const _: () = #report;)
    });
    let len = items.len();
    quote! {
        #[allow(unexpected_cfgs)]
        const _: () = {
            #[cfg(not(rust_analyzer))]
            const _: () = {
                #[allow(unused_imports)]
                use priv::{Routed, Spec, emit_error, first_errors, join_specs, spec_references, specs, shadow_checks};
                // A static is evaluated once; a constant would be evaluated again for each check.
                static COUNTS: [::core::primitive::usize; #len] = [#(#counts),*];
                static SPECS: [&Spec; __LEN] = join_specs(&[#(#specs),*]);
                #[allow(long_running_const_eval)]
                static SHADOW_CHECKS: [::core::primitive::u32; __LEN] = shadow_checks(&SPECS, &COUNTS);
                static FIRST_ERRORS: [::core::primitive::usize; #len] = first_errors(&SHADOW_CHECKS, &COUNTS);
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

//! `#[derive(Template)] #[template("page.html")]`: the template is embedded, and checked against its struct.

mod family;
mod statement;

use crate::error::{Errors, suggest};
use crate::types;
use family::{Family, Mistake};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use std::path::Path;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, LitStr};

/// The folder of templates, beside `Cargo.toml`.
const FOLDER: &str = "templates";

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    expand_in(&Path::new(&root).join(FOLDER), input)
}

pub(crate) fn expand_in(folder: &Path, input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let errors = Errors::default();
    let fields = fields(&input, &errors);
    let family = name(&input, &errors).map(|lit| {
        let family = Family::read(folder, &lit.value());
        check(&input, &lit, &family, fields.as_deref(), &errors);
        (lit, family)
    });
    let implementation = match (family, fields) {
        (Some((lit, family)), Some(fields)) if !errors.any() => {
            implementation(&input, &lit, &family, &fields)
        }
        _ => broken(&input),
    };
    let errors = errors.into_tokens();
    quote!(#implementation #errors)
}

/// The template that the attribute names.
fn name(input: &DeriveInput, errors: &Errors) -> Option<LitStr> {
    let mut attributes = input.attrs.iter().filter(|attr| attr.path().is_ident("template"));
    let Some(attribute) = attributes.next() else {
        errors.on(
            &input.ident,
            format!(
                "`{}` names no template\nhelp: `#[template(\"page.html\")]`",
                input.ident
            ),
        );
        return None;
    };
    if let Some(second) = attributes.next() {
        errors.on(second, "a struct has one template");
    }
    let Ok(lit) = attribute.parse_args::<LitStr>() else {
        errors.on(
            attribute,
            "expected the path of a template\nhelp: `#[template(\"page.html\")]`",
        );
        return None;
    };
    let name = lit.value();
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) || name.contains('\\') {
        errors.on(
            &lit,
            format!("a template is named by its path below `{FOLDER}`, such as `user/page.html`"),
        );
        return None;
    }
    Some(lit)
}

/// `None`: it has none that a template could show, which is reported.
fn fields<'a>(input: &'a DeriveInput, errors: &Errors) -> Option<Vec<&'a Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Some(fields.named.iter().collect()),
            Fields::Unit => return Some(Vec::new()),
            Fields::Unnamed(fields) => {
                errors.on(
                    fields,
                    "a template shows its fields by name: name them, `{ name: .. }`",
                );
            }
        },
        Data::Enum(data) => errors.on(data.enum_token, "a template shows the fields of a struct"),
        Data::Union(data) => errors.on(data.union_token, "a template shows the fields of a struct"),
    }
    None
}

fn check(input: &DeriveInput, lit: &LitStr, family: &Family, fields: Option<&[&Field]>, errors: &Errors) {
    for mistake in &family.mistakes {
        let text = match mistake {
            Mistake::Missing {
                name,
                wanted_by,
                close,
            } => {
                let by = wanted_by
                    .as_ref()
                    .map(|by| format!(", which `{by}` needs"))
                    .unwrap_or_default();
                let help = close
                    .as_ref()
                    .map(|close| format!("\nhelp: did you mean `{close}`?"));
                let help = help
                    .unwrap_or_else(|| format!("\nhelp: put it at `{FOLDER}/{name}`, beside `Cargo.toml`"));
                format!("there is no template `{name}`{by}{help}")
            }
            Mistake::Syntax { name, line, text } => format!("{FOLDER}/{name}:{line}: {text}"),
        };
        errors.on(lit, text);
    }
    let Some(fields) = fields.filter(|_| family.mistakes.is_empty()) else {
        return;
    };
    let names: Vec<String> = fields
        .iter()
        .filter_map(|field| Some(field.ident.as_ref()?.unraw().to_string()))
        .collect();
    for unknown in family.unknown_variables(&names) {
        let help = match suggest(&unknown.variable, names.iter().map(String::as_str)) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("add a field `{}` to `{}`", unknown.variable, input.ident),
        };
        errors.on(
            lit,
            format!(
                "`{}` is no field of `{}`\n  {FOLDER}/{}:{}: {}\nhelp: {help}",
                unknown.variable, input.ident, unknown.template, unknown.line, unknown.text,
            ),
        );
    }
}

fn implementation(input: &DeriveInput, lit: &LitStr, family: &Family, fields: &[&Field]) -> TokenStream {
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    let sources = family.templates.iter().map(|template| {
        let (name, path) = (&template.name, format!("/{FOLDER}/{}", template.name));
        quote! {
            (#name, ::core::include_str!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #path)))
        }
    });
    let variables = fields.iter().filter_map(|field| {
        let member = field.ident.as_ref()?;
        let name = member.unraw().to_string();
        let variable = quote_spanned!(types::span(&field.ty)=> ::brubeck::__private::variable);
        Some(quote!((#name, #variable(&self.#member))))
    });
    quote! {
        #[automatically_derived]
        impl #generics ::brubeck::__private::Template for #name #arguments #bounds {
            const NAME: &'static str = #lit;
            const SOURCES: &'static [(&'static str, &'static str)] = &[#(#sources),*];
            fn context(&self) -> ::brubeck::__private::Value {
                ::brubeck::__private::variables([#(#variables),*])
            }
        }
    }
}

/// So that `Page<..>` of a struct in error is not a second error.
fn broken(input: &DeriveInput) -> TokenStream {
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    quote! {
        #[automatically_derived]
        impl #generics ::brubeck::__private::Template for #name #arguments #bounds {
            const NAME: &'static str = "";
            const SOURCES: &'static [(&'static str, &'static str)] = &[];
            fn context(&self) -> ::brubeck::__private::Value {
                ::brubeck::__private::variables([])
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! `#[derive(Template)] #[template("page.html")]`: embeds a template and checks it against its struct.

mod scan;
mod template_set;

use crate::error::{Errors, suggest};
use crate::types;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use std::path::Path;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, LitStr};
use template_set::{TemplateError, TemplateSet};

/// The folder of templates, next to `Cargo.toml`.
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
    let templates = template_name(&input, &errors).map(|lit| {
        let templates = TemplateSet::read(folder, &lit.value());
        check(&input, &lit, &templates, fields.as_deref(), &errors);
        (lit, templates)
    });
    let implementation = match (templates, fields) {
        (Some((lit, templates)), Some(fields)) if !errors.any() => {
            implementation(&input, &lit, &templates, &fields)
        }
        _ => placeholder(&input),
    };
    let errors = errors.into_tokens();
    quote!(#implementation #errors)
}

/// Returns the path of the template below [`FOLDER`], or reports that it is missing or invalid.
fn template_name(input: &DeriveInput, errors: &Errors) -> Option<LitStr> {
    let mut attributes = input.attrs.iter().filter(|attr| attr.path().is_ident("template"));
    let Some(attribute) = attributes.next() else {
        errors.on(
            &input.ident,
            format!(
                "`{}` has no template\nhelp: add `#[template(\"page.html\")]`",
                input.ident
            ),
        );
        return None;
    };
    if let Some(second) = attributes.next() {
        errors.on(
            second,
            "a struct has a single template\nhelp: remove one of the attributes",
        );
    }
    let Ok(lit) = attribute.parse_args::<LitStr>() else {
        errors.on(
            attribute,
            "expected the path of a template as a string literal\nhelp: write `#[template(\"page.html\")]`",
        );
        return None;
    };
    let name = lit.value();
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) || name.contains('\\') {
        errors.on(
            &lit,
            format!(
                "invalid path of a template\nhelp: write its path below `{FOLDER}`, such as `user/page.html`"
            ),
        );
        return None;
    }
    Some(lit)
}

/// Returns the fields of a struct with named fields or none. Reports any other type.
fn fields<'a>(input: &'a DeriveInput, errors: &Errors) -> Option<Vec<&'a Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Some(fields.named.iter().collect()),
            Fields::Unit => return Some(Vec::new()),
            Fields::Unnamed(fields) => {
                errors.on(
                    fields,
                    "the fields of a template need names\nhelp: write `{ name: .. }`",
                );
            }
        },
        Data::Enum(data) => errors.on(data.enum_token, "`Template` can only be derived for a struct\nhelp: the fields of a struct are the variables of its template"),
        Data::Union(data) => errors.on(data.union_token, "`Template` can only be derived for a struct\nhelp: the fields of a struct are the variables of its template"),
    }
    None
}

/// Reports missing templates, syntax errors, and variables that no field provides.
fn check(
    input: &DeriveInput,
    lit: &LitStr,
    templates: &TemplateSet,
    fields: Option<&[&Field]>,
    errors: &Errors,
) {
    for error in &templates.errors {
        let text = match error {
            TemplateError::Missing {
                name,
                required_by,
                close,
            } => {
                let by = required_by
                    .as_ref()
                    .map(|by| format!(", which `{by}` refers to"))
                    .unwrap_or_default();
                let help = close
                    .as_ref()
                    .map(|close| format!("\nhelp: did you mean `{close}`?"));
                let help =
                    help.unwrap_or_else(|| format!("\nhelp: create `{FOLDER}/{name}` next to `Cargo.toml`"));
                format!("there is no template `{name}`{by}{help}")
            }
            TemplateError::Syntax { name, line, text } => format!("{FOLDER}/{name}:{line}: {text}"),
        };
        errors.on(lit, text);
    }
    let Some(fields) = fields.filter(|_| templates.errors.is_empty()) else {
        return;
    };
    let names: Vec<String> = fields
        .iter()
        .filter_map(|field| Some(field.ident.as_ref()?.unraw().to_string()))
        .collect();
    for unknown in templates.unknown_variables(&names) {
        let help = match suggest(&unknown.variable, names.iter().map(String::as_str)) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("add a field `{}` to `{}`", unknown.variable, input.ident),
        };
        errors.on(
            lit,
            format!(
                "`{}` has no field `{}`\n  {FOLDER}/{}:{}: {}\nhelp: {help}",
                input.ident, unknown.variable, unknown.template, unknown.line, unknown.text,
            ),
        );
    }
}

fn implementation(
    input: &DeriveInput,
    lit: &LitStr,
    templates: &TemplateSet,
    fields: &[&Field],
) -> TokenStream {
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    let sources = templates.templates.iter().map(|template| {
        let (name, path) = (&template.name, format!("/{FOLDER}/{}", template.name));
        quote! {
            // An absolute path, because `include_str!` is relative to the file of the struct.
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

/// Implements the trait for an invalid struct, so that `Page<..>` of it is not a second error.
fn placeholder(input: &DeriveInput) -> TokenStream {
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

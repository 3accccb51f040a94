//! `#[derive(Template)] #[template("page.html")]`: embeds a template and checks it against its struct.

mod check;
pub(crate) mod data;
mod facts;
mod names;
mod nesting;
mod references;
mod scope;
mod template_set;

use crate::error::Errors;
use crate::keys::{Arguments, CRATE, Grammar, Key, Wants};
use crate::types;
use check::{Access, Checker, UrlCall};
use facts::Declared;
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use scope::Step;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, GenericParam, Ident, LitStr};
use template_set::{TemplateError, TemplateSet};

/// The folder of templates, next to `Cargo.toml`.
const FOLDER: &str = "templates";

/// The arguments of `#[template(..)]`.
pub(crate) const TEMPLATE: Grammar = Grammar {
    first_without_key: true,
    ..Grammar::new(
        "template",
        &[
            Key::new("path", Wants::Text, "\"page.html\""),
            Key::new("filters", Wants::Texts, "[\"shout\"]"),
            Key::new("globals", Wants::Texts, "[\"site_name\"]"),
            Key::new("templates", Wants::Texts, "[\"part.html\"]"),
            CRATE,
        ],
    )
};

/// The values of the arguments.
struct TemplateArgs {
    name: LitStr,
    /// The filters that the application adds.
    filters: Vec<String>,
    /// The globals that the application adds.
    globals: Vec<String>,
    /// The templates that a computed name can stand for.
    templates: Vec<String>,
}

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
    let arguments = TEMPLATE.parse_attributes(&input.attrs, &errors);
    // An invalid argument is one error: what it means for the templates is not known.
    let is_invalid = errors.any();
    let fields = fields(&input, &errors);
    let args = template_args(&input, &arguments, &errors).filter(|_| !is_invalid);
    let checked = args.map(|args| {
        let names: BTreeSet<String> = fields
            .iter()
            .flatten()
            .filter_map(|field| field_name(field))
            .collect();
        let templates = TemplateSet::read(folder, &args.name.value(), &args.templates, &names);
        let uses = check(&input, &args, &templates, fields.as_deref(), &errors);
        (args, templates, uses)
    });
    let implementation = match (checked, fields) {
        (Some((args, templates, uses)), Some(fields)) if !errors.any() => {
            implementation(&input, &args.name, &templates, &fields, &uses)
        }
        _ => placeholder(&input),
    };
    let implementation = arguments.crate_path().resolve(implementation);
    let errors = errors.into_tokens();
    quote!(#implementation #errors)
}

/// Returns the values of the arguments, or reports that the path is missing, or that a path is invalid.
fn template_args(input: &DeriveInput, arguments: &Arguments, errors: &Errors) -> Option<TemplateArgs> {
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
    let Some(name) = arguments.text("path").cloned() else {
        if !arguments.has("path") && !arguments.is_cut {
            errors.on(
                attribute,
                "expected the path of a template as a string literal\nhelp: write `#[template(\"page.html\")]`",
            );
        }
        return None;
    };
    for lit in std::iter::once(&name).chain(arguments.texts("templates")) {
        if !is_template_name(&lit.value()) {
            errors.on(
                lit,
                format!(
                    "invalid path of a template\nhelp: write its path below `{FOLDER}`, such as `user/page.html`"
                ),
            );
            return None;
        }
    }
    let values = |key| arguments.texts(key).iter().map(LitStr::value).collect();
    Some(TemplateArgs {
        name,
        filters: values("filters"),
        globals: values("globals"),
        templates: values("templates"),
    })
}

/// Returns whether a name is a path below the template folder, as the runtime has it.
fn is_template_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    name.split('/').all(is_part)
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

fn field_name(field: &Field) -> Option<String> {
    Some(field.ident.as_ref()?.unraw().to_string())
}

/// What rustc checks of the templates, with the text of an error for each.
#[derive(Default)]
struct Uses {
    /// The parts of fields.
    accesses: Vec<(Vec<Step>, String)>,
    /// The URLs of handlers: the name of the handler, and the captures.
    urls: Vec<((String, Vec<String>), String)>,
}

/// Reports the mistakes of the templates. Returns what rustc has to check.
fn check(
    input: &DeriveInput,
    args: &TemplateArgs,
    templates: &TemplateSet,
    fields: Option<&[&Field]>,
    errors: &Errors,
) -> Uses {
    let lit = &args.name;
    for error in &templates.errors {
        errors.on(lit, text_of(error, templates));
    }
    let Some(fields) = fields.filter(|_| templates.errors.is_empty()) else {
        return Uses::default();
    };
    let names: Vec<String> = fields.iter().filter_map(|field| field_name(field)).collect();
    let page = input.ident.to_string();
    let declared = Declared {
        page: &page,
        fields: &names,
        filters: &args.filters,
        globals: &args.globals,
        templates: &args.templates,
    };
    let trees = templates.trees();
    let mut checker = Checker::new(&trees, &declared);
    if let Some((name, _)) = trees.get_key_value(lit.value().as_str()) {
        checker.check(name);
    }
    checker.findings.extend(nesting::mistakes(&trees));
    for finding in &checker.findings {
        let source = templates.line(&finding.template, finding.line);
        let help = finding.help.as_ref().map(|help| format!("\nhelp: {help}"));
        errors.on(
            lit,
            format!(
                "{}\n  {FOLDER}/{}:{}: {source}{}",
                finding.message,
                finding.template,
                finding.line,
                help.unwrap_or_default()
            ),
        );
    }
    // Each part and each URL is checked once, where it is used first.
    let place =
        |template: &str, line| format!("{FOLDER}/{template}:{line}: {}", templates.line(template, line));
    let mut accesses: BTreeMap<Vec<Step>, String> = BTreeMap::new();
    for Access {
        steps,
        template,
        line,
    } in checker.accesses
    {
        let text = place(&template, line);
        accesses.entry(steps).or_insert(text);
    }
    let mut urls: BTreeMap<(String, Vec<String>), String> = BTreeMap::new();
    for UrlCall {
        handler,
        captures,
        template,
        line,
    } in checker.urls
    {
        let text = place(&template, line);
        urls.entry((handler, captures)).or_insert(text);
    }
    Uses {
        accesses: accesses
            .into_iter()
            .filter(|(steps, _)| steps.len() > 1)
            .collect(),
        urls: urls.into_iter().collect(),
    }
}

fn text_of(error: &TemplateError, templates: &TemplateSet) -> String {
    match error {
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
        TemplateError::InvalidName { name, template, line } => {
            let source = templates.line(template, *line);
            format!(
                "`{name}` is not the path of a template\n  {FOLDER}/{template}:{line}: {source}\nhelp: write its path below \
                 `{FOLDER}`, such as `user/page.html`"
            )
        }
        TemplateError::Computed { template, line } => {
            let source = templates.line(template, *line);
            format!(
                "the name of this template is computed, so it is not built into the program\n  \
                 {FOLDER}/{template}:{line}: {source}\nhelp: list the templates that it can be: \
                 `#[template(\"..\", templates = [\"a.html\", \"b.html\"])]`"
            )
        }
    }
}

fn implementation(
    input: &DeriveInput,
    lit: &LitStr,
    templates: &TemplateSet,
    fields: &[&Field],
    uses: &Uses,
) -> TokenStream {
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    let sources = templates.names().map(|name| {
        let path = format!("/{FOLDER}/{name}");
        quote! {
            // An absolute path, because `include_str!` is relative to the file of the struct.
            (#name, ::core::include_str!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #path)))
        }
    });
    let variables = fields.iter().filter_map(|field| {
        let member = field.ident.as_ref()?;
        let name = member.unraw().to_string();
        let variable = quote_spanned!(types::span(&field.ty)=> priv::variable);
        Some(quote!((#name, #variable(&self.#member))))
    });
    let checks = uses
        .accesses
        .iter()
        .filter_map(|(steps, text)| access_check(input, lit, fields, steps, text));
    let page = name.to_string();
    let has_urls = !uses.urls.is_empty();
    let urls = has_urls.then(|| quote!(const URLS: &'static [(&'static str, &'static priv::Spec)] = URLS;));
    let implementation = quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #generics priv::Template for #name #arguments #bounds {
            const NAME: &'static str = #lit;
            const SOURCES: &'static [(&'static str, &'static str)] = &[#(#sources),*];
            #urls
            fn context(&self) -> priv::Value {
                priv::variables(#page, [#(#variables),*])
            }
        }
    };
    let implementation = if has_urls {
        let urls = uses
            .urls
            .iter()
            .filter_map(|(url, text)| url_entry(lit, url, text));
        // Checked once, also if the struct has parameters.
        quote! {
            const _: () = {
                const URLS: &[(&str, &priv::Spec)] = &[#(#urls),*];
                #implementation
            };
        }
    } else {
        implementation
    };
    quote! {
        #implementation
        #(#checks)*
    }
}

/// Returns the entry of a URL: the name of its handler, and the route, with the check of its captures.
fn url_entry(lit: &LitStr, (handler, captures): &(String, Vec<String>), text: &str) -> Option<TokenStream> {
    let path = handler_path(handler, lit.span())?;
    Some(quote_spanned! {lit.span()=>
        (#handler, priv::template_url(&<#path as priv::Routed>::SPEC, &[#(#captures),*], #text))
    })
}

/// Returns whether a text is the name of a handler, or a path to it.
fn is_handler_path(name: &str) -> bool {
    handler_path(name, Span::call_site()).is_some()
}

/// Returns the path of a handler: `user`, `admin::user`, `crate::admin::user`. A name that is a keyword becomes a raw identifier.
fn handler_path(name: &str, span: Span) -> Option<TokenStream> {
    let parts: Vec<&str> = name.split("::").collect();
    let mut path = TokenStream::new();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let ident = match *part {
            "crate" if index == 0 && !is_last => Ident::new(part, span),
            "self" if index == 0 && !is_last => Ident::new(part, span),
            "super"
                if !is_last
                    && parts
                        .iter()
                        .take(index)
                        .all(|part| *part == "super" || *part == "self") =>
            {
                Ident::new(part, span)
            }
            "crate" | "self" | "super" | "Self" | "_" | "" => return None,
            part => {
                let mut ident = syn::parse_str::<Ident>(part)
                    .or_else(|_| syn::parse_str::<Ident>(&format!("r#{part}")))
                    .ok()?;
                ident.set_span(span);
                ident
            }
        };
        if index > 0 {
            path.extend(quote_spanned!(span=> ::));
        }
        path.extend([TokenTree::Ident(ident)]);
    }
    Some(path)
}

/// Returns the check that the type of a field has a part. Returns `None` if the type depends on a parameter of the struct.
fn access_check(
    input: &DeriveInput,
    lit: &LitStr,
    fields: &[&Field],
    steps: &[Step],
    text: &str,
) -> Option<TokenStream> {
    let (Step::Field(first), rest) = steps.split_first()? else {
        return None;
    };
    let field = fields
        .iter()
        .find(|field| field_name(field).as_ref() == Some(first))?;
    let parameters: Vec<String> = input
        .generics
        .params
        .iter()
        .filter_map(|param| match param {
            GenericParam::Type(param) => Some(param.ident.to_string()),
            GenericParam::Const(param) => Some(param.ident.to_string()),
            GenericParam::Lifetime(_) => None,
        })
        .collect();
    let ty = with_static_lifetimes(field.ty.to_token_stream(), &parameters)?;
    let rest = rest.iter().map(|step| match step {
        Step::Field(name) => quote!(Field(#name)),
        Step::Item => quote!(Item),
        Step::Method(name) => quote!(Method(#name)),
    });
    let check = quote_spanned!(lit.span()=> check_data(<DataProbe<#ty, 5>>::SHAPE, &[#(#rest),*], #text));
    Some(quote! {
        const _: () = {
            #[allow(unused_imports)]
            use priv::{AnyData, DataProbe, DataStep::*, check_data};
            #check
        };
    })
}

/// Replaces the lifetimes of a type by `'static`. Returns `None` if the type mentions a parameter.
fn with_static_lifetimes(tokens: TokenStream, parameters: &[String]) -> Option<TokenStream> {
    let mut replaced = Vec::new();
    let mut after_quote = false;
    for token in tokens {
        let token = match token {
            TokenTree::Ident(mut ident) => {
                if after_quote {
                    ident = Ident::new("static", ident.span());
                } else if parameters.contains(&ident.to_string()) || ident == "Self" {
                    return None;
                }
                TokenTree::Ident(ident)
            }
            TokenTree::Group(group) => {
                let mut inner = proc_macro2::Group::new(
                    group.delimiter(),
                    with_static_lifetimes(group.stream(), parameters)?,
                );
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            other => other,
        };
        after_quote = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
        replaced.push(token);
    }
    Some(replaced.into_iter().collect())
}

/// Implements the trait for an invalid struct, so that `Page<..>` of it is not a second error.
fn placeholder(input: &DeriveInput) -> TokenStream {
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #generics priv::Template for #name #arguments #bounds {
            const NAME: &'static str = "";
            const SOURCES: &'static [(&'static str, &'static str)] = &[];
            fn context(&self) -> priv::Value {
                priv::variables("", [])
            }
        }
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod tests;

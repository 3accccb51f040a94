//! `#[derive(TemplateData)]`: describes the fields of a struct, as serde serializes them, for the check of templates.

use crate::error::Errors;
use crate::keys::{CRATE, Grammar};
use crate::types;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DeriveInput, Fields, LitStr, Variant};

/// The number of structs within each other that are described. The runtime has the same number.
const DEPTH: u8 = 5;

/// The arguments of `#[template_data(..)]`.
pub(crate) const STRUCT: Grammar = Grammar::new("template_data", &[CRATE]);

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let errors = Errors::default();
    let brubeck = STRUCT.parse_attributes(&input.attrs, &errors).crate_path();
    let depths = 1..=DEPTH;
    let (name, (generics, arguments, bounds)) = (&input.ident, input.generics.split_for_impl());
    let implementations: Vec<TokenStream> = depths
        .map(|depth| {
            let shape = shape(&input, depth, &errors);
            quote! {
                #[automatically_derived]
                impl #generics priv::DataOf<#depth> for #name #arguments #bounds {
                    const SHAPE: &'static priv::DataShape = &#shape;
                }
            }
        })
        .collect();
    let errors = errors.into_tokens();
    let implementations = brubeck.resolve(quote! {
        const _: () = {
            #[allow(unused_imports)]
            use priv::AnyData;
            #(#implementations)*
        };
    });
    quote!(#implementations #errors)
}

fn shape(input: &DeriveInput, depth: u8, errors: &Errors) -> TokenStream {
    let any = quote!(priv::DataShape::Any);
    let container = SerdeAttributes::of(&input.attrs);
    if container.is_opaque {
        return any;
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => {
                let mut is_open = false;
                let fields = fields.named.iter().filter_map(|field| {
                    let serde = SerdeAttributes::of(&field.attrs);
                    is_open |= serde.is_flattened;
                    if serde.is_skipped || serde.is_flattened {
                        return None;
                    }
                    let ident = field.ident.as_ref()?.unraw().to_string();
                    let name = serde.name.unwrap_or_else(|| container.case.rename_field(&ident));
                    let shape = match serde.is_opaque {
                        true => quote!(&#any),
                        false => probe(&field.ty, depth),
                    };
                    Some(quote!((#name, #shape)))
                });
                let fields: Vec<TokenStream> = fields.collect();
                let name = container.name.unwrap_or_else(|| input.ident.unraw().to_string());
                quote! {
                    priv::DataShape::Struct {
                        name: #name,
                        fields: &[#(#fields),*],
                        is_open: #is_open,
                    }
                }
            }
            // A struct with a single field serializes as that field.
            Fields::Unnamed(fields) => match fields.unnamed.first() {
                Some(field) if fields.unnamed.len() == 1 && !SerdeAttributes::of(&field.attrs).is_opaque => {
                    let shape = probe(&field.ty, depth);
                    quote!(*#shape)
                }
                _ => any,
            },
            Fields::Unit => any,
        },
        // A variant without fields is its name.
        Data::Enum(data) if data.variants.iter().all(is_unit) => {
            quote!(priv::DataShape::Scalar("an enum"))
        }
        Data::Enum(_) => any,
        Data::Union(data) => {
            if depth == DEPTH {
                errors.on(
                    data.union_token,
                    "`TemplateData` can only be derived for a struct or an enum\nhelp: serde cannot serialize a union",
                );
            }
            any
        }
    }
}

/// Returns the shape of a type, which may not have one.
fn probe(ty: &syn::Type, depth: u8) -> TokenStream {
    let inner = depth - 1;
    quote_spanned!(types::span(ty)=> <priv::DataProbe<#ty, #inner>>::SHAPE)
}

fn is_unit(variant: &Variant) -> bool {
    matches!(variant.fields, Fields::Unit)
}

/// The attributes of serde that decide how a field or a struct is serialized.
#[derive(Default)]
struct SerdeAttributes {
    name: Option<String>,
    case: Case,
    is_skipped: bool,
    is_flattened: bool,
    /// The value is serialized as something else, which is not known here.
    is_opaque: bool,
}

impl SerdeAttributes {
    fn of(attributes: &[Attribute]) -> SerdeAttributes {
        let mut found = SerdeAttributes::default();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("serde"))
        {
            // Mistakes in these attributes are reported by serde.
            let _ = attribute.parse_nested_meta(|meta| found.read(&meta));
        }
        found
    }

    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let Some(key) = meta.path.get_ident().map(ToString::to_string) else {
            return Ok(());
        };
        match key.as_str() {
            "rename" => self.name = text(meta)?.or(self.name.take()),
            "rename_all" => {
                if let Some(case) = text(meta)? {
                    self.case = Case::of(&case);
                }
            }
            "skip" | "skip_serializing" => self.is_skipped = true,
            "flatten" => self.is_flattened = true,
            "transparent" | "into" | "with" | "serialize_with" | "remote" | "getter" | "tag" | "content"
            | "untagged" => {
                self.is_opaque = true;
                text(meta)?;
            }
            _ => {
                text(meta)?;
            }
        }
        Ok(())
    }
}

/// Returns the text of `key = "text"`, or of `serialize` in `key(serialize = "text", deserialize = "..")`.
fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<Option<String>> {
    if meta.input.peek(syn::Token![=]) {
        let value: syn::Expr = meta.value()?.parse()?;
        return Ok(match value {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        });
    }
    let mut serialized = None;
    if meta.input.peek(syn::token::Paren) {
        meta.parse_nested_meta(|inner| {
            if inner.path.is_ident("serialize") {
                let text: LitStr = inner.value()?.parse()?;
                serialized = Some(text.value());
            } else if inner.input.peek(syn::Token![=]) {
                let _: syn::Expr = inner.value()?.parse()?;
            }
            Ok(())
        })?;
    }
    Ok(serialized)
}

/// The rule by which serde renames fields.
#[derive(Clone, Copy, Default)]
enum Case {
    #[default]
    Unchanged,
    Upper,
    Pascal,
    Camel,
    Kebab,
    ScreamingKebab,
}

impl Case {
    fn of(name: &str) -> Case {
        match name {
            "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Case::Upper,
            "PascalCase" => Case::Pascal,
            "camelCase" => Case::Camel,
            "kebab-case" => Case::Kebab,
            "SCREAMING-KEBAB-CASE" => Case::ScreamingKebab,
            // The names of fields are in snake case already.
            _ => Case::Unchanged,
        }
    }

    fn rename_field(self, name: &str) -> String {
        match self {
            Case::Unchanged => name.to_owned(),
            Case::Upper => name.to_ascii_uppercase(),
            Case::Kebab => name.replace('_', "-"),
            Case::ScreamingKebab => name.to_ascii_uppercase().replace('_', "-"),
            Case::Pascal | Case::Camel => {
                let mut renamed = String::new();
                let mut is_start = matches!(self, Case::Pascal);
                for c in name.chars() {
                    if c == '_' {
                        is_start = true;
                    } else if is_start {
                        renamed.push(c.to_ascii_uppercase());
                        is_start = false;
                    } else {
                        renamed.push(c);
                    }
                }
                renamed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(input: TokenStream) -> String {
        expand(input).to_string()
    }

    #[test]
    fn fields_have_the_names_of_serde() {
        let text = expanded(quote! {
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            struct Book {
                first_title: String,
                #[serde(rename = "by")]
                author: Author,
                #[serde(rename(serialize = "yr", deserialize = "y"))]
                year: u16,
                #[serde(skip)]
                secret: String,
                #[serde(serialize_with = "as_text", default = "now")]
                date: Date,
                r#type: u8,
            }
        });
        for name in ["\"firstTitle\"", "\"by\"", "\"yr\"", "\"date\"", "\"type\""] {
            assert!(text.contains(name), "{name} {text}");
        }
        assert!(
            !text.contains("secret") && text.contains("is_open : false"),
            "{text}"
        );
        assert!(text.contains("DataProbe < Author , 4u8 >"), "{text}");
        assert!(!text.contains("DataProbe < Date"), "{text}");
        assert!(
            expanded(quote!(
                struct A {
                    #[serde(flatten)]
                    b: B,
                }
            ))
            .contains("is_open : true")
        );
        assert!(
            expanded(quote!(
                #[serde(into = "B")]
                struct A {
                    b: B,
                }
            ))
            .contains("DataShape :: Any")
        );
        assert!(
            expanded(quote!(
                struct Id(u32);
            ))
            .contains("DataProbe < u32")
        );
        assert!(
            expanded(quote!(
                enum E {
                    A,
                    B,
                }
            ))
            .contains("Scalar (\"an enum\")")
        );
        assert!(
            expanded(quote!(
                enum E {
                    A(u8),
                }
            ))
            .contains("DataShape :: Any")
        );
        assert_eq!(
            expanded(quote!(union U { a: u8 }))
                .matches("compile_error")
                .count(),
            1
        );
    }

    #[test]
    fn fields_are_renamed_as_by_serde() {
        for (case, expected) in [
            ("lowercase", "a_bc"),
            ("snake_case", "a_bc"),
            ("UPPERCASE", "A_BC"),
            ("SCREAMING_SNAKE_CASE", "A_BC"),
            ("PascalCase", "ABc"),
            ("camelCase", "aBc"),
            ("kebab-case", "a-bc"),
            ("SCREAMING-KEBAB-CASE", "A-BC"),
        ] {
            assert_eq!(Case::of(case).rename_field("a_bc"), expected, "{case}");
        }
    }
}

//! The path of brubeck in generated code.
//!
//! The code generation writes `priv::Spec` for an item of brubeck's `__private`, and [`CratePath::resolve`] replaces the word in all generated
//! tokens at once. `priv` is a reserved word, so the user's types and names, which are among these tokens, do not contain it.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Expr, Lit, Path};

/// The path of the crate `brubeck`: `::brubeck`, unless the user gives another one with the key `crate`.
#[derive(Clone, Default)]
pub(crate) struct CratePath {
    /// `None` for `::brubeck`.
    tokens: Option<TokenStream>,
}

impl CratePath {
    /// Returns the path that the value of a key `crate` contains: `jazz`, `"jazz"` or `$crate::brubeck`.
    pub(crate) fn from_value(value: &Expr) -> Option<CratePath> {
        let path = match value {
            Expr::Path(path) if path.qself.is_none() && path.attrs.is_empty() => path.path.clone(),
            Expr::Lit(lit) => match &lit.lit {
                Lit::Str(text) => text.parse_with(Path::parse_mod_style).ok()?,
                _ => return None,
            },
            _ => return None,
        };
        let is_plain = path.segments.iter().all(|segment| segment.arguments.is_none());
        is_plain.then(|| CratePath::of(path.to_token_stream()))
    }

    pub(crate) fn of(path: TokenStream) -> CratePath {
        CratePath { tokens: Some(path) }
    }

    /// Returns `true` if the path is relative to the scope of the attribute.
    pub(crate) fn is_relative(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| {
            let first = tokens.clone().into_iter().next();
            first.is_some_and(|first| first.to_string() != ":")
        })
    }

    /// Returns the path as it is written in a child module.
    pub(crate) fn within_module(&self) -> CratePath {
        CratePath {
            tokens: self.tokens.as_ref().map(crate::types::within_module),
        }
    }

    /// Replaces `priv` in generated code by the path of `__private`.
    pub(crate) fn resolve(&self, generated: TokenStream) -> TokenStream {
        let mut resolved = TokenStream::new();
        for token in generated {
            match token {
                TokenTree::Ident(word) if word == "priv" => {
                    self.private(word.span()).to_tokens(&mut resolved)
                }
                TokenTree::Group(group) => {
                    let mut inner = Group::new(group.delimiter(), self.resolve(group.stream()));
                    inner.set_span(group.span());
                    resolved.extend([TokenTree::Group(inner)]);
                }
                other => resolved.extend([other]),
            }
        }
        resolved
    }

    /// Returns the path of `__private`. Errors about it are reported at `span`, but a path of the user is resolved where the user wrote it:
    /// `$crate` is the crate of its macro.
    fn private(&self, span: Span) -> TokenStream {
        let brubeck = match &self.tokens {
            Some(tokens) => {
                let located = tokens.clone().into_iter().map(|mut token| {
                    token.set_span(token.span().located_at(span));
                    token
                });
                located.collect()
            }
            None => {
                let name = Ident::new("brubeck", span);
                quote::quote_spanned!(span=> ::#name)
            }
        };
        let private = Ident::new("__private", span);
        let colons = quote::quote_spanned!(span=> ::);
        quote!(#brubeck #colons #private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(value: &str, generated: TokenStream) -> Option<String> {
        let path = CratePath::from_value(&syn::parse_str(value).expect("the value should be an expression"))?;
        Some(path.resolve(generated).to_string().replace(' ', ""))
    }

    #[test]
    fn path_is_an_identifier_a_path_or_a_string() {
        let spec = |value| resolved(value, quote!(priv::Spec));
        assert_eq!(spec("jazz").as_deref(), Some("jazz::__private::Spec"));
        assert_eq!(spec("\"::jazz\"").as_deref(), Some("::jazz::__private::Spec"));
        assert_eq!(
            spec("crate::a::b").as_deref(),
            Some("crate::a::b::__private::Spec")
        );
        assert_eq!(spec("\"crate::a\"").as_deref(), Some("crate::a::__private::Spec"));
        for wrong in [
            "5",
            "\"a b\"",
            "\"\"",
            "true.x",
            "a::<u8>",
            "<u8 as A>::b",
            "[jazz]",
            "\"<\"",
        ] {
            assert_eq!(spec(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn user_tokens_are_not_changed() {
        let user = quote!(::brubeck::Json<brubeck::__private::Spec, r#priv::X>);
        let resolved = resolved("jazz", quote!(priv::Checked<#user>)).expect("a path");
        let user = user.to_string().replace(' ', "");
        assert_eq!(resolved, format!("jazz::__private::Checked<{user}>"));
    }

    #[test]
    fn default_is_the_name_of_the_crate() {
        let tokens = CratePath::default().resolve(quote!({ priv::Spec }));
        assert_eq!(
            tokens.to_string().replace(' ', ""),
            "{::brubeck::__private::Spec}"
        );
    }

    #[test]
    fn no_other_file_writes_the_path() {
        fn search(folder: &std::path::Path) {
            for entry in std::fs::read_dir(folder)
                .expect("the sources should be readable")
                .flatten()
            {
                let path = entry.path();
                if path.is_dir() {
                    search(&path);
                } else if !path.ends_with("crate_path.rs") {
                    let text = std::fs::read_to_string(&path).expect("a source should be text");
                    let path = path.display();
                    assert!(
                        !text.contains("::brubeck::__private"),
                        "write `priv` in {path}, which `crate` can rename"
                    );
                }
            }
        }
        search(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    }

    #[test]
    fn relative_path_is_extended_in_a_child_module() {
        let path = CratePath::from_value(&syn::parse_quote!(self::jazz)).expect("a path");
        let tokens = path.within_module().resolve(quote!(priv::Spec));
        assert_eq!(
            tokens.to_string().replace(' ', ""),
            "super::jazz::__private::Spec"
        );
    }
}

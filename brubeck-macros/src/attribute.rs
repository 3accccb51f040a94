//! Keys and values of the handler attributes.

use crate::error::{Errors, suggest};
use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Lit, LitStr, Path, Token};

const KEYS: [&str; 2] = ["path", "method"];

/// `("^/")`, `(path = "^/", method = "get")` or `(slow_echo::echo)`.
#[derive(Default)]
pub(crate) struct Attribute {
    pub(crate) path: Option<LitStr>,
    /// A path is given that cannot be read, which is reported: that one is missing is not said as well.
    pub(crate) path_is_broken: bool,
    pub(crate) method: Option<LitStr>,
    /// The operation of a contract, in place of a path and a method.
    pub(crate) operation: Option<Path>,
    /// Every key, known or half-typed, for completion in an editor.
    pub(crate) keys: Vec<Ident>,
}

impl Attribute {
    /// Reads as much as it can; what it cannot read is reported.
    pub(crate) fn parse(name: &str, tokens: TokenStream, errors: &Errors) -> Attribute {
        let mut attribute = Attribute::default();
        let result = (|input: ParseStream<'_>| attribute.read(name, input, errors)).parse2(tokens);
        errors.keep(result);
        attribute
    }

    fn read(&mut self, name: &str, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        while !input.is_empty() {
            if input.peek(Lit) {
                self.read_path(name, input, errors)?;
            } else if input.peek(Ident::peek_any) && input.peek2(Token![=]) {
                self.read_pair(input, errors)?;
            } else {
                self.read_operation(input, errors)?;
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    fn read_path(&mut self, name: &str, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        let lit: Lit = input.parse()?;
        match lit {
            Lit::Str(lit) if self.path.is_none() => self.path = Some(lit),
            Lit::Str(lit) => errors.on(lit, "`path` is given twice"),
            other => {
                self.path_is_broken = true;
                errors.on(other, format!("a path is a string\nhelp: `#[{name}(\"^/...\")]`"));
            }
        }
        Ok(())
    }

    fn read_pair(&mut self, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        let key = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        self.keys.push(key.clone());
        let word = key.unraw().to_string();
        let slot = match word.as_str() {
            "path" => &mut self.path,
            "method" => &mut self.method,
            _ => {
                errors.on(&key, unknown(&word));
                input.parse::<Expr>()?;
                return Ok(());
            }
        };
        if !input.peek(LitStr) {
            let value: Expr = input.parse()?;
            self.path_is_broken |= word == "path";
            let text = if word == "path" { "^/..." } else { "get" };
            errors.on(
                value,
                format!("`{word}` is a string literal, since attributes see no constants\nhelp: `{word} = \"{text}\"`"),
            );
            return Ok(());
        }
        let value: LitStr = input.parse()?;
        if slot.is_some() {
            errors.on(&key, format!("`{word}` is given twice"));
        } else {
            *slot = Some(value);
        }
        Ok(())
    }

    fn read_operation(&mut self, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        let path = input.call(Path::parse_mod_style)?;
        if let Some(word) = path.get_ident() {
            let text = word.to_string();
            if KEYS.contains(&text.as_str()) {
                self.keys.push(word.clone());
                self.path_is_broken |= text == "path";
                let value = if text == "path" { "^/..." } else { "get" };
                errors.on(
                    &path,
                    format!("`{text}` needs a value\nhelp: `{text} = \"{value}\"`"),
                );
                return Ok(());
            }
            if self.path.is_some() {
                self.keys.push(word.clone());
                errors.on(&path, unknown(&text));
                return Ok(());
            }
        }
        if self.operation.is_some() {
            errors.on(
                &path,
                "one handler serves one operation\nhelp: write a handler for each",
            );
        } else {
            self.operation = Some(path);
        }
        Ok(())
    }
}

fn unknown(word: &str) -> String {
    let help = suggest(word, KEYS)
        .map(|meant| format!("\nhelp: did you mean `{meant}`?"))
        .unwrap_or_default();
    format!("unknown argument `{word}`; expected `path` or `method`{help}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn parse(tokens: TokenStream) -> (Attribute, String) {
        let errors = Errors::default();
        let attribute = Attribute::parse("get", tokens, &errors);
        (attribute, errors.into_tokens().to_string())
    }

    #[test]
    fn a_bare_string_is_the_path() {
        let (attribute, errors) = parse(quote!("^/"));
        assert_eq!(attribute.path.map(|lit| lit.value()).as_deref(), Some("^/"));
        assert_eq!(errors, "");
    }

    #[test]
    fn keys_come_in_any_order() {
        let (attribute, errors) = parse(quote!(method = "get", path = "^/",));
        assert_eq!(attribute.path.map(|lit| lit.value()).as_deref(), Some("^/"));
        assert_eq!(attribute.method.map(|lit| lit.value()).as_deref(), Some("get"));
        assert_eq!(errors, "");
    }

    #[test]
    fn an_operation_is_a_path() {
        for tokens in [
            quote!(slow_echo::echo),
            quote!(echo),
            quote!(::lib::slow_echo::echo),
            quote!(crate::a),
        ] {
            let (attribute, errors) = parse(tokens);
            assert!(attribute.operation.is_some());
            assert_eq!(errors, "");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let said = |tokens, text: &str| {
            let (_, errors) = parse(tokens);
            assert!(errors.contains(text), "{errors}");
        };
        said(
            quote!(metod = "get"),
            "unknown argument `metod`; expected `path` or `method`",
        );
        said(quote!(metod = "get"), "did you mean `method`?");
        said(quote!(path = "^/", path = "^/a"), "`path` is given twice");
        said(quote!("^/", path = "^/a"), "`path` is given twice");
        said(quote!(path), "`path` needs a value");
        said(quote!(path = PATH), "since attributes see no constants");
        said(quote!(5), "a path is a string");
        said(quote!("^/", meth), "did you mean `method`?");
        said(quote!(a::b, c::d), "one handler serves one operation");
    }

    #[test]
    fn what_was_read_before_a_syntax_error_is_kept() {
        let (attribute, errors) = parse(quote!(path = "^/" method));
        assert!(attribute.path.is_some());
        assert!(errors.contains("expected `,`"));
    }
}

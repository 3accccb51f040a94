//! Keys and values of the handler attributes.

use crate::error::{Errors, suggest};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Lit, LitInt, LitStr, Path, Token};

const KEYS: [&str; 4] = ["path", "method", "blocking", "concurrency"];

/// The attribute that has all of the keys; the others have the first two.
const SERVICE: &str = "service_handler";

/// `("^/")`, `(path = "^/", method = "get")`, `(slow_echo::echo)` or `(.., blocking, concurrency = 2)`.
#[derive(Default)]
pub(crate) struct Attribute {
    pub(crate) path: Option<LitStr>,
    /// A path is given that cannot be read, which is reported: that one is missing is not said as well.
    pub(crate) path_is_broken: bool,
    pub(crate) method: Option<LitStr>,
    /// The operation of a contract, in place of a path and a method.
    pub(crate) operation: Option<Path>,
    /// The handler is no `async fn`: it runs where it may block.
    pub(crate) blocking: bool,
    /// How many of the handler run at once.
    pub(crate) concurrency: Option<LitInt>,
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
                self.read_pair(name, input, errors)?;
            } else {
                self.read_word(name, input, errors)?;
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

    fn read_pair(&mut self, name: &str, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        let key = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        self.keys.push(key.clone());
        let word = key.unraw().to_string();
        let slot = match word.as_str() {
            "path" => &mut self.path,
            "method" => &mut self.method,
            "concurrency" => return self.read_slots(name, &key, input, errors),
            "blocking" => {
                let value: Expr = input.parse()?;
                errors.on(
                    value,
                    "`blocking` takes no value\nhelp: leave it out, or write `blocking` alone",
                );
                return Ok(());
            }
            _ => {
                errors.on(&key, unknown(name, &word));
                input.parse::<Expr>()?;
                return Ok(());
            }
        };
        if !input.peek(LitStr) {
            let value: Expr = input.parse()?;
            self.path_is_broken |= word == "path";
            let help = example(&word);
            errors.on(
                value,
                format!("`{word}` is a string literal, since attributes see no constants\nhelp: `{help}`"),
            );
            return Ok(());
        }
        let value: LitStr = input.parse()?;
        if slot.is_some() {
            errors.on(&key, twice(&word));
        } else {
            *slot = Some(value);
        }
        Ok(())
    }

    fn read_slots(
        &mut self,
        name: &str,
        key: &Ident,
        input: ParseStream<'_>,
        errors: &Errors,
    ) -> syn::Result<()> {
        let value: Expr = input.parse()?;
        let number = syn::parse2::<LitInt>(value.to_token_stream()).ok();
        let positive = |lit: &LitInt| lit.base10_parse::<u32>().is_ok_and(|number| number > 0);
        if name != SERVICE {
            errors.on(key, service_alone("concurrency"));
        } else if self.concurrency.is_some() {
            errors.on(key, twice("concurrency"));
        } else {
            self.concurrency = number.filter(positive);
            if self.concurrency.is_none() {
                errors.on(
                    value,
                    "`concurrency` is how many run at once, at least 1\nhelp: `concurrency = 4`",
                );
            }
        }
        Ok(())
    }

    /// A key without a value, or else an operation.
    fn read_word(&mut self, name: &str, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        let path = input.call(Path::parse_mod_style)?;
        let Some(word) = path.get_ident().cloned() else {
            self.set_operation(path, errors);
            return Ok(());
        };
        let text = word.unraw().to_string();
        match text.as_str() {
            "blocking" if name != SERVICE => errors.on(&word, service_alone("blocking")),
            "blocking" if self.blocking => errors.on(&word, twice("blocking")),
            "blocking" => self.blocking = true,
            "path" | "method" | "concurrency" => {
                self.path_is_broken |= text == "path";
                errors.on(
                    &word,
                    format!("`{text}` needs a value\nhelp: `{}`", example(&text)),
                );
            }
            _ if self.path.is_some() => errors.on(&word, unknown(name, &text)),
            _ => {
                self.set_operation(path, errors);
                return Ok(());
            }
        }
        self.keys.push(word);
        Ok(())
    }

    fn set_operation(&mut self, path: Path, errors: &Errors) {
        if self.operation.is_some() {
            errors.on(
                &path,
                "one handler serves one operation\nhelp: write a handler for each",
            );
        } else {
            self.operation = Some(path);
        }
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "path" => "path = \"^/...\"",
        "method" => "method = \"get\"",
        _ => "concurrency = 4",
    }
}

fn twice(word: &str) -> String {
    format!("`{word}` is given twice")
}

fn service_alone(word: &str) -> String {
    format!(
        "`{word}` is for services\nhelp: have a `#[{SERVICE}(.., {word}{})]` do the work, and call it",
        if word == "concurrency" { " = .." } else { "" }
    )
}

fn unknown(name: &str, word: &str) -> String {
    let (known, expected) = if name == SERVICE {
        (&KEYS[..], "`path`, `method`, `blocking` or `concurrency`")
    } else {
        (&KEYS[..2], "`path` or `method`")
    };
    let help = suggest(word, known.iter().copied())
        .map(|meant| format!("\nhelp: did you mean `{meant}`?"))
        .unwrap_or_default();
    format!("unknown argument `{word}`; expected {expected}{help}")
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

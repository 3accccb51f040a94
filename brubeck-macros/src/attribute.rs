//! Parses the arguments of the handler attributes.

use crate::error::{Errors, suggest};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Lit, LitInt, LitStr, Path, Token};

/// The only attribute that accepts all keys.
const SERVICE: &str = "service_handler";

/// Returns the keys that an attribute accepts. The name of most attributes implies the method.
fn keys_of(name: &str) -> &'static [&'static str] {
    match name {
        SERVICE => &["path", "method", "blocking", "concurrency"],
        "web_handler" => &["path", "method"],
        _ => &["path"],
    }
}

/// The arguments of a handler attribute: `("^/")`, `(path = "^/", method = "get")`, `(slow_echo::echo)` or
/// `(.., blocking, concurrency = 2)`.
#[derive(Default)]
pub(crate) struct HandlerArgs {
    pub(crate) path: Option<LitStr>,
    /// Set if an invalid path was reported. A missing path is then not reported as a second error.
    pub(crate) path_is_broken: bool,
    pub(crate) method: Option<LitStr>,
    /// The operation of a contract, instead of a path and a method.
    pub(crate) operation: Option<Path>,
    /// The handler is a plain `fn` that may block its thread.
    pub(crate) blocking: bool,
    /// The maximum number of calls of the handler that run at once, a `u32` of at least 1.
    pub(crate) concurrency: Option<LitInt>,
    /// Every key as written, also if it is unknown or has no value, for completion in an editor.
    pub(crate) keys: Vec<Ident>,
}

impl HandlerArgs {
    /// Parses the arguments up to the first syntax error. Reports that error, and every invalid argument before it.
    pub(crate) fn parse(name: &str, tokens: TokenStream, errors: &Errors) -> HandlerArgs {
        let mut args = HandlerArgs::default();
        let result = (|input: ParseStream<'_>| args.read(name, input, errors)).parse2(tokens);
        errors.keep(result);
        args
    }

    fn read(&mut self, name: &str, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        while !input.is_empty() {
            // A literal is the path, `key = ..` a pair, and anything else a key without a value or an operation.
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
            Lit::Str(lit) => errors.on(lit, duplicate("path")),
            other => {
                self.path_is_broken = true;
                errors.on(
                    other,
                    format!("the path must be a string literal\nhelp: write `#[{name}(\"^/...\")]`"),
                );
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
            "concurrency" => return self.read_concurrency(name, &key, input, errors),
            "blocking" => {
                let value: Expr = input.parse()?;
                if name == SERVICE {
                    errors.on(
                        value,
                        "`blocking` takes no value\nhelp: write `blocking` alone, or remove it",
                    );
                } else {
                    errors.on(&key, service_only("blocking"));
                }
                return Ok(());
            }
            _ => {
                errors.on(&key, unknown(name, &word));
                // The value is consumed, so that the keys after it are parsed, too.
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
                format!("`{word}` must be a string literal: an attribute cannot read constants\nhelp: write `{help}`"),
            );
            return Ok(());
        }
        let value: LitStr = input.parse()?;
        if slot.is_some() {
            errors.on(&key, duplicate(&word));
        } else {
            *slot = Some(value);
        }
        Ok(())
    }

    fn read_concurrency(
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
            errors.on(key, service_only("concurrency"));
        } else if self.concurrency.is_some() {
            errors.on(key, duplicate("concurrency"));
        } else {
            self.concurrency = number.filter(positive);
            if self.concurrency.is_none() {
                errors.on(
                    value,
                    "`concurrency` must be an integer of at least 1: the number of calls that may run at once\nhelp: write `concurrency = 4`",
                );
            }
        }
        Ok(())
    }

    /// Reads a key without a value, or an operation.
    fn read_word(&mut self, name: &str, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        let path = input.call(Path::parse_mod_style)?;
        // Keys are single identifiers, so a path of several segments is an operation.
        let Some(word) = path.get_ident().cloned() else {
            self.set_operation(path, errors);
            return Ok(());
        };
        let text = word.unraw().to_string();
        match text.as_str() {
            "blocking" if name != SERVICE => errors.on(&word, service_only("blocking")),
            "blocking" if self.blocking => errors.on(&word, duplicate("blocking")),
            "blocking" => self.blocking = true,
            "concurrency" if name != SERVICE => errors.on(&word, service_only("concurrency")),
            "path" | "method" | "concurrency" if keys_of(name).contains(&text.as_str()) => {
                self.path_is_broken |= text == "path";
                errors.on(
                    &word,
                    format!("`{text}` needs a value\nhelp: write `{}`", example(&text)),
                );
            }
            "method" => errors.on(&word, unknown(name, &text)),
            // With a path there cannot be an operation, so this is a misspelt key.
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
                "a handler serves one operation\nhelp: write a function for each operation",
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

fn duplicate(word: &str) -> String {
    format!("`{word}` is given twice\nhelp: remove one of them")
}

fn service_only(word: &str) -> String {
    format!(
        "`{word}` is supported by `#[{SERVICE}]` only\nhelp: move the work to a `#[{SERVICE}(.., {word}{})]` and call it from here",
        if word == "concurrency" { " = .." } else { "" }
    )
}

fn unknown(name: &str, word: &str) -> String {
    let keys = keys_of(name);
    let expected = match keys.len() {
        1 => "`path`",
        2 => "`path` or `method`",
        _ => "`path`, `method`, `blocking` or `concurrency`",
    };
    let help = suggest(word, keys.iter().copied())
        .map(|meant| format!("\nhelp: did you mean `{meant}`?"))
        .unwrap_or_default();
    format!("unknown key `{word}`; expected {expected}{help}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn parse(tokens: TokenStream) -> (HandlerArgs, String) {
        parse_as("web_handler", tokens)
    }

    fn parse_as(name: &str, tokens: TokenStream) -> (HandlerArgs, String) {
        let errors = Errors::default();
        let args = HandlerArgs::parse(name, tokens, &errors);
        (args, errors.into_tokens().to_string())
    }

    #[test]
    fn parses_bare_string_as_path() {
        let (args, errors) = parse(quote!("^/"));
        assert_eq!(args.path.map(|lit| lit.value()).as_deref(), Some("^/"));
        assert_eq!(errors, "");
    }

    #[test]
    fn parses_keys_in_any_order() {
        let (args, errors) = parse(quote!(method = "get", path = "^/",));
        assert_eq!(args.path.map(|lit| lit.value()).as_deref(), Some("^/"));
        assert_eq!(args.method.map(|lit| lit.value()).as_deref(), Some("get"));
        assert_eq!(errors, "");
    }

    #[test]
    fn parses_rust_path_as_operation() {
        for tokens in [
            quote!(slow_echo::echo),
            quote!(echo),
            quote!(::lib::slow_echo::echo),
            quote!(crate::a),
        ] {
            let (args, errors) = parse(tokens);
            assert!(args.operation.is_some());
            assert_eq!(errors, "");
        }
    }

    #[test]
    fn reports_mistakes_with_a_fix() {
        let assert_reported = |tokens, text: &str| {
            let (_, errors) = parse(tokens);
            assert!(errors.contains(text), "{errors}");
        };
        assert_reported(
            quote!(metod = "get"),
            "unknown key `metod`; expected `path` or `method`",
        );
        assert_reported(quote!(metod = "get"), "did you mean `method`?");
        assert_reported(quote!(path = "^/", path = "^/a"), "`path` is given twice");
        assert_reported(quote!("^/", path = "^/a"), "`path` is given twice");
        assert_reported(quote!(path), "`path` needs a value");
        assert_reported(quote!(path = PATH), "an attribute cannot read constants");
        assert_reported(quote!(5), "the path must be a string literal");
        assert_reported(quote!("^/", meth), "did you mean `method`?");
        assert_reported(quote!(a::b, c::d), "a handler serves one operation");
    }

    #[test]
    fn suggests_only_keys_that_the_attribute_accepts() {
        let reported = |name, tokens| parse_as(name, tokens).1;
        let unknown = reported("get", quote!("^/", metod = "get"));
        assert!(
            unknown.contains("unknown key `metod`; expected `path`"),
            "{unknown}"
        );
        assert!(!unknown.contains("did you mean"), "{unknown}");
        for tokens in [
            quote!("^/", blocking = true),
            quote!("^/", blocking),
            quote!("^/", concurrency),
            quote!("^/", concurrency = 2),
        ] {
            let text = reported("get", tokens);
            assert!(
                text.contains("is supported by `#[service_handler]` only"),
                "{text}"
            );
        }
        let method = reported("get", quote!("^/", method));
        assert!(method.contains("unknown key `method`"), "{method}");
        let blocking = reported("service_handler", quote!("^/", blocking = true));
        assert!(blocking.contains("`blocking` takes no value"), "{blocking}");
    }

    #[test]
    fn keeps_arguments_before_a_syntax_error() {
        let (args, errors) = parse(quote!(path = "^/" method));
        assert!(args.path.is_some());
        assert!(errors.contains("expected `,`"));
    }
}

//! `#[websocket]` and `#[json_socket]`: handlers of connections that speak both ways.

use super::lower::Route;
use crate::error::{Errors, suggest};
use crate::item::ItemFn;
use crate::types;
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Lit, LitStr, Token, bracketed};

const KEYS: [&str; 3] = ["path", "protocols", "origins"];

/// What a handler of a WebSocket agrees to.
#[derive(Default)]
pub(crate) struct Terms {
    protocols: Vec<LitStr>,
    origins: Vec<LitStr>,
}

impl Terms {
    /// Takes `protocols = [..]` and `origins = [..]` out of an attribute; what is left is that of any handler.
    pub(super) fn take(attribute: TokenStream, errors: &Errors) -> (Terms, TokenStream) {
        let mut terms = Terms::default();
        let mut rest = TokenStream::new();
        let result = (|input: ParseStream<'_>| terms.read(input, &mut rest, errors)).parse2(attribute);
        errors.keep(result);
        (terms, rest)
    }

    fn read(&mut self, input: ParseStream<'_>, rest: &mut TokenStream, errors: &Errors) -> syn::Result<()> {
        while !input.is_empty() {
            if input.peek(Ident) && input.peek2(Token![=]) {
                let key: Ident = input.parse()?;
                let equals: Token![=] = input.parse()?;
                match key.to_string().as_str() {
                    "protocols" => self.protocols = words(input, &key, check_protocol, errors)?,
                    "origins" => self.origins = words(input, &key, check_origin, errors)?,
                    "path" => {
                        let value: Expr = input.parse()?;
                        rest.extend(quote!(#key #equals #value,));
                    }
                    word => {
                        errors.on(&key, unknown(word));
                        input.parse::<Expr>()?;
                    }
                }
            } else {
                let value: Expr = input.parse()?;
                rest.extend(quote!(#value,));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    /// Whether the client may have a WebSocket, before anything else is read.
    pub(super) fn check(&self) -> TokenStream {
        let Terms { protocols, origins } = self;
        quote! {
            if let ::core::result::Result::Err(rejection) =
                ::brubeck::__private::socket_offered(&__cx, &[#(#protocols),*], &[#(#origins),*])
            {
                return ::brubeck::__private::IntoReply::into_reply(rejection);
            }
        }
    }

    /// Opens it and runs the handler.
    pub(super) fn run(&self, function: &ItemFn, call: &TokenStream) -> TokenStream {
        let (span, ty) = match function.returned() {
            Some(ty) => (types::span(ty), quote!(#ty)),
            None => (function.name().span(), quote!(())),
        };
        let run = quote_spanned!(span=> ::brubeck::__private::socket_run::<__S, #ty, _>);
        quote!(#run(&__cx, #call))
    }
}

/// A handler that does not take its socket would close it at once.
pub(super) fn check_route(route: &Route, function: &ItemFn, errors: &Errors) {
    let takes_it = route.arguments.iter().any(|argument| {
        let words = argument.ty.to_token_stream().into_iter();
        words.into_iter().any(|token| token.to_string() == "WebSocket")
    });
    if !takes_it {
        errors.on(
            function.name(),
            "a handler of a WebSocket takes it as an argument\nhelp: add `mut socket: WebSocket`",
        );
    }
}

fn words(
    input: ParseStream<'_>,
    key: &Ident,
    check: fn(&str) -> Result<(), String>,
    errors: &Errors,
) -> syn::Result<Vec<LitStr>> {
    if !input.peek(syn::token::Bracket) {
        let value: Expr = input.parse()?;
        errors.on(
            value,
            format!("`{key}` is a list of strings\nhelp: `{key} = [\"..\"]`"),
        );
        return Ok(Vec::new());
    }
    let list;
    bracketed!(list in input);
    let words = Punctuated::<Lit, Token![,]>::parse_terminated(&list)?;
    let mut checked = Vec::new();
    for word in words {
        match word {
            Lit::Str(word) => match check(&word.value()) {
                Ok(()) => checked.push(word),
                Err(error) => errors.on(&word, error),
            },
            other => errors.on(other, format!("`{key}` is a list of strings")),
        }
    }
    Ok(checked)
}

/// A token of RFC 9110, 5.6.2.
fn check_protocol(word: &str) -> Result<(), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_token) {
        true => Ok(()),
        false => Err(format!(
            "`{word}` is no name of a subprotocol: it has letters, digits and such signs as `.` and `-`"
        )),
    }
}

fn check_origin(word: &str) -> Result<(), String> {
    let site = word.split_once("://").map(|(_, site)| site);
    match word == "*" || site.is_some_and(|site| !site.is_empty() && !site.contains('/')) {
        true => Ok(()),
        false => Err(format!(
            "`{word}` is no origin\nhelp: write it as `https://example.com`, or `*` for all"
        )),
    }
}

fn unknown(word: &str) -> String {
    let help = suggest(word, KEYS)
        .map(|meant| format!("\nhelp: did you mean `{meant}`?"))
        .unwrap_or_default();
    format!("unknown argument `{word}`; expected `path`, `protocols` or `origins`{help}")
}

/// `"@chat"` becomes the pattern of the path under which its messages are routed.
pub(super) fn message_path(attribute: TokenStream, errors: &Errors) -> TokenStream {
    let name = match syn::parse2::<LitStr>(attribute.clone()) {
        Ok(name) => name,
        Err(_) if attribute.is_empty() => {
            let span = proc_macro2::Span::call_site();
            errors.at(
                span,
                "`#[json_socket]` needs a name\nhelp: `#[json_socket(\"@name\")]`",
            );
            return quote!(path = "^/@broken$");
        }
        Err(_) => {
            errors.on(
                attribute,
                "a message socket has a name, as in Mongrel2's routes\nhelp: `#[json_socket(\"@name\")]`",
            );
            return quote!(path = "^/@broken$");
        }
    };
    let value = name.value();
    let word = value.strip_prefix(['@', '<']).unwrap_or_default();
    if word.is_empty()
        || !word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    {
        errors.on(
            &name,
            format!(
                "`{value}` is no name of a message socket: it is `@` (JSON) or `<` (XML) and then letters, digits, `-` or `_`"
            ),
        );
        return quote!(path = "^/@broken$");
    }
    let pattern = LitStr::new(&format!("^/{value}$"), name.span());
    quote!(path = #pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(tokens: TokenStream) -> (Terms, String, String) {
        let errors = Errors::default();
        let (terms, rest) = Terms::take(tokens, &errors);
        (terms, rest.to_string(), errors.into_tokens().to_string())
    }

    #[test]
    fn the_terms_are_taken_out() {
        let (terms, rest, errors) = take(quote!(
            "^/chat$",
            protocols = ["a", "b"],
            origins = ["https://x.example"]
        ));
        assert_eq!((terms.protocols.len(), terms.origins.len()), (2, 1));
        assert_eq!(rest, "\"^/chat$\" ,");
        assert_eq!(errors, "");
        let (_, rest, errors) = take(quote!(path = "^/chat$"));
        assert_eq!((rest.as_str(), errors.as_str()), ("path = \"^/chat$\" ,", ""));
    }

    #[test]
    fn mistakes_are_named() {
        let said = |tokens, text: &str| {
            let (_, _, errors) = take(tokens);
            assert!(errors.contains(text), "{errors}");
        };
        said(quote!("^/", protocol = ["a"]), "did you mean `protocols`?");
        said(quote!("^/", protocols = "a"), "`protocols` is a list of strings");
        said(quote!("^/", protocols = ["a b"]), "no name of a subprotocol");
        said(quote!("^/", origins = ["example.com"]), "is no origin");
        said(quote!("^/", origins = [5]), "`origins` is a list of strings");
    }

    #[test]
    fn a_name_becomes_a_path() {
        let path = |tokens| {
            let errors = Errors::default();
            let path = message_path(tokens, &errors).to_string();
            (path, errors.into_tokens().to_string())
        };
        assert_eq!(path(quote!("@chat")).0, "path = \"^/@chat$\"");
        assert_eq!(path(quote!("<chat")).0, "path = \"^/<chat$\"");
        assert!(path(quote!("chat")).1.contains("no name of a message socket"));
        assert!(path(quote!("@a/b")).1.contains("no name of a message socket"));
        assert!(path(quote!()).1.contains("needs a name"));
        assert!(path(quote!(path = "@chat")).1.contains("has a name"));
    }
}

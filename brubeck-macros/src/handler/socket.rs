//! `#[websocket]` and `#[json_socket]`: handlers of bidirectional connections.

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

/// The keys of `#[websocket]` that other attributes do not have.
#[derive(Default)]
pub(crate) struct SocketOptions {
    protocols: Vec<LitStr>,
    origins: Vec<LitStr>,
}

impl SocketOptions {
    /// Parses `protocols = [..]` and `origins = [..]`. Returns them, and the other arguments, which the parser of all handler attributes
    /// reads. Reports unknown keys.
    pub(super) fn split_off(attribute: TokenStream, errors: &Errors) -> (SocketOptions, TokenStream) {
        let mut options = SocketOptions::default();
        let mut rest = TokenStream::new();
        let result = (|input: ParseStream<'_>| options.read(input, &mut rest, errors)).parse2(attribute);
        errors.keep(result);
        (options, rest)
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

    /// Returns the check of the handshake, which runs before the arguments are extracted.
    pub(super) fn check(&self) -> TokenStream {
        let SocketOptions { protocols, origins } = self;
        quote! {
            if let ::core::result::Result::Err(rejection) =
                ::brubeck::__private::socket_offered(&__cx, &[#(#protocols),*], &[#(#origins),*])
            {
                return ::brubeck::__private::IntoReply::into_reply(rejection);
            }
        }
    }

    /// Returns the expression that opens the WebSocket and runs the handler.
    pub(super) fn run(&self, function: &ItemFn, call: &TokenStream) -> TokenStream {
        let (span, ty) = match function.returned() {
            Some(ty) => (types::span(ty), quote!(#ty)),
            None => (function.name().span(), quote!(())),
        };
        let run = quote_spanned!(span=> ::brubeck::__private::socket_run::<__S, #ty, _>);
        quote!(#run(&__cx, #call))
    }
}

/// Reports a handler without a socket among its arguments: nothing could be sent or received. The type is recognized by its name, so an
/// alias of `WebSocket` is reported, too.
pub(super) fn check_takes_socket(route: &Route, function: &ItemFn, errors: &Errors) {
    let takes_socket = route.arguments.iter().any(|argument| {
        let mut tokens = argument.ty.to_token_stream().into_iter();
        tokens.any(|token| token.to_string() == "WebSocket")
    });
    if !takes_socket {
        errors.on(
            function.name(),
            "a WebSocket handler must take the socket as an argument\nhelp: add `mut socket: WebSocket`",
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
            format!("`{key}` must be a list of string literals\nhelp: write `{key} = [\"..\"]`"),
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
            other => errors.on(
                other,
                format!("`{key}` must be a list of string literals\nhelp: write `{key} = [\"..\"]`"),
            ),
        }
    }
    Ok(checked)
}

/// Checks that a subprotocol is a token of RFC 9110, section 5.6.2.
fn check_protocol(word: &str) -> Result<(), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if word.is_empty() || !word.bytes().all(is_token) {
        return Err(format!(
            "`{word}` is not a valid name of a subprotocol\nhelp: use letters, digits and characters such as `.` and `-`"
        ));
    }
    Ok(())
}

fn check_origin(word: &str) -> Result<(), String> {
    let site = word.split_once("://").map(|(_, site)| site);
    if word == "*" || site.is_some_and(|site| !site.is_empty() && !site.contains('/')) {
        return Ok(());
    }
    let host = site.unwrap_or(word).split('/').next().unwrap_or_default();
    let host = if host.is_empty() { "example.com" } else { host };
    Err(format!(
        "`{word}` is not an origin\nhelp: write `https://{host}`, or `*` for every origin"
    ))
}

fn unknown(word: &str) -> String {
    let help = suggest(word, KEYS)
        .map(|meant| format!("\nhelp: did you mean `{meant}`?"))
        .unwrap_or_default();
    format!("unknown key `{word}`; expected `path`, `protocols` or `origins`{help}")
}

/// Converts a name such as `"@chat"` to the arguments of a handler attribute: the messages of the socket are routed by the path `/@chat`.
/// An invalid name is reported and replaced by a valid path, so that a missing path is not a second error.
pub(super) fn message_path(attribute: TokenStream, errors: &Errors) -> TokenStream {
    let name = match syn::parse2::<LitStr>(attribute.clone()) {
        Ok(name) => name,
        Err(_) if attribute.is_empty() => {
            let span = proc_macro2::Span::call_site();
            errors.at(
                span,
                "`#[json_socket]` needs a name\nhelp: write `#[json_socket(\"@name\")]`",
            );
            return quote!(path = "^/@broken$");
        }
        Err(_) => {
            errors.on(
                attribute,
                "the name of a message socket must be a string literal\nhelp: write `#[json_socket(\"@name\")]`",
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
                "`{value}` is not the name of a message socket\nhelp: write `@name` (JSON) or `<name` (XML), with letters, \
                 digits, `-` or `_`"
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

    fn split_off(tokens: TokenStream) -> (SocketOptions, String, String) {
        let errors = Errors::default();
        let (options, rest) = SocketOptions::split_off(tokens, &errors);
        (options, rest.to_string(), errors.into_tokens().to_string())
    }

    #[test]
    fn splits_off_protocols_and_origins() {
        let (options, rest, errors) = split_off(quote!(
            "^/chat$",
            protocols = ["a", "b"],
            origins = ["https://x.example"]
        ));
        assert_eq!((options.protocols.len(), options.origins.len()), (2, 1));
        assert_eq!(rest, "\"^/chat$\" ,");
        assert_eq!(errors, "");
        let (_, rest, errors) = split_off(quote!(path = "^/chat$"));
        assert_eq!((rest.as_str(), errors.as_str()), ("path = \"^/chat$\" ,", ""));
    }

    #[test]
    fn reports_mistakes_with_a_fix() {
        let assert_reported = |tokens, text: &str| {
            let (_, _, errors) = split_off(tokens);
            assert!(errors.contains(text), "{errors}");
        };
        assert_reported(quote!("^/", protocol = ["a"]), "did you mean `protocols`?");
        assert_reported(
            quote!("^/", protocols = "a"),
            "`protocols` must be a list of string literals",
        );
        assert_reported(
            quote!("^/", protocols = ["a b"]),
            "is not a valid name of a subprotocol",
        );
        assert_reported(
            quote!("^/", origins = ["example.com"]),
            "help: write `https://example.com`",
        );
        assert_reported(
            quote!("^/", origins = [5]),
            "`origins` must be a list of string literals",
        );
    }

    #[test]
    fn converts_a_name_to_a_path() {
        let path = |tokens| message_path(tokens, &Errors::default()).to_string();
        assert_eq!(path(quote!("@chat")), "path = \"^/@chat$\"");
        assert_eq!(path(quote!("<chat")), "path = \"^/<chat$\"");
    }

    #[test]
    fn reports_an_invalid_name() {
        let assert_reported = |tokens, text: &str| {
            let errors = Errors::default();
            message_path(tokens, &errors);
            let errors = errors.into_tokens().to_string();
            assert!(errors.contains(text), "{errors}");
        };
        assert_reported(quote!("chat"), "is not the name of a message socket");
        assert_reported(quote!("@a/b"), "is not the name of a message socket");
        assert_reported(quote!(), "needs a name");
        assert_reported(quote!(path = "@chat"), "must be a string literal");
    }
}

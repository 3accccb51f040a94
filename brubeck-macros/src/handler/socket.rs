//! `#[websocket]` and `#[json_socket]`: handlers of bidirectional connections.

use super::lower::Route;
use crate::error::Errors;
use crate::item::ItemFn;
use crate::keys::Arguments;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::LitStr;

/// The keys of `#[websocket]` that other attributes do not have.
#[derive(Default)]
pub(crate) struct SocketOptions {
    protocols: Vec<LitStr>,
    origins: Vec<LitStr>,
}

impl SocketOptions {
    /// Reads `protocols = [..]` and `origins = [..]`, and reports values that no client can send.
    pub(super) fn new(arguments: &Arguments, errors: &Errors) -> SocketOptions {
        SocketOptions {
            protocols: checked(arguments.texts("protocols"), check_protocol, errors),
            origins: checked(arguments.texts("origins"), check_origin, errors),
        }
    }

    /// Returns the check of the handshake, which runs before the arguments are extracted.
    pub(super) fn check(&self) -> TokenStream {
        let SocketOptions { protocols, origins } = self;
        quote! {
            if let ::core::result::Result::Err(rejection) =
                priv::socket_offered(&__cx, &[#(#protocols),*], &[#(#origins),*])
            {
                return priv::IntoReply::into_reply(rejection);
            }
        }
    }

    /// Returns the expression that opens the WebSocket and runs the handler.
    pub(super) fn run(&self, function: &ItemFn, call: &TokenStream) -> TokenStream {
        let (span, ty) = function.returned_type();
        let run = quote_spanned!(span=> priv::socket_run::<__S, #ty, _>);
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

fn checked(words: &[LitStr], check: fn(&str) -> Result<(), String>, errors: &Errors) -> Vec<LitStr> {
    let is_valid = |word: &&LitStr| check(&word.value()).map_err(|text| errors.on(word, text)).is_ok();
    words.iter().filter(is_valid).cloned().collect()
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

/// Checks that a browser can send a text as the origin of a page (RFC 6454, section 6.2). `*` stands for every origin.
fn check_origin(word: &str) -> Result<(), String> {
    if word == "*" {
        return Ok(());
    }
    let (scheme, rest) = word.split_once("://").unwrap_or(("https", word));
    let site = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = site.rsplit('@').next().unwrap_or_default();
    let page_scheme = match scheme {
        "ws" => "http",
        "wss" => "https",
        other => other,
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let help = if host.contains('*') {
        "list each origin; `*` alone stands for every one".to_owned()
    } else if !host.is_ascii() {
        "write the host as browsers send it, in Punycode: `https://xn--..`".to_owned()
    } else if is_scheme && is_host(host) {
        format!("write `{page_scheme}://{host}`, or `*` for every origin")
    } else {
        "write `https://example.com`, or `*` for every origin".to_owned()
    };
    let is_origin =
        is_scheme && page_scheme == scheme && format!("{scheme}://{host}") == word && is_host(host);
    if is_origin && !host.contains('*') {
        return Ok(());
    }
    Err(format!(
        "`{word}` is not the origin of a page: a scheme, a host and an optional port\nhelp: {help}"
    ))
}

/// Returns whether a text is a host, as browsers send it, with an optional port.
fn is_host(text: &str) -> bool {
    let (is_name, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        (address.parse::<std::net::Ipv6Addr>().is_ok(), port)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (name, port) = text.split_at(end);
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        (is_name, port)
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        });
    is_name && is_port
}

/// Converts a name such as `"@chat"` to a route pattern: the messages of the socket are routed by the path `/@chat`. A missing or invalid
/// name is reported and replaced by a valid one, so that the path is not a second error.
pub(super) fn message_path(arguments: &Arguments, errors: &Errors) -> LitStr {
    let broken = || LitStr::new("^/@broken$", Span::call_site());
    let Some(name) = arguments.text("name") else {
        if !arguments.has("name") && !arguments.is_cut {
            errors.at(
                Span::call_site(),
                "`#[json_socket]` needs a name\nhelp: write `#[json_socket(\"@name\")]`",
            );
        }
        return broken();
    };
    let value = name.value();
    let word = value.strip_prefix(['@', '<']).unwrap_or_default();
    if word.is_empty()
        || !word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    {
        errors.on(
            name,
            format!(
                "`{value}` is not the name of a message socket\nhelp: write `@name` (JSON) or `<name` (XML), with letters, \
                 digits, `-` or `_`"
            ),
        );
        return broken();
    }
    LitStr::new(&format!("^/{value}$"), name.span())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::HandlerAttribute;

    fn parse(attribute: HandlerAttribute, tokens: TokenStream) -> (Arguments, Errors) {
        let errors = Errors::default();
        (attribute.grammar().parse(tokens, &errors), errors)
    }

    fn options(tokens: TokenStream) -> (SocketOptions, String) {
        let (arguments, errors) = parse(HandlerAttribute::WEBSOCKET, tokens);
        let options = SocketOptions::new(&arguments, &errors);
        (options, errors.into_tokens().to_string())
    }

    #[test]
    fn reads_protocols_and_origins() {
        let (options, errors) = options(quote!(
            "^/chat$",
            protocols = ["a", "b"],
            origins = ["https://x.example"]
        ));
        assert_eq!((options.protocols.len(), options.origins.len()), (2, 1));
        assert_eq!(errors, "");
    }

    #[test]
    fn reports_mistakes_with_a_fix() {
        let assert_reported = |tokens, text: &str| {
            let (_, errors) = options(tokens);
            assert!(errors.contains(text), "{errors}");
        };
        assert_reported(quote!("^/", protocol = ["a"]), "did you mean `protocols`?");
        assert_reported(
            quote!("^/", protocols = ["a b"]),
            "is not a valid name of a subprotocol",
        );
        assert_reported(
            quote!("^/", origins = ["example.com"]),
            "help: write `https://example.com`",
        );
    }

    #[test]
    fn origin_is_one_that_a_browser_can_send() {
        for origin in [
            "*",
            "https://example.com",
            "http://localhost:8080",
            "https://EXAMPLE.com:443",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "https://xn--strae-oqa.example",
            "chrome-extension://abcdef",
            "capacitor://localhost",
            "https://a_b.example",
        ] {
            assert_eq!(check_origin(origin), Ok(()), "{origin}");
        }
        for (origin, help) in [
            ("example.com", "`https://example.com`"),
            ("example.com:8080", "`https://example.com:8080`"),
            ("//example.com", "`https://example.com`"),
            ("https://example.com/", "`https://example.com`"),
            ("https://example.com/chat?x#y", "`https://example.com`"),
            ("https://example.com?x", "`https://example.com`"),
            ("https://example.com#x", "`https://example.com`"),
            ("https://example.com\\chat", "`https://example.com`"),
            ("https://user@example.com", "`https://example.com`"),
            ("wss://example.com", "`https://example.com`"),
            ("ws://localhost:1", "`http://localhost:1`"),
            ("https://*.example.com", "list each origin"),
            ("https://*", "list each origin"),
            ("**", "list each origin"),
            ("https://stra\u{df}e.example", "Punycode"),
            ("https://example.com:", "`https://example.com`"),
            ("https://example.com:65536", "`https://example.com`"),
            ("https://example.com:port", "`https://example.com`"),
            ("https://example.com:+80", "`https://example.com`"),
            ("https://", "`https://example.com`"),
            ("https:// example.com", "`https://example.com`"),
            ("https://example.com ", "`https://example.com`"),
            ("https://a b", "`https://example.com`"),
            ("https://[::1", "`https://example.com`"),
            ("https://[::g]", "`https://example.com`"),
            ("https://::1", "`https://example.com`"),
            ("1http://example.com", "`https://example.com`"),
            ("null", "`https://null`"),
            ("", "`https://example.com`"),
            ("https:example.com", "`https://example.com`"),
        ] {
            let error = check_origin(origin).expect_err(origin);
            assert!(error.contains(help), "{origin}: {error}");
        }
    }

    fn path(tokens: TokenStream) -> (String, String) {
        let (arguments, errors) = parse(HandlerAttribute::JSON_SOCKET, tokens);
        let path = message_path(&arguments, &errors).value();
        (path, errors.into_tokens().to_string())
    }

    #[test]
    fn converts_a_name_to_a_path() {
        assert_eq!(path(quote!("@chat")), ("^/@chat$".to_owned(), String::new()));
        assert_eq!(path(quote!(name = "<chat")).0, "^/<chat$");
    }

    #[test]
    fn reports_an_invalid_name() {
        let assert_reported = |tokens, text: &str| {
            let (_, errors) = path(tokens);
            assert!(errors.contains(text), "{errors}");
        };
        assert_reported(quote!("chat"), "is not the name of a message socket");
        assert_reported(quote!("@a/b"), "is not the name of a message socket");
        assert_reported(quote!(), "needs a name");
        assert_reported(quote!(path = "@chat"), "unknown key `path`");
        assert_reported(quote!(NAME), "unknown key `NAME`");
    }
}

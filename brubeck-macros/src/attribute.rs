//! The arguments of the handler attributes.

use crate::crate_path::CratePath;
use crate::error::Errors;
use crate::handler::HandlerAttribute;
use crate::keys::{Arguments, CRATE, Grammar, Key, Wants};
use crate::method::Kind;
use proc_macro2::TokenStream;
use syn::{Ident, LitInt, LitStr, Path};

const PATH: Key = Key::new("path", Wants::Text, "\"^/...\"");
const METHOD: Key = Key::new("method", Wants::Text, "\"get\"");
const BLOCKING: Key = Key::flag("blocking");
const CONCURRENCY: Key = Key::new("concurrency", Wants::Count, "4");
const PROTOCOLS: Key = Key::new("protocols", Wants::Texts, "[\"chat.v1\"]");
const ORIGINS: Key = Key::new("origins", Wants::Texts, "[\"https://example.com\"]");
const NAME: Key = Key::new("name", Wants::Text, "\"@name\"");

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
    /// Set if an invalid `blocking` was reported. The function is then accepted with `async` and without.
    pub(crate) blocking_is_broken: bool,
    /// The maximum number of calls of the handler that run at once, a `u32` of at least 1.
    pub(crate) concurrency: Option<LitInt>,
    /// The key `crate`.
    pub(crate) crate_path: CratePath,
    /// Every key as written, also if it is unknown or has no value, for completion in an editor.
    pub(crate) keys: Vec<Ident>,
}

impl HandlerAttribute {
    /// Returns the keys that the attribute accepts. The name of most attributes implies the method.
    pub(crate) fn grammar(self) -> Grammar {
        let keys: &[Key] = match self.name {
            "service_handler" => &[PATH, METHOD, BLOCKING, CONCURRENCY, CRATE],
            "web_handler" => &[PATH, METHOD, CRATE],
            "websocket" => &[PATH, PROTOCOLS, ORIGINS, CRATE],
            "json_socket" => &[NAME, CRATE],
            _ => &[PATH, CRATE],
        };
        Grammar {
            attribute: self.name,
            keys,
            first_without_key: true,
            takes_operation: !matches!(self.name, "websocket" | "json_socket"),
            elsewhere,
        }
    }
}

impl HandlerArgs {
    /// Parses the arguments up to the first syntax error. Reports that error, and every invalid argument before it.
    pub(crate) fn parse(
        attribute: HandlerAttribute,
        tokens: TokenStream,
        errors: &Errors,
    ) -> (HandlerArgs, Arguments) {
        let mut arguments = attribute.grammar().parse(tokens, errors);
        let path = arguments.text(PATH.name).cloned();
        let args = HandlerArgs {
            path_is_broken: path.is_none() && (arguments.has(PATH.name) || arguments.is_cut),
            path,
            method: arguments.text(METHOD.name).cloned(),
            // After a syntax error it is not certain that the name is all of the operation.
            operation: arguments.operation.take().filter(|_| !arguments.is_cut),
            blocking: arguments.flag(BLOCKING.name),
            blocking_is_broken: !arguments.flag(BLOCKING.name)
                && arguments.words.iter().any(|word| *word == BLOCKING.name),
            concurrency: arguments.count(CONCURRENCY.name).cloned(),
            crate_path: arguments.crate_path(),
            keys: std::mem::take(&mut arguments.words),
        };
        (args, arguments)
    }
}

/// Returns the error for a key that only other attributes have, or that is set where the application is built.
fn elsewhere(attribute: &str, word: &str) -> Option<String> {
    let attribute = HandlerAttribute::named(attribute)?;
    let name = attribute.name;
    let on_service = |argument: &str| {
        format!(
            "`{word}` is supported by `#[service_handler]` only\n\
             help: move the work to a `#[service_handler(.., {argument})]` and call it from here"
        )
    };
    let limit = |setter: &str| {
        format!(
            "`{word}` is not a key of `#[{name}]`\n\
             help: limit the handler where the application is built: `App::new(..).limit::<handler>(Limits::new().{setter})`"
        )
    };
    let is_page = attribute.kind == Kind::Web && name != "websocket";
    match (word, attribute.method) {
        ("blocking", _) => Some(on_service("blocking")),
        ("concurrency", _) if is_page => Some(limit("concurrency(4)")),
        ("concurrency", _) => Some(on_service("concurrency = 4")),
        ("timeout", _) if is_page => Some(limit("timeout(Duration::from_secs(5))")),
        ("body_limit", _) if is_page => Some(limit("body_limit(1 << 20)")),
        ("method", Some(fixed)) if name != "json_socket" => Some(format!(
            "`#[{name}]` already sets the method to \"{fixed}\"\nhelp: remove `method`"
        )),
        _ => None,
    }
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
        let attribute = HandlerAttribute::named(name).expect("a handler attribute");
        let (args, _) = HandlerArgs::parse(attribute, tokens, &errors);
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
    fn points_to_the_place_of_a_key_that_an_attribute_does_not_have() {
        let assert_reported = |name, tokens, text: &str| {
            let (_, errors) = parse_as(name, tokens);
            assert!(errors.contains(text), "{errors}");
        };
        let limit = "App::new(..).limit::<handler>(Limits::new().concurrency(4))";
        assert_reported("get", quote!("^/", concurrency = 2), limit);
        assert_reported("web_handler", quote!("^/", concurrency), limit);
        assert_reported("post", quote!("^/", timeout = "5s"), "Limits::new().timeout(");
        assert_reported("post", quote!("^/", body_limit = 5), "Limits::new().body_limit(");
        let service = "is supported by `#[service_handler]` only";
        assert_reported("get", quote!("^/", blocking = true), service);
        assert_reported("get", quote!(blocking), service);
        assert_reported("response_handler", quote!(a::b, concurrency = 2), service);
        assert_reported(
            "get",
            quote!("^/", method = "post"),
            "already sets the method to \\\"get\\\"",
        );
        assert_reported(
            "websocket",
            quote!("^/", method),
            "already sets the method to \\\"get\\\"",
        );
        let unknown =
            "unknown key `timeout`; expected `path`, `method`, `blocking`, `concurrency` or `crate`";
        assert_reported("service_handler", quote!("^/", timeout = "5s"), unknown);
    }

    #[test]
    fn a_macro_is_not_the_name_of_an_operation() {
        for tokens in [quote!(concat!("^/", "a")), quote!(path = concat!("^/", "a"))] {
            let (args, errors) = parse(tokens);
            assert!(args.path_is_broken && args.operation.is_none());
            assert!(errors.contains("an attribute cannot read constants"), "{errors}");
        }
    }

    #[test]
    fn keeps_arguments_before_a_syntax_error() {
        let (args, errors) = parse(quote!(path = "^/" method));
        assert!(args.path.is_some());
        assert!(errors.contains("expected `,`"));
    }
}

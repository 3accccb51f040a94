//! Every key of every attribute with every kind of value: a mistake is exactly one error, which names the key.

use super::{Grammar, Key, Wants};
use crate::handler::HandlerAttribute;
use crate::{contract, handler, state, template};
use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use std::path::Path;

/// A place where an attribute takes arguments.
struct Site {
    grammar: Grammar,
    /// The arguments without which the attribute has an error.
    required: &'static str,
    expand: Box<dyn Fn(TokenStream) -> TokenStream>,
}

fn sites() -> Vec<Site> {
    let mut sites: Vec<Site> = HandlerAttribute::ALL
        .into_iter()
        .map(|attribute| Site {
            grammar: attribute.grammar(),
            required: match attribute.name {
                "json_socket" => "\"@x\"",
                _ => "\"^/x$\"",
            },
            expand: Box::new(move |arguments| {
                let is_blocking = arguments
                    .clone()
                    .into_iter()
                    .any(|token| token.to_string() == "blocking");
                let is_async = (!is_blocking).then(|| quote!(async));
                handler::expand(attribute, arguments, quote!(#is_async fn x(socket: WebSocket) {}))
            }),
        })
        .collect();
    let operation = |arguments: TokenStream| {
        quote!(
            trait X {
                #[call(#arguments)]
                async fn x(&self) -> Result<(), Problem>;
            }
        )
    };
    let folder = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expand/templates");
    sites.extend([
        Site {
            grammar: contract::CALL,
            required: "\"/x\"",
            expand: Box::new(move |arguments| contract::expand(TokenStream::new(), operation(arguments))),
        },
        Site {
            grammar: contract::SERVICE_CLIENT,
            required: "",
            expand: Box::new(move |arguments| contract::expand(arguments, operation(quote!("/x")))),
        },
        Site {
            grammar: state::STRUCT,
            required: "",
            expand: Box::new(|arguments| {
                state::expand(quote!(
                    #[state(#arguments)]
                    struct X {
                        x: u8,
                    }
                ))
            }),
        },
        Site {
            grammar: state::FIELD,
            required: "",
            expand: Box::new(|arguments| {
                state::expand(quote!(
                    struct X {
                        #[state(#arguments)]
                        x: u8,
                    }
                ))
            }),
        },
        Site {
            grammar: template::TEMPLATE,
            required: "\"success.html\"",
            expand: Box::new(move |arguments| {
                template::expand_in(
                    &folder(),
                    quote!(
                        #[template(#arguments)]
                        struct X {
                            name: String,
                        }
                    ),
                )
            }),
        },
    ]);
    sites
}

impl Site {
    fn errors(&self, arguments: &str) -> Vec<String> {
        let tokens = arguments.parse().expect("the arguments should be tokens");
        let mut errors = Vec::new();
        collect_errors((self.expand)(tokens), &mut errors);
        errors
    }

    /// Returns the arguments with another one, which replaces the required one if it is the same key.
    fn with(&self, key: &str, argument: &str) -> String {
        let is_first = self.grammar.first_without_key
            && self.grammar.keys.first().is_some_and(|first| first.name == key);
        if self.required.is_empty() || is_first {
            argument.to_owned()
        } else {
            format!("{}, {argument}", self.required)
        }
    }

    fn assert_one_error(&self, key: &str, arguments: &str) {
        let attribute = self.grammar.attribute;
        let errors = self.errors(arguments);
        assert!(
            errors.len() == 1
                && errors[0].contains(&format!("`{key}`"))
                && (errors[0].contains("help:") || errors[0].contains("expected `")),
            "#[{attribute}({arguments})]: {errors:?}"
        );
    }

    fn assert_valid(&self, arguments: &str) {
        let attribute = self.grammar.attribute;
        assert_eq!(
            self.errors(arguments),
            Vec::<String>::new(),
            "#[{attribute}({arguments})]"
        );
    }
}

fn collect_errors(tokens: TokenStream, errors: &mut Vec<String>) {
    let mut is_error = false;
    for token in tokens {
        match token {
            TokenTree::Ident(word) if word == "compile_error" => is_error = true,
            TokenTree::Group(group) if is_error => {
                let text: syn::LitStr = syn::parse2(group.stream()).expect("a text");
                errors.push(text.value());
                is_error = false;
            }
            TokenTree::Group(group) => collect_errors(group.stream(), errors),
            _ => {}
        }
    }
}

/// Ways to write a key, with the kinds of values.
const FORMS: [&str; 12] = [
    "{}",
    "{} =",
    "{} = \"?\"",
    "{} = 5",
    "{} = 0",
    "{} = -5",
    "{} = true",
    "{} = a::b",
    "{} = [1]",
    "{} = concat!(\"a\", \"b\")",
    "{}: \"?\"",
    "{}(\"?\")",
];

fn is_valid(key: &Key, form: &str) -> bool {
    match key.wants {
        Wants::Text | Wants::Duration => form == "{} = \"?\"",
        Wants::Count => form == "{} = 5",
        Wants::Flag => form == "{}",
        Wants::Texts => false,
        Wants::Crate => matches!(form, "{} = \"?\"" | "{} = a::b"),
    }
}

#[test]
fn every_mistake_is_one_error_that_names_the_key() {
    let mut tried = 0;
    for site in sites() {
        for key in site.grammar.keys {
            for form in FORMS {
                let text = match key.wants {
                    Wants::Text | Wants::Duration => key.example.trim_matches('"'),
                    _ => "a",
                };
                let argument = form.replace("{}", key.name).replace('?', text);
                let arguments = match (site.grammar.attribute, key.name) {
                    // The examples in the help are patterns, which are checked, too.
                    ("call", "path") => site.with(key.name, &argument.replace("/...", "/x")),
                    ("template", "path") => site.with(key.name, &argument.replace("page", "success")),
                    _ => site.with(key.name, &argument.replace("^/...", "^/x")),
                };
                if is_valid(key, form) {
                    site.assert_valid(&arguments);
                } else {
                    site.assert_one_error(key.name, &arguments);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried} mistakes");
}

#[test]
fn a_key_that_is_given_twice_is_one_error_whatever_its_values() {
    for site in sites() {
        for key in site.grammar.keys {
            let flag = key.wants == Wants::Flag;
            let written = if flag { key.name.to_owned() } else { key.written() };
            let written = written.replace("/...", "/x").replace("page.html", "success.html");
            for form in FORMS {
                let second = form.replace("{}", key.name).replace('?', "a");
                site.assert_one_error(key.name, &site.with(key.name, &format!("{written}, {second}")));
            }
        }
    }
}

#[test]
fn an_unknown_key_is_one_error_whatever_its_value() {
    for site in sites() {
        for form in FORMS {
            let arguments = site.with("colour", &form.replace("{}", "colour").replace('?', "a"));
            site.assert_one_error("colour", &arguments);
            let known = site
                .grammar
                .keys
                .iter()
                .all(|key| site.errors(&arguments)[0].contains(key.name));
            assert!(
                known,
                "the error should list the known keys: {:?}",
                site.errors(&arguments)
            );
        }
    }
}

#[test]
fn the_closest_key_is_suggested_and_listed_first() {
    for site in sites() {
        for key in site.grammar.keys {
            let misspelt = format!("{}s", key.name);
            if site.grammar.keys.iter().any(|other| other.name == misspelt) {
                continue;
            }
            let errors = site.errors(&site.with(&misspelt, &format!("{misspelt} = 5")));
            let expected = format!("unknown key `{misspelt}`; expected `{}`", key.name);
            assert!(
                errors.len() == 1 && errors[0].starts_with(&expected),
                "{errors:?}"
            );
            assert!(
                errors[0].ends_with(&format!("did you mean `{}`?", key.name)),
                "{errors:?}"
            );
        }
    }
}

#[test]
fn values_without_a_key_are_one_error() {
    for site in sites() {
        for value in [
            "5",
            "-5",
            "'c'",
            "[1]",
            "a.b",
            "5 + 5",
            "concat!(\"a\")",
            "&\"a\"",
            ";",
        ] {
            let errors = site.errors(value);
            assert_eq!(
                errors.len(),
                1,
                "#[{}({value})]: {errors:?}",
                site.grammar.attribute
            );
        }
    }
}

#[test]
fn names_that_an_attribute_does_not_have_point_to_their_place() {
    for (site, words) in [
        (
            "call",
            &["concurrency = 4", "concurrency", "blocking", "crate = a"][..],
        ),
        (
            "service_client",
            &["timeout = \"5s\"", "path = \"/x\"", "idempotent"],
        ),
        (
            "get",
            &["concurrency = 4", "blocking", "timeout = 5", "method = \"get\""],
        ),
    ] {
        let sites = sites();
        let site = sites
            .iter()
            .find(|found| found.grammar.attribute == site)
            .expect("a site");
        for word in words {
            let key = word.split(' ').next().expect("a word");
            site.assert_one_error(key, &site.with(key, word));
        }
    }
}

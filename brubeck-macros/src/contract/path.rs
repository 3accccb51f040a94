//! The path of an operation: `/service/user/{id}`.

use crate::error::Errors;
use syn::{Ident, LitStr};

pub(super) struct CallPath {
    pub(super) lit: LitStr,
    pub(super) parts: Vec<Part>,
}

pub(super) enum Part {
    Text(String),
    /// `{id}`, filled by the argument of that name.
    Place(String),
}

impl CallPath {
    pub(super) fn parse(lit: LitStr, errors: &Errors) -> Option<CallPath> {
        let text = lit.value();
        let fail = |message: String| {
            errors.on(&lit, message);
            None
        };
        if let Some(path) = text.strip_prefix('^') {
            let path = path.trim_end_matches('$');
            return fail(format!(
                "a contract path is a path to send to, not a pattern\nhelp: write `{path}`"
            ));
        }
        if !text.starts_with('/') {
            return fail(format!("a contract path starts with `/`\nhelp: write `/{text}`"));
        }
        if let Some(bad) = text
            .chars()
            .find(|c| matches!(c, '?' | '#' | '%') || !c.is_ascii_graphic())
        {
            return fail(format!(
                "a contract path is a path alone: `{}` cannot be in it\nhelp: arguments without a place in the path \
                 are sent beside it",
                bad.escape_debug()
            ));
        }
        let (mut parts, mut rest) = (Vec::new(), text.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return fail("unclosed `{` in the path".to_owned());
            };
            if syn::parse_str::<Ident>(name).is_err() {
                return fail(format!("`{{{name}}}` is not the name of an argument"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            } else if !parts.is_empty() {
                return fail(format!(
                    "nothing parts `{{{name}}}` from the place before it\nhelp: put a `/` between"
                ));
            }
            parts.push(Part::Place(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return fail("`}` without a `{` in the path".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Some(CallPath { lit, parts })
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The route pattern of the path.
    pub(super) fn pattern(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => regex_syntax::escape(text),
            Part::Place(name) => format!("(?<{name}>[^/]+)"),
        });
        format!("^{}$", parts.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    fn parse(text: &str) -> Result<String, String> {
        let errors = Errors::default();
        let path = CallPath::parse(LitStr::new(text, Span::call_site()), &errors);
        path.map(|path| path.pattern())
            .ok_or_else(|| errors.into_tokens().to_string())
    }

    #[test]
    fn a_path_is_a_pattern_of_its_own() {
        assert_eq!(parse("/service/slow").unwrap(), "^/service/slow$");
        assert_eq!(
            parse("/user/{id}/p.{tab}").unwrap(),
            r"^/user/(?<id>[^/]+)/p\.(?<tab>[^/]+)$"
        );
    }

    #[test]
    fn mistakes_are_named() {
        let said = |path: &str, text: &str| {
            let got = parse(path).unwrap_err();
            assert!(got.contains(text), "{got}");
        };
        said("^/service/slow$", "help: write `/service/slow`");
        said("service", "help: write `/service`");
        said("/a?b={c}", "`?` cannot be in it");
        said("/a b", "` ` cannot be in it");
        said("/a/{id", "unclosed `{`");
        said("/a/id}", "`}` without a `{`");
        said("/a/{}", "is not the name of an argument");
        said("/a/{id}{tab}", "nothing parts `{tab}`");
    }
}

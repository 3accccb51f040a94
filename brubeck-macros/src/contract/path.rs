//! Parses the path of an operation: `/service/user/{id}`.

use crate::error::Errors;
use syn::{Ident, LitStr};

pub(super) struct CallPath {
    pub(super) lit: LitStr,
    pub(super) segments: Vec<PathSegment>,
}

pub(super) enum PathSegment {
    Text(String),
    /// `{id}`, which is filled with the argument of this name.
    Parameter(String),
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
                "the path of an operation is not a regex\nhelp: write `{path}`; a path parameter is `{{name}}`"
            ));
        }
        if !text.starts_with('/') {
            return fail(format!(
                "the path of an operation starts with `/`\nhelp: write `/{text}`"
            ));
        }
        if let Some(bad) = text
            .chars()
            .find(|c| matches!(c, '?' | '#' | '%') || !c.is_ascii_graphic())
        {
            return fail(format!(
                "`{}` is not allowed in the path of an operation\nhelp: remove it; arguments that are not in the path \
                 are sent with the request",
                bad.escape_debug()
            ));
        }
        let (mut segments, mut rest) = (Vec::new(), text.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return fail("unclosed `{` in the path\nhelp: write `{name}`".to_owned());
            };
            if syn::parse_str::<Ident>(name).is_err() {
                return fail(format!(
                    "`{{{name}}}` is not a path parameter\nhelp: write the name of an argument between the braces"
                ));
            }
            if !before.is_empty() {
                segments.push(PathSegment::Text(before.to_owned()));
            } else if !segments.is_empty() {
                return fail(format!(
                    "no separator between `{{{name}}}` and the path parameter before it\nhelp: put a `/` between them"
                ));
            }
            segments.push(PathSegment::Parameter(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return fail("`}` without a `{` in the path\nhelp: write `{name}`, or remove the `}`".to_owned());
        }
        if !rest.is_empty() {
            segments.push(PathSegment::Text(rest.to_owned()));
        }
        Some(CallPath { lit, segments })
    }

    /// Returns the names of the path parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            PathSegment::Parameter(name) => Some(name.as_str()),
            PathSegment::Text(_) => None,
        })
    }

    /// Returns the route pattern of the path.
    pub(super) fn pattern(&self) -> String {
        let segments = self.segments.iter().map(|segment| match segment {
            PathSegment::Text(text) => regex_syntax::escape(text),
            PathSegment::Parameter(name) => format!("(?<{name}>[^/]+)"),
        });
        format!("^{}$", segments.collect::<String>())
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
    fn converts_a_path_to_a_pattern() {
        assert_eq!(parse("/service/slow").unwrap(), "^/service/slow$");
        assert_eq!(
            parse("/user/{id}/p.{tab}").unwrap(),
            r"^/user/(?<id>[^/]+)/p\.(?<tab>[^/]+)$"
        );
    }

    #[test]
    fn reports_mistakes_with_a_fix() {
        let assert_reported = |path: &str, text: &str| {
            let got = parse(path).unwrap_err();
            assert!(got.contains(text), "{got}");
        };
        assert_reported("^/service/slow$", "help: write `/service/slow`");
        assert_reported("service", "help: write `/service`");
        assert_reported("/a?b={c}", "`?` is not allowed");
        assert_reported("/a b", "` ` is not allowed");
        assert_reported("/a/{id", "unclosed `{`");
        assert_reported("/a/id}", "`}` without a `{`");
        assert_reported("/a/{}", "is not a path parameter");
        assert_reported("/a/{id}{tab}", "no separator between `{tab}`");
    }
}

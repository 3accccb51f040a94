//! Parses the path of an operation: the template `/service/user/{id}`.

use crate::error::Errors;
use crate::pattern::Pattern;
use syn::LitStr;

pub(super) struct CallPath {
    pub(super) lit: LitStr,
    pub(super) pattern: Pattern,
}

impl CallPath {
    pub(super) fn parse(lit: LitStr, errors: &Errors) -> Option<CallPath> {
        let text = lit.value();
        if let Some(path) = text.strip_prefix('^') {
            let path = path.trim_end_matches('$');
            errors.on(
                &lit,
                format!(
                    "the path of an operation is not a regex, because its client builds the path from the arguments\n\
                     help: write `{path}`; a path parameter is `{{name}}`"
                ),
            );
            return None;
        }
        if !text.starts_with('/') {
            errors.on(
                &lit,
                format!("the path of an operation starts with `/`\nhelp: write `/{text}`"),
            );
            return None;
        }
        let pattern = errors.keep(Pattern::parse(lit.clone()))?;
        Some(CallPath { lit, pattern })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    #[test]
    fn reports_mistakes_with_a_fix() {
        let assert_reported = |path: &str, text: &str| {
            let errors = Errors::default();
            assert!(CallPath::parse(LitStr::new(path, Span::call_site()), &errors).is_none());
            let got = errors.into_tokens().to_string();
            assert!(got.contains(text), "{got}");
        };
        assert_reported("^/service/slow$", "help: write `/service/slow`");
        assert_reported("service", "help: write `/service`");
        assert_reported("/a?b={c}", "a path has no query");
        assert_reported("/a/{id", "unclosed `{`");
        assert_reported("/a/{id}{tab}", "two parameters in one segment");
    }
}

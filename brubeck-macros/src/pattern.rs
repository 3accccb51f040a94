//! Parses a route pattern, finds its captures, and builds its automaton.

use crate::automaton::{Automaton, TooLarge};
use proc_macro2::{Literal, Span};
use regex_syntax::ast::{
    self, AssertionKind, Ast, Flag, Flags, FlagsItemKind, GroupKind, RepetitionKind, RepetitionRange,
};
use regex_syntax::hir::translate::TranslatorBuilder;
use std::ops::Range;
use syn::{Error, Ident, LitStr};

pub(crate) struct Pattern {
    pub(crate) lit: LitStr,
    pub(crate) captures: Vec<Capture>,
    /// `None` if the automaton would be too large: the route is then matched by a regex, and nothing is proven.
    proof: Option<Proof>,
}

pub(crate) struct Capture {
    pub(crate) name: String,
    /// The group may be absent from a match, as in `(?<id>..)?` or in one branch of `|`.
    pub(crate) optional: bool,
}

/// A segment of a pattern from which a path can be built.
pub(crate) enum PatternSegment {
    Text(String),
    /// The index of a capture.
    Capture(usize),
}

struct Proof {
    automaton: Vec<u8>,
    prefix: Vec<u8>,
    example: Option<String>,
}

impl Pattern {
    pub(crate) fn parse(lit: LitStr) -> Result<Pattern, Error> {
        let text = lit.value();
        let mut inspector = Inspector {
            text: &text,
            span: lit.span(),
            errors: Vec::new(),
            captures: Vec::new(),
        };
        if !text.starts_with('^') {
            inspector.error_with_help(
                0..0,
                "a route pattern starts with `^`",
                &format!("write `{}`", suggested_pattern(&text)),
            );
        } else if !text.starts_with("^/") {
            let next = text.chars().nth(1).map_or(1, |c| 1 + c.len_utf8());
            inspector.error_with_help(
                1..next,
                "a route pattern starts with `^/`, because every path starts with `/`",
                &format!("write `^/{}`", text.trim_start_matches('^')),
            );
        }
        let proof = match ast::parse::Parser::new().parse(&text) {
            Ok(ast) => {
                inspector.inspect(&ast, false);
                // The translation would report some errors a second time, so it runs only for a pattern without errors.
                if inspector.errors.is_empty() {
                    inspector.prove(&ast)
                } else {
                    None
                }
            }
            Err(error) => {
                let message = format!("invalid route pattern: {}", error.kind());
                if has_braced_parameter(&text) {
                    // Without `^` this was reported above, with a suggested pattern in which `{name}` is replaced.
                    if inspector.errors.is_empty() {
                        let help = "a path parameter is a named group, such as `(?<id>[^/]+)`";
                        inspector.error_with_help(range(error.span()), &message, help);
                    }
                } else {
                    inspector.error(range(error.span()), &message);
                }
                None
            }
        };
        let captures = inspector.captures;
        match inspector.errors.into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        }) {
            Some(errors) => Err(errors),
            None => Ok(Pattern { captures, proof, lit }),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.lit.value()
    }

    pub(crate) fn span(&self) -> Span {
        self.lit.span()
    }

    /// Returns the text and the captures of the pattern in order, without the `^` at its start and a `$` at its end. Returns `None` if the
    /// pattern contains anything else, or a capture within a capture.
    pub(crate) fn segments(&self) -> Option<Vec<PatternSegment>> {
        let ast = ast::parse::Parser::new().parse(&self.text()).ok()?;
        let nodes = match &ast {
            Ast::Concat(concat) => &concat.asts[..],
            single => std::slice::from_ref(single),
        };
        let mut segments = Vec::new();
        let mut text = String::new();
        let mut captures = 0;
        for (i, node) in nodes.iter().enumerate() {
            match node {
                Ast::Literal(literal) => text.push(literal.c),
                Ast::Assertion(assertion) if assertion.kind == AssertionKind::StartLine && i == 0 => {}
                Ast::Assertion(assertion)
                    if assertion.kind == AssertionKind::EndLine && i + 1 == nodes.len() => {}
                Ast::Group(group) if matches!(group.kind, GroupKind::CaptureName { .. }) => {
                    if !text.is_empty() {
                        segments.push(PatternSegment::Text(std::mem::take(&mut text)));
                    }
                    segments.push(PatternSegment::Capture(captures));
                    captures += 1;
                }
                _ => return None,
            }
        }
        if !text.is_empty() {
            segments.push(PatternSegment::Text(text));
        }
        // With a capture inside a capture, the text of the inner one would be written twice.
        (captures == self.captures.len()).then_some(segments)
    }

    #[cfg(test)]
    pub(crate) fn is_proven(&self) -> bool {
        self.proof.is_some()
    }

    #[cfg(test)]
    pub(crate) fn proof_bytes(&self) -> (&[u8], &[u8]) {
        let proof = self.proof.as_ref();
        proof.map_or((&[], &[]), |proof| (&proof.automaton, &proof.prefix))
    }

    /// Returns the packed automaton. It is empty if the automaton would be too large.
    pub(crate) fn automaton(&self) -> Literal {
        Literal::byte_string(self.proof.as_ref().map_or(&[], |proof| &proof.automaton))
    }

    /// Returns the bytes that every matching path starts with. Empty if there is no automaton.
    pub(crate) fn prefix(&self) -> Literal {
        Literal::byte_string(self.proof.as_ref().map_or(&[], |proof| &proof.prefix))
    }

    /// Returns a shortest path that matches; empty if no such path is printable or there is no automaton.
    pub(crate) fn example(&self) -> &str {
        self.proof
            .as_ref()
            .and_then(|proof| proof.example.as_deref())
            .unwrap_or("")
    }
}

fn range(span: &ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

/// Collects the captures and the errors of a pattern.
struct Inspector<'a> {
    text: &'a str,
    span: Span,
    errors: Vec<Error>,
    captures: Vec<Capture>,
}

impl Inspector<'_> {
    fn error(&mut self, at: Range<usize>, message: &str) {
        self.push(at, message, "");
    }

    fn error_with_help(&mut self, at: Range<usize>, message: &str, help: &str) {
        self.push(at, message, &format!("\nhelp: {help}"));
    }

    /// Reports an error at a part of the literal. The caret is drawn in the message, because spans inside a literal need nightly.
    fn push(&mut self, at: Range<usize>, message: &str, help: &str) {
        let text = self.text;
        // Offsets count bytes, but the caret is placed by characters.
        let before = text.get(..at.start).map_or(0, |head| head.chars().count());
        let width = text.get(at).map_or(1, |part| part.chars().count().max(1));
        let caret = format!("{}{}", " ".repeat(before), "^".repeat(width));
        self.errors.push(Error::new(
            self.span,
            format!("{message}\n    {text}\n    {caret}{help}"),
        ));
    }

    fn inspect(&mut self, ast: &Ast, optional: bool) {
        match ast {
            Ast::Group(group) => {
                match &group.kind {
                    GroupKind::CaptureIndex(_) => {
                        let open = group.span.start.offset;
                        self.error_with_help(
                            open..open + 1,
                            "unnamed capture group in a route pattern",
                            "name it, `(?<name>...)`, to bind it to an argument, or do not capture, `(?:...)`",
                        );
                    }
                    GroupKind::CaptureName { name, .. } => {
                        if !names_an_argument(&name.name) {
                            let message = format!("`{}` cannot be the name of an argument", name.name);
                            self.error_with_help(
                                range(&name.span),
                                &message,
                                "choose another name for the group",
                            );
                        }
                        self.captures.push(Capture {
                            name: name.name.clone(),
                            optional,
                        });
                    }
                    GroupKind::NonCapturing(flags) => self.flags(flags),
                }
                self.inspect(&group.ast, optional);
            }
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText => {}
                _ => self.error_with_help(
                    range(&assertion.span),
                    "word boundaries are not supported in a route pattern",
                    "end a segment with `(?:/|$)`",
                ),
            },
            Ast::Repetition(repetition) => {
                let may_be_absent = match &repetition.op.kind {
                    RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore => true,
                    RepetitionKind::OneOrMore => false,
                    RepetitionKind::Range(range) => match range {
                        RepetitionRange::Exactly(min)
                        | RepetitionRange::AtLeast(min)
                        | RepetitionRange::Bounded(min, _) => *min == 0,
                    },
                };
                self.inspect(&repetition.ast, optional || may_be_absent);
            }
            // A capture in one branch is absent if another branch matches.
            Ast::Alternation(alternation) => {
                alternation
                    .asts
                    .iter()
                    .for_each(|branch| self.inspect(branch, true));
            }
            Ast::Concat(concat) => concat.asts.iter().for_each(|part| self.inspect(part, optional)),
            Ast::Empty(_)
            | Ast::Literal(_)
            | Ast::Dot(_)
            | Ast::ClassUnicode(_)
            | Ast::ClassPerl(_)
            | Ast::ClassBracketed(_) => {}
        }
    }

    fn flags(&mut self, flags: &Flags) {
        for item in &flags.items {
            let FlagsItemKind::Flag(flag) = &item.kind else {
                break;
            };
            if !matches!(
                flag,
                Flag::CaseInsensitive | Flag::DotMatchesNewLine | Flag::SwapGreed
            ) {
                self.error_with_help(
                    range(&item.span),
                    "this flag is not supported in a route pattern",
                    "remove it; the supported flags are `i`, `s` and `U`",
                );
            }
        }
    }

    fn prove(&mut self, ast: &Ast) -> Option<Proof> {
        let text = self.text;
        // The router matches bytes, so the pattern is translated without Unicode: classes are ASCII.
        let hir = match TranslatorBuilder::new()
            .utf8(false)
            .unicode(false)
            .build()
            .translate(text, ast)
        {
            Ok(hir) => hir,
            Err(error) => {
                self.error(
                    range(error.span()),
                    &format!("invalid route pattern: {}", error.kind()),
                );
                return None;
            }
        };
        let proof = Automaton::new(&hir).and_then(|automaton| {
            let proof = Proof {
                automaton: automaton.packed()?,
                prefix: automaton.forced_prefix(),
                example: automaton.example(),
            };
            Ok((automaton.is_empty(), proof))
        });
        match proof {
            Ok((true, _)) => {
                self.error_with_help(
                    0..text.len(),
                    "this route pattern matches no path",
                    "remove what follows a `$` or precedes a `^`",
                );
                None
            }
            Ok((false, proof)) => Some(proof),
            Err(TooLarge) => None,
        }
    }
}

/// Returns `true` if an argument can have this name. Keywords are allowed, as raw identifiers: the capture `type` binds to the argument
/// `r#type`.
fn names_an_argument(name: &str) -> bool {
    syn::parse_str::<Ident>(name).is_ok() || syn::parse_str::<Ident>(&format!("r#{name}")).is_ok()
}

/// Converts a path as other frameworks write it to a pattern: `/user/{id}`, `/user/<id>` and `/user/:id` all become
/// `^/user/(?<id>[^/]+)$`.
fn suggested_pattern(path: &str) -> String {
    let segments = path.trim_start_matches('/').trim_end_matches('$').split('/');
    let segments = segments.map(|segment| match parameter(segment) {
        Some((name, true)) => format!("(?<{name}>.+)"),
        Some((name, false)) => format!("(?<{name}>[^/]+)"),
        None => segment.to_owned(),
    });
    format!("^/{}$", segments.collect::<Vec<_>>().join("/"))
}

/// Returns the name of a path parameter in the syntax of another framework, and `true` if the parameter matches the rest of the path.
fn parameter(segment: &str) -> Option<(&str, bool)> {
    let inner = segment
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .or_else(|| {
            segment
                .strip_prefix('<')
                .and_then(|inner| inner.strip_suffix('>'))
        })
        .or_else(|| segment.strip_prefix(':'))?;
    let name = inner.trim_start_matches('*').trim_end_matches("..");
    names_an_argument(name).then_some((name, name != inner))
}

/// Returns `true` if the pattern contains `{name}`, which is a path parameter elsewhere and a repetition in a regex.
fn has_braced_parameter(pattern: &str) -> bool {
    let mut opened = pattern.split('{').skip(1);
    opened.any(|rest| {
        rest.split_once('}')
            .is_some_and(|(name, _)| names_an_argument(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Pattern, String> {
        Pattern::parse(LitStr::new(text, Span::call_site())).map_err(|error| {
            error
                .into_iter()
                .map(|e| e.to_string())
                .collect::<Vec<_>>()
                .join("\n--\n")
        })
    }

    fn mistakes(text: &str) -> String {
        parse(text)
            .err()
            .unwrap_or_else(|| panic!("`{text}` is a good pattern"))
    }

    #[test]
    fn finds_required_and_optional_captures() {
        let pattern = parse(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$").unwrap();
        let captures: Vec<_> = pattern
            .captures
            .iter()
            .map(|c| (c.name.as_str(), c.optional))
            .collect();
        assert_eq!(captures, [("id", false), ("tab", true)]);
        let pattern = parse(r"^/(?:(?<a>x)|(?<b>y)){1,2}(?P<c>z){0,3}(?<d>(?:p|q))$").unwrap();
        let captures: Vec<_> = pattern
            .captures
            .iter()
            .map(|c| (c.name.as_str(), c.optional))
            .collect();
        assert_eq!(captures, [("a", true), ("b", true), ("c", true), ("d", false)]);
    }

    #[test]
    fn errors_point_at_the_mistake_and_suggest_a_fix() {
        assert_eq!(
            mistakes("^/service/(slow"),
            "invalid route pattern: unclosed group\n    ^/service/(slow\n              ^"
        );
        assert_eq!(
            mistakes("/service/slow"),
            "a route pattern starts with `^`\n    /service/slow\n    ^\nhelp: write `^/service/slow$`"
        );
        assert_eq!(
            mistakes("^service"),
            "a route pattern starts with `^/`, because every path starts with `/`\n    ^service\n     ^\nhelp: write `^/service`"
        );
        assert!(mistakes(r"^/user/(\d+)$").contains("    ^/user/(\\d+)$\n           ^\nhelp: name it"));
        assert!(mistakes(r"^/user\b").contains("word boundaries"));
        assert!(mistakes(r"^/(?x) a").contains("this flag"));
        assert!(mistakes(r"^/(?m:a)$").contains("this flag"));
        assert!(mistakes(r"^/(?u)\w").contains("this flag"));
        assert!(mistakes(r"^/(?<self>a)").contains("cannot be the name"));
        assert!(mistakes(r"^/a$b").contains("matches no path"));
        assert!(mistakes("").contains("starts with `^`"));
        assert!(mistakes("^").contains("starts with `^/`"));
    }

    #[test]
    fn splits_simple_patterns_into_segments() {
        let shown = |text: &str| {
            let segments = parse(text).unwrap().segments()?;
            let shown = segments.iter().map(|segment| match segment {
                PatternSegment::Text(text) => text.clone(),
                PatternSegment::Capture(index) => format!("{{{index}}}"),
            });
            Some(shown.collect::<String>())
        };
        assert_eq!(
            shown(r"^/user/(?<id>\d+)/p\.(?<tab>[a-z]+)$").as_deref(),
            Some("/user/{0}/p.{1}")
        );
        assert_eq!(shown("^/").as_deref(), Some("/"));
        for pattern in [
            "^/a|^/b",
            "^/a?",
            "^/(?<id>a(?<x>b))",
            "^/(?:a)",
            "^/.",
            r"^/(?<id>a)?",
            "^/(?i)a",
        ] {
            assert_eq!(shown(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn reports_all_errors_at_once() {
        assert_eq!(mistakes(r"/(a)\b(b)").matches("--").count(), 3);
    }

    #[test]
    fn accepts_keywords_as_captures_and_supported_flags() {
        assert!(parse(r"^/(?<type>a)").is_ok());
        assert!(parse(r"^/(?i)a(?-i:b)(?-u:c)").is_ok());
    }

    #[test]
    fn large_pattern_has_no_automaton() {
        let pattern = parse(r"^/(?<id>[a-z]{40}(?:a|b){0,4000})$").unwrap();
        assert!(pattern.proof.is_none());
        assert_eq!(pattern.example(), "");
        assert!(parse(r"^/(?:(?:a{1000}){1000}){1000}$").unwrap().proof.is_none());
        assert!(parse(r"^/(?:(?:){1000}){1000}$").is_ok());
    }

    #[test]
    fn suggests_a_pattern_for_paths_of_other_frameworks() {
        for (path, pattern) in [
            ("/", "^/$"),
            ("/user/{id}", "^/user/(?<id>[^/]+)$"),
            ("/user/<id>/<rest..>", "^/user/(?<id>[^/]+)/(?<rest>.+)$"),
            ("/files/:name/{*rest}", "^/files/(?<name>[^/]+)/(?<rest>.+)$"),
        ] {
            assert_eq!(suggested_pattern(path), pattern);
            assert!(parse(pattern).is_ok(), "{pattern}");
        }
        assert!(mistakes("^/user/{id}").contains("help: a path parameter is a named group"));
        assert!(!mistakes("/user/{id}").contains("--"), "one mistake is one error");
    }

    #[test]
    fn examples_are_shortest_and_readable() {
        for (pattern, example) in [
            ("^/", "/"),
            (r"^/user/(?<id>\d+)$", "/user/1"),
            (r"^/u/(?<name>\w+)/posts/(?<slug>[-\w]+)$", "/u/a/posts/a"),
            (r"^/x/[0-9a-f]{8}-[0-9a-f]{4}$", "/x/aaaaaaaa-aaaa"),
        ] {
            assert_eq!(parse(pattern).unwrap().example(), example);
        }
    }
}

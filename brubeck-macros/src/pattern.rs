//! Parses a route pattern, finds its captures, and builds its automaton.

mod canonical;
mod template;

use crate::automaton::{Automaton, TooLarge, encode};
use proc_macro2::{Literal, Span};
use regex_syntax::ast::{
    self, AssertionKind, Ast, Flag, Flags, FlagsItemKind, GroupKind, RepetitionKind, RepetitionRange,
};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::Translator;
use std::ops::Range;
use syn::{Error, Ident, LitStr};
use template::{Mistake, Template};

pub(crate) use canonical::ENCODED_SLASH;

pub(crate) struct Pattern {
    pub(crate) lit: LitStr,
    pub(crate) captures: Vec<Capture>,
    /// The segments, if the path is a template.
    template: Option<Vec<PatternSegment>>,
    /// The pattern as a regex over canonical paths.
    pub(crate) regex: String,
    /// `None` if the automaton would be too large: the route is then matched by a regex, and nothing is proven.
    proof: Option<Proof>,
}

pub(crate) struct Capture {
    pub(crate) name: String,
    /// The group may be absent from a match, as in `(?<id>..)?` or in one branch of `|`.
    pub(crate) optional: bool,
}

/// A segment of a pattern from which a path can be built.
#[derive(Clone)]
pub(crate) enum PatternSegment {
    Text(String),
    /// The index of a capture.
    Capture(usize),
    /// The index of the capture `{*rest}`, whose text may have several segments.
    Rest(usize),
}

struct Proof {
    automaton: Vec<u8>,
    example: String,
}

impl Pattern {
    /// Parses a path in one of its two forms: a regex, which begins with `^`, or a template, which begins with `/`.
    pub(crate) fn parse(lit: LitStr) -> Result<Pattern, Error> {
        let text = lit.value();
        let mut inspector = Inspector {
            text: &text,
            span: lit.span(),
            errors: Vec::new(),
            captures: Vec::new(),
        };
        let mut segments = None;
        let hir = if text.starts_with('/') {
            match Template::parse(&text) {
                Ok(template) => {
                    let hir = template.hir();
                    inspector.captures = template.captures;
                    segments = Some(template.segments);
                    Some(hir)
                }
                Err(Mistake { at, message, help }) => {
                    inspector.error_with_help(at, &message, &help);
                    None
                }
            }
        } else {
            inspector.parse_regex()
        };
        let (regex, proof) = match hir {
            Some(hir) => (canonical::regex_text(&hir), inspector.prove(&hir)),
            None => (String::new(), None),
        };
        let captures = inspector.captures;
        match inspector.errors.into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        }) {
            Some(errors) => Err(errors),
            None => Ok(Pattern {
                captures,
                template: segments,
                regex,
                proof,
                lit,
            }),
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
        if let Some(segments) = &self.template {
            return Some(segments.clone());
        }
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

    /// Returns a regex that consists of text and captures as a template, from which URLs are built.
    pub(crate) fn url(&self) -> Option<String> {
        let segments = self.segments().filter(|_| !self.is_template())?;
        let texts = segments.iter().map(|segment| match segment {
            PatternSegment::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            PatternSegment::Capture(index) | PatternSegment::Rest(index) => {
                format!("{{{}}}", self.captures[*index].name)
            }
        });
        Some(texts.collect())
    }

    /// Returns `true` if the path is a template, and `false` if it is a regex.
    pub(crate) fn is_template(&self) -> bool {
        self.template.is_some()
    }

    #[cfg(test)]
    pub(crate) fn is_proven(&self) -> bool {
        self.proof.is_some()
    }

    #[cfg(test)]
    pub(crate) fn automaton_bytes(&self) -> &[u8] {
        self.proof.as_ref().map_or(&[], |proof| &proof.automaton)
    }

    /// Returns the packed automaton. It is empty if the automaton would be too large.
    pub(crate) fn automaton(&self) -> Literal {
        Literal::byte_string(self.proof.as_ref().map_or(&[], |proof| &proof.automaton))
    }

    /// Returns a shortest path that matches, percent-encoded; empty if there is no automaton.
    pub(crate) fn example(&self) -> &str {
        self.proof.as_ref().map_or("", |proof| &proof.example)
    }

    /// Returns the pattern as a regex over canonical paths. Returns `None` if it is not needed to match the path or to find captures.
    pub(crate) fn regex(&self) -> Option<&str> {
        (!self.captures.is_empty() || self.proof.is_none()).then_some(&*self.regex)
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
    /// Parses the text as a regex. Returns `None` if it has an error.
    fn parse_regex(&mut self) -> Option<Hir> {
        let text = self.text;
        if !text.starts_with('^') {
            let path = text.trim_start_matches('/');
            self.error_with_help(
                0..0,
                "a path begins with `/`, or with `^` if it is a regex",
                &format!(
                    "write `/{}` or `{}`",
                    path.trim_end_matches('$'),
                    suggested_pattern(text)
                ),
            );
        } else if !text.starts_with("^/") {
            let next = text.chars().nth(1).map_or(1, |c| 1 + c.len_utf8());
            self.error_with_help(
                1..next,
                "a route pattern starts with `^/`, because every path starts with `/`",
                &format!("write `^/{}`", text.trim_start_matches('^')),
            );
        }
        match ast::parse::Parser::new().parse(text) {
            Ok(ast) => {
                self.inspect(&ast, false);
                // The translation would report some errors a second time, so it runs only for a pattern without errors.
                if !self.errors.is_empty() {
                    return None;
                }
                match canonical_hir(text, &ast) {
                    Ok(hir) => return Some(hir),
                    Err(error) => self.error(
                        range(error.span()),
                        &format!("invalid route pattern: {}", error.kind()),
                    ),
                }
            }
            Err(_) if has_braced_parameter(text) => {
                // Without `^` this was reported above, with both forms.
                if self.errors.is_empty() {
                    let template = text.trim_start_matches('^').trim_end_matches('$');
                    let open = text.find('{').unwrap_or(0);
                    let close = text.get(open..).and_then(|rest| rest.find('}')).unwrap_or(0);
                    self.error_with_help(
                        open..open + close + 1,
                        "`{..}` is a parameter in a template and a repetition in a regex",
                        &format!(
                            "write the template `{template}`, or the regex `{}`",
                            suggested_pattern(template)
                        ),
                    );
                }
            }
            Err(error) => self.error(
                range(error.span()),
                &format!("invalid route pattern: {}", error.kind()),
            ),
        }
        None
    }

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
            Ast::ClassUnicode(class) => self.unicode_class(range(&class.span)),
            Ast::ClassBracketed(class) => {
                for span in canonical::unicode_classes(&class.kind) {
                    self.unicode_class(range(&span));
                }
            }
            Ast::Empty(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassPerl(_) => {}
        }
    }

    fn unicode_class(&mut self, at: Range<usize>) {
        self.error_with_help(
            at,
            "classes of Unicode properties are not supported in a route pattern",
            "list the characters, such as `[a-zà-ÿ]`, or exclude some, such as `[^/]`",
        );
    }

    fn flags(&mut self, flags: &Flags) {
        let mut is_negated = false;
        for item in &flags.items {
            let flag = match &item.kind {
                FlagsItemKind::Flag(flag) => flag,
                FlagsItemKind::Negation => {
                    is_negated = true;
                    continue;
                }
            };
            let is_supported = matches!(
                flag,
                Flag::CaseInsensitive | Flag::DotMatchesNewLine | Flag::SwapGreed
            );
            // Removing a flag that is never set has no effect, except for `u`, which is set by default.
            if !is_supported && (!is_negated || *flag == Flag::Unicode) {
                self.error_with_help(
                    range(&item.span),
                    "this flag is not supported in a route pattern",
                    "remove it; the supported flags are `i`, `s` and `U`",
                );
            }
        }
    }

    fn prove(&mut self, hir: &Hir) -> Option<Proof> {
        let text = self.text;
        let automaton = Automaton::new(hir).ok()?;
        if automaton.is_empty() {
            self.error_with_help(
                0..text.len(),
                "this route pattern matches no path",
                "remove what follows a `$` or precedes a `^`",
            );
            return None;
        }
        let Some(example) = automaton.example() else {
            self.error_with_help(
                0..text.len(),
                "this route pattern matches no path that a request can have",
                "remove the segments `.` and `..`, which are removed from the path of a request before it is matched, and any NUL, \
                 which a path cannot contain",
            );
            return None;
        };
        match automaton.packed() {
            Ok(packed) => Some(Proof {
                automaton: packed,
                example: encode(&example),
            }),
            Err(TooLarge) => None,
        }
    }
}

/// Translates a pattern to the alphabet of canonical paths.
pub(crate) fn canonical_hir(text: &str, ast: &Ast) -> Result<Hir, regex_syntax::hir::Error> {
    let hir = Translator::new().translate(text, &canonical::with_ascii_classes(ast))?;
    Ok(canonical::with_encoded_slash(&hir))
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
mod mongrel2_routes;
#[cfg(test)]
mod property;
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
            mistakes("service/slow"),
            "a path begins with `/`, or with `^` if it is a regex\n    service/slow\n    ^\nhelp: write `/service/slow` or \
             `^/service/slow$`"
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
        assert!(mistakes(r"^/(?-u:\w)").contains("this flag"));
        assert!(mistakes(r"^/\p{L}").contains("classes of Unicode properties"));
        assert!(mistakes(r"^/[a\pL]").contains("classes of Unicode properties"));
        assert!(mistakes(r"^/a/\.\./b$").contains("matches no path that a request can have"));
        assert!(mistakes(r"^/(?<self>a)").contains("cannot be the name"));
        assert!(mistakes(r"^/a$b").contains("matches no path"));
        assert!(mistakes("").contains("begins with `/`, or with `^`"));
        assert!(mistakes("^").contains("starts with `^/`"));
    }

    #[test]
    fn splits_simple_patterns_into_segments() {
        let shown = |text: &str| {
            let segments = parse(text).unwrap().segments()?;
            let shown = segments.iter().map(|segment| match segment {
                PatternSegment::Text(text) => text.clone(),
                PatternSegment::Capture(index) => format!("{{{index}}}"),
                PatternSegment::Rest(index) => format!("{{*{index}}}"),
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
    fn template_matches_the_whole_path_literally() {
        let regex = |text: &str| {
            let pattern = parse(text).unwrap();
            let regex = regex::bytes::Regex::new(&pattern.regex).unwrap();
            let names: Vec<_> = pattern.captures.iter().map(|c| c.name.clone()).collect();
            move |path: &[u8]| {
                let captures = regex.captures(path)?;
                let text = |name: &String| captures[&**name].escape_ascii().to_string();
                Some(names.iter().map(text).collect::<Vec<_>>().join(","))
            }
        };
        for (template, path, captures) in [
            ("/", &b"/"[..], Some("")),
            ("/", b"/a", None),
            ("/a.b+(c)*|^[d]", b"/a.b+(c)*|^[d]", Some("")),
            ("/user/{id}", b"/user/7", Some("7")),
            ("/user/{id}", b"/user/", None),
            ("/user/{id}", b"/user/7/", None),
            ("/user/{id}", b"/user/a\xffb\n", Some("a\\xffb\\n")),
            ("/user/{id}/{type}", b"/user/7/x", Some("7,x")),
            ("/p.{tab}.html", b"/p.a.html.html", Some("a.html")),
            ("/files/{*rest}", b"/files/a//b\xff", Some("a//b\\xff")),
            ("/files/{*rest}", b"/files/", None),
            ("/{{a}}", b"/{a}", Some("")),
            ("/{{{a}}}", b"/{x}", Some("x")),
        ] {
            assert_eq!(regex(template)(path).as_deref(), captures, "{template}");
        }
    }

    #[test]
    fn mistakes_in_templates_are_reported_with_a_fix() {
        for (template, message) in [
            ("/user/(?<id>..)", "for a regex write `^/user/(?<id>..)`"),
            (r"/user/\d+", "for a regex write"),
            ("/files/.*", "for a regex write"),
            ("/user$", "write `/user`, or a regex: `^/user$`"),
            ("/user/<id>", "write `{id}`"),
            ("/user/<path..>", "write `{*path}`"),
            ("/user/:id", "write `{id}`"),
            ("/user/{id:[0-9]}", "with the group `(?<id>[0-9])`"),
            ("/a?b={c}", "a path has no query"),
            ("/a/{id", "unclosed `{`"),
            ("/a/id}", "`}` without a `{`"),
            ("/a/{}", "cannot be the name"),
            ("/a/{self}", "cannot be the name"),
            ("/a/{id}{tab}", "two parameters in one segment"),
            ("/a/{id}-{tab}", "two parameters in one segment"),
            ("/a/{id}/{id}", "is in the path twice"),
            ("/a/{*rest}/b", "is not the last segment"),
            ("/a-{*rest}", "is not the last segment"),
            ("/a/../b", "matches no path that a request can have"),
            ("/a/.", "matches no path that a request can have"),
        ] {
            let text = mistakes(template);
            assert!(text.contains(message), "{template}: {text}");
            assert!(!text.contains("--"), "one mistake is one error: {text}");
        }
    }

    #[test]
    fn reports_all_errors_at_once() {
        assert_eq!(mistakes(r"(a)\b(b)").matches("--").count(), 3);
    }

    #[test]
    fn accepts_keywords_as_captures_and_supported_flags() {
        assert!(parse(r"^/(?<type>a)").is_ok());
        assert!(parse(r"^/(?i)a(?-i:b)(?-m:c)").is_ok());
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
        assert_eq!(
            mistakes("^/user/{id}/{tab}$"),
            "`{..}` is a parameter in a template and a repetition in a regex\n    ^/user/{id}/{tab}$\n           ^^^^\nhelp: write the \
             template `/user/{id}/{tab}`, or the regex `^/user/(?<id>[^/]+)/(?<tab>[^/]+)$`"
        );
        assert!(!mistakes("user/{id}").contains("--"), "one mistake is one error");
    }

    #[test]
    fn examples_are_shortest_and_readable() {
        for (pattern, example) in [
            ("^/", "/"),
            (r"^/user/(?<id>\d+)$", "/user/1"),
            (r"^/u/(?<name>\w+)/posts/(?<slug>[-\w]+)$", "/u/a/posts/a"),
            (r"^/x/[0-9a-f]{8}-[0-9a-f]{4}$", "/x/aaaaaaaa-aaaa"),
            ("^/café/hello world$", "/caf%C3%A9/hello%20world"),
            ("^/100%$", "/100%25"),
            (r"^/\.{1,2}", "/.a"),
            ("^/[é-ü]$", "/%C3%A9"),
        ] {
            assert_eq!(parse(pattern).unwrap().example(), example);
        }
    }
}

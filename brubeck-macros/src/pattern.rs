//! A route pattern: literal -> regex -> captures and automaton.

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
    /// Absent where it would be too large: such a route is matched by a regex, and not proven.
    proof: Option<Proof>,
}

pub(crate) struct Capture {
    pub(crate) name: String,
    /// The group may not take part in a match: `(?<id>..)?`, one side of `|`, ...
    pub(crate) optional: bool,
}

/// A part of a pattern that can be written as well as read.
pub(crate) enum Part {
    Text(String),
    /// The capture with that index.
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
        let mut findings = Findings {
            text: &text,
            span: lit.span(),
            errors: Vec::new(),
            captures: Vec::new(),
        };
        if !text.starts_with('^') {
            findings.error(0..0, "a route pattern starts with `^`");
        } else if !text.starts_with("^/") {
            let next = text.chars().nth(1).map_or(1, |c| 1 + c.len_utf8());
            findings.error(1..next, "a route pattern matches a path, so `/` follows the `^`");
        }
        let proof = match ast::parse::Parser::new().parse(&text) {
            Ok(ast) => {
                findings.inspect(&ast, false);
                if findings.errors.is_empty() {
                    findings.prove(&ast)
                } else {
                    None
                }
            }
            Err(error) => {
                findings.error(
                    range(error.span()),
                    &format!("invalid route pattern: {}", error.kind()),
                );
                None
            }
        };
        let captures = findings.captures;
        match findings.errors.into_iter().reduce(|mut all, error| {
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

    /// The pattern as text and captures in turn; `None` where it is more than that.
    pub(crate) fn parts(&self) -> Option<Vec<Part>> {
        let ast = ast::parse::Parser::new().parse(&self.text()).ok()?;
        let all = match &ast {
            Ast::Concat(concat) => &concat.asts[..],
            one => std::slice::from_ref(one),
        };
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut captures = 0;
        for (i, part) in all.iter().enumerate() {
            match part {
                Ast::Literal(literal) => text.push(literal.c),
                Ast::Assertion(assertion) if assertion.kind == AssertionKind::StartLine && i == 0 => {}
                Ast::Assertion(assertion)
                    if assertion.kind == AssertionKind::EndLine && i + 1 == all.len() => {}
                Ast::Group(group) if matches!(group.kind, GroupKind::CaptureName { .. }) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Capture(captures));
                    captures += 1;
                }
                _ => return None,
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        // A capture within a capture is not written twice.
        (captures == self.captures.len()).then_some(parts)
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

    /// The packed automaton; empty where there is none.
    pub(crate) fn automaton(&self) -> Literal {
        Literal::byte_string(self.proof.as_ref().map_or(&[], |proof| &proof.automaton))
    }

    pub(crate) fn prefix(&self) -> Literal {
        Literal::byte_string(self.proof.as_ref().map_or(&[], |proof| &proof.prefix))
    }

    /// A shortest path that matches, or nothing where none is printable or known.
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

/// What a pattern contains, and what is wrong with it.
struct Findings<'a> {
    text: &'a str,
    span: Span,
    errors: Vec<Error>,
    captures: Vec<Capture>,
}

impl Findings<'_> {
    /// Draws the caret in the message: pointing into a literal is possible on nightly only.
    fn error(&mut self, at: Range<usize>, what: &str) {
        let text = self.text;
        let before = text.get(..at.start).map_or(0, |head| head.chars().count());
        let width = text.get(at).map_or(1, |part| part.chars().count().max(1));
        let caret = format!("{}{}", " ".repeat(before), "^".repeat(width));
        self.errors
            .push(Error::new(self.span, format!("{what}\n    {text}\n    {caret}")));
    }

    fn inspect(&mut self, ast: &Ast, optional: bool) {
        match ast {
            Ast::Group(group) => {
                match &group.kind {
                    GroupKind::CaptureIndex(_) => {
                        let open = group.span.start.offset;
                        self.error(
                            open..open + 1,
                            "this group captures without a name\nhelp: name it to bind it to an argument, \
                             `(?<name>...)`, or do not capture, `(?:...)`",
                        );
                    }
                    GroupKind::CaptureName { name, .. } => {
                        if !names_an_argument(&name.name) {
                            let what = format!("`{}` cannot be the name of an argument", name.name);
                            self.error(range(&name.span), &what);
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
                _ => self.error(
                    range(&assertion.span),
                    "word boundaries are not supported in a route pattern\n\
                     help: end a segment with `(?:/|$)`",
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
                self.error(
                    range(&item.span),
                    "this flag is not supported in a route pattern\n\
                     help: `i`, `s` and `U` are; a path is one line of ASCII",
                );
            }
        }
    }

    fn prove(&mut self, ast: &Ast) -> Option<Proof> {
        let text = self.text;
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
                self.error(0..text.len(), "this route pattern matches no path");
                None
            }
            Ok((false, proof)) => Some(proof),
            Err(TooLarge) => None,
        }
    }
}

/// Keywords do as raw identifiers: the capture `type` is the argument `r#type`.
fn names_an_argument(name: &str) -> bool {
    syn::parse_str::<Ident>(name).is_ok() || syn::parse_str::<Ident>(&format!("r#{name}")).is_ok()
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
    fn captures_know_whether_they_may_be_absent() {
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
    fn mistakes_are_pointed_at() {
        assert_eq!(
            mistakes("^/service/(slow"),
            "invalid route pattern: unclosed group\n    ^/service/(slow\n              ^"
        );
        assert_eq!(
            mistakes("/service/slow"),
            "a route pattern starts with `^`\n    /service/slow\n    ^"
        );
        assert_eq!(
            mistakes("^service"),
            "a route pattern matches a path, so `/` follows the `^`\n    ^service\n     ^"
        );
        assert!(mistakes(r"^/user/(\d+)$").ends_with("    ^/user/(\\d+)$\n           ^"));
        assert!(mistakes(r"^/user\b").contains("word boundaries"));
        assert!(mistakes(r"^/(?x) a").contains("this flag"));
        assert!(mistakes(r"^/(?m:a)$").contains("this flag"));
        assert!(mistakes(r"^/(?u)\w").contains("this flag"));
        assert!(mistakes(r"^/(?<self>a)").contains("cannot be the name"));
        assert!(mistakes(r"^/a$b").contains("matches no path"));
        assert!(mistakes("").contains("starts with `^`"));
        assert!(mistakes("^").contains("so `/` follows"));
    }

    #[test]
    fn plain_patterns_can_be_written() {
        let shown = |text: &str| {
            let parts = parse(text).unwrap().parts()?;
            let shown = parts.iter().map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Capture(index) => format!("{{{index}}}"),
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
    fn all_mistakes_come_at_once() {
        assert_eq!(mistakes(r"/(a)\b(b)").matches("--").count(), 3);
    }

    #[test]
    fn keywords_and_flags_that_change_no_meaning_are_fine() {
        assert!(parse(r"^/(?<type>a)").is_ok());
        assert!(parse(r"^/(?i)a(?-i:b)(?-u:c)").is_ok());
    }

    #[test]
    fn what_is_too_large_goes_unproven() {
        let pattern = parse(r"^/(?<id>[a-z]{40}(?:a|b){0,4000})$").unwrap();
        assert!(pattern.proof.is_none());
        assert_eq!(pattern.example(), "");
        assert!(parse(r"^/(?:(?:a{1000}){1000}){1000}$").unwrap().proof.is_none());
        assert!(parse(r"^/(?:(?:){1000}){1000}$").is_ok());
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

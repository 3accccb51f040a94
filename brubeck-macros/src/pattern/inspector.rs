//! The checks of a pattern, which find its captures and its errors.

use super::{Capture, Proof, canonical, canonical_hir, names_an_argument};
use crate::automaton::{Automaton, TooLarge, encode};
use proc_macro2::Span;
use regex_syntax::ast::{
    self, AssertionKind, Ast, Flag, Flags, FlagsItemKind, GroupKind, RepetitionKind, RepetitionRange,
};
use regex_syntax::hir::Hir;
use std::ops::Range;
use syn::Error;

/// Collects the captures and the errors of a pattern.
pub(super) struct Inspector<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
    pub(super) errors: Vec<Error>,
    pub(super) captures: Vec<Capture>,
}

impl Inspector<'_> {
    /// Parses the text as a regex. Returns `None` if it has an error.
    pub(super) fn parse_regex(&mut self) -> Option<Hir> {
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

    pub(super) fn error_with_help(&mut self, at: Range<usize>, message: &str, help: &str) {
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

    pub(super) fn prove(&mut self, hir: &Hir) -> Option<Proof> {
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

fn range(span: &ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

/// Converts a path as other frameworks write it to a pattern: `/user/{id}`, `/user/<id>` and `/user/:id` all become
/// `^/user/(?<id>[^/]+)$`.
pub(super) fn suggested_pattern(path: &str) -> String {
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

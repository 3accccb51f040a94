//! Parses the template form of a path: `/user/{id}/files/{*rest}`.

use super::{Capture, ENCODED_SLASH, PatternSegment, names_an_argument};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};
use std::ops::Range;

/// A template. It matches the whole path.
pub(super) struct Template {
    pub(super) segments: Vec<PatternSegment>,
    pub(super) captures: Vec<Capture>,
}

/// An error at a range of the text, with a help.
pub(super) struct Mistake {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

impl Mistake {
    fn new(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        Mistake {
            at,
            message: message.into(),
            help: help.into(),
        }
    }
}

impl Template {
    /// Parses a text that begins with `/`. Returns the first mistake.
    pub(super) fn parse(text: &str) -> Result<Template, Mistake> {
        check_other_forms(text)?;
        let mut template = Template {
            segments: Vec::new(),
            captures: Vec::new(),
        };
        let mut literal = String::new();
        // The position after the last parameter, if it is in the current segment of the path.
        let mut last_parameter: Option<Range<usize>> = None;
        let mut at = 0;
        while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let rest = text.get(at..).unwrap_or_default();
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push(c);
                at += 2;
                continue;
            }
            if c == '}' {
                return Err(Mistake::new(
                    at..at + 1,
                    "`}` without a `{` in a path",
                    "write a parameter as `{name}`, or `}}` for the character",
                ));
            }
            if c != '{' {
                if c == '/' {
                    last_parameter = None;
                }
                literal.push(c);
                at += c.len_utf8();
                continue;
            }
            let Some(len) = rest.find('}') else {
                return Err(Mistake::new(
                    at..at + 1,
                    "unclosed `{` in a path",
                    "write a parameter as `{name}`, or `{{` for the character",
                ));
            };
            let whole = at..at + len + 1;
            let inner = rest.get(1..len).unwrap_or_default();
            let (name, is_rest) = inner
                .strip_prefix('*')
                .map_or((inner, false), |name| (name, true));
            template.check_parameter(name, whole.clone())?;
            if let Some(before) = last_parameter {
                return Err(Mistake::new(
                    before.start..whole.end,
                    "two parameters in one segment of a path",
                    "put a `/` between them, or write a regex, which begins with `^`",
                ));
            }
            if is_rest && (!literal.ends_with('/') || whole.end != text.len()) {
                return Err(Mistake::new(
                    whole,
                    format!("`{{*{name}}}` is not the last segment of the path"),
                    format!("write `/{{*{name}}}` at the end of the path, or `{{{name}}}` for one segment"),
                ));
            }
            if !literal.is_empty() {
                template
                    .segments
                    .push(PatternSegment::Text(std::mem::take(&mut literal)));
            }
            let index = template.captures.len();
            template.segments.push(if is_rest {
                PatternSegment::Rest(index)
            } else {
                PatternSegment::Capture(index)
            });
            template.captures.push(Capture {
                name: name.to_owned(),
                optional: false,
            });
            at = whole.end;
            last_parameter = Some(whole);
        }
        if !literal.is_empty() {
            template.segments.push(PatternSegment::Text(literal));
        }
        Ok(template)
    }

    fn check_parameter(&self, name: &str, at: Range<usize>) -> Result<(), Mistake> {
        if !names_an_argument(name) {
            // As in `{id:\d+}` of other frameworks.
            let (message, help) = match name.split_once(':') {
                Some((name, regex)) if names_an_argument(name) => (
                    format!("`{name}` has a regex, which a parameter of a path cannot have"),
                    format!(
                        "write `{{{name}}}`, or a path that begins with `^`, with the group `(?<{name}>{regex})`"
                    ),
                ),
                _ => (
                    format!("`{name}` cannot be the name of an argument"),
                    "write the name of an argument between the braces, or `{{` for the character".to_owned(),
                ),
            };
            return Err(Mistake::new(at, message, help));
        }
        if self.captures.iter().any(|capture| capture.name == name) {
            return Err(Mistake::new(
                at,
                format!("`{{{name}}}` is in the path twice"),
                "choose another name for one of them",
            ));
        }
        Ok(())
    }

    /// Translates the template to the alphabet of canonical paths.
    pub(super) fn hir(&self) -> Hir {
        let mut parts = vec![Hir::look(Look::Start)];
        parts.extend(self.segments.iter().map(|segment| match segment {
            PatternSegment::Text(text) => Hir::literal(text.as_bytes()),
            PatternSegment::Capture(index) => self.capture(*index, &[('\0', '.'), ('0', char::MAX)]),
            PatternSegment::Rest(index) => self.capture(*index, &[('\0', char::MAX)]),
        }));
        parts.push(Hir::look(Look::End));
        Hir::concat(parts)
    }

    /// Returns the group of one or more characters in these ranges, or encoded `/`.
    fn capture(&self, index: usize, ranges: &[(char, char)]) -> Hir {
        let ranges = ranges
            .iter()
            .map(|(low, high)| ClassUnicodeRange::new(*low, *high));
        let character = Hir::class(Class::Unicode(ClassUnicode::new(ranges)));
        let characters = Hir::repetition(Repetition {
            min: 1,
            max: None,
            greedy: true,
            sub: Box::new(Hir::alternation(vec![character, Hir::literal([ENCODED_SLASH])])),
        });
        Hir::capture(regex_syntax::hir::Capture {
            index: u32::try_from(index + 1).unwrap_or(u32::MAX),
            name: self
                .captures
                .get(index)
                .map(|capture| capture.name.as_str().into()),
            sub: Box::new(characters),
        })
    }
}

/// Refuses texts that are written in another form: a regex without `^`, parameters of other frameworks, a query.
fn check_other_forms(text: &str) -> Result<(), Mistake> {
    for sign in ["(?", "\\", "[^", ".*", ".+"] {
        if let Some(at) = text.find(sign) {
            return Err(Mistake::new(
                at..at + sign.len(),
                "this looks like a regex, but a path that begins with `/` is a template: every character but `{..}` stands for itself",
                format!("for a regex write `^{text}`"),
            ));
        }
    }
    if let Some(before) = text.strip_suffix('$') {
        return Err(Mistake::new(
            before.len()..text.len(),
            "a path that begins with `/` is a template, which matches the whole path: a `$` in it stands for itself",
            format!("write `{before}`, or a regex: `^{text}`"),
        ));
    }
    let mut start = 0;
    for segment in text.split('/') {
        let at = start..start + segment.len();
        start = at.end + 1;
        let inner = segment
            .strip_prefix('<')
            .and_then(|inner| inner.strip_suffix('>'))
            .or_else(|| segment.strip_prefix(':'));
        if let Some(name) = inner.filter(|name| names_an_argument(name.trim_end_matches(".."))) {
            let star = if name.ends_with("..") { "*" } else { "" };
            let name = name.trim_end_matches("..");
            return Err(Mistake::new(
                at,
                "a parameter of a path is written in braces",
                format!("write `{{{star}{name}}}`"),
            ));
        }
    }
    if let Some(at) = text.find(['?', '#']) {
        return Err(Mistake::new(
            at..at + 1,
            "a path has no query and no fragment",
            "remove it; a handler reads the query with `Query<T>` or `Arg<T>`",
        ));
    }
    Ok(())
}

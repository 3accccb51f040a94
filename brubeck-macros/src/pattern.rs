//! Parses a route pattern, finds its captures, and builds its automaton.

mod canonical;
mod inspector;
mod template;

use inspector::Inspector;
use proc_macro2::{Literal, Span};
use regex_syntax::ast::{self, AssertionKind, Ast, GroupKind};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::Translator;
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

#[cfg(test)]
mod mongrel2_routes;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

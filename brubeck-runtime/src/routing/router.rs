//! Matching at run time.

use super::automaton::Automaton;
use super::captures::{Course, Sets};
use super::dfa::Merged;
use super::table::{Entry, Routes};
use crate::extract::Captures;
use crate::method::{Kind, Method};
use crate::spec::Spec;
use regex::bytes::{Regex, RegexBuilder};
use std::collections::HashMap;
use std::fmt;

/// The largest compiled regex, in bytes: what a pattern may cost is bounded, whoever wrote it.
const REGEX_LIMIT: usize = 1 << 20;

/// A route table made ready for matching, once at start.
///
/// Paths are matched by byte automata, and captures found by the course of their pattern. A regex is compiled only for
/// a pattern without a course, and for one whose automaton would have been too large.
#[derive(Debug)]
pub(crate) struct Router<S: 'static> {
    resources: Vec<Resource<S>>,
    /// In the order of the resources.
    parts: Vec<Part>,
}

/// Resources that follow each other in the list.
#[derive(Debug)]
enum Part {
    Merged(Merged),
    /// One whose automaton would have been too large.
    Alone(usize),
}

/// The handlers of one pattern text.
struct Resource<S: 'static> {
    /// Most have no other one.
    handler: Handler<S>,
    others: Vec<Handler<S>>,
    captures: Capturing,
}

/// One of them. What is asked of each request stands here, and not behind the entry.
struct Handler<S: 'static> {
    kind: Kind,
    method: Method,
    entry: &'static Entry<S>,
    /// Its place in the table.
    index: usize,
}

/// How the captures of a path are found.
#[derive(Debug)]
enum Capturing {
    Nothing,
    ByCourse(Course),
    ByRegex(Box<CapturingRegex>),
}

#[derive(Debug)]
struct CapturingRegex {
    regex: Regex,
    /// The group of each capture of the route.
    groups: Vec<usize>,
}

/// What a path and method lead to.
#[derive(Debug)]
pub(crate) enum Match<S: 'static> {
    /// To a handler.
    Found {
        /// The handler.
        entry: &'static Entry<S>,
        /// Where the captures of its pattern lie in the path.
        captures: Captures,
        /// Its place in the table.
        index: usize,
    },
    /// To a resource without a handler for that method.
    MethodNotAllowed {
        /// The methods it has for that kind of message; may be empty.
        allowed: Vec<Method>,
    },
    /// Nowhere.
    NotFound,
}

/// A pattern that is too large for the matcher.
#[derive(Debug)]
pub(crate) struct RouterError {
    spec: &'static Spec,
    source: regex::Error,
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spec {
            name,
            pattern,
            file,
            line,
            ..
        } = self.spec;
        write!(
            f,
            "the pattern `{pattern}` of route `{name}` at {file}:{line} cannot be matched"
        )
    }
}

impl std::error::Error for RouterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl<S> Router<S> {
    /// # Errors
    ///
    /// A pattern whose regex would take more than 1 MiB.
    pub(crate) fn new(routes: Routes<S>) -> Result<Router<S>, RouterError> {
        let mut resources: Vec<Resource<S>> = Vec::new();
        let mut known: HashMap<&'static str, usize> = HashMap::new();
        let mut sets = Sets::default();
        for (index, entry) in routes.entries().iter().enumerate() {
            let handler = Handler::of(index, entry);
            let same = *known.entry(entry.spec.pattern).or_insert(resources.len());
            match resources.get_mut(same) {
                Some(resource) => resource.others.push(handler),
                None => resources.push(Resource {
                    handler,
                    others: Vec::new(),
                    captures: Capturing::of(entry.spec, &mut sets)?,
                }),
            }
        }
        let parts = Part::of(&resources);
        Ok(Router { resources, parts })
    }

    /// What is known of the routes, by resource.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &'static Spec> {
        self.resources
            .iter()
            .flat_map(|resource| resource.handlers().map(|handler| handler.entry.spec))
    }

    /// The first resource that matches.
    fn first(&self, path: &[u8]) -> Option<&Resource<S>> {
        let number = self.parts.iter().find_map(|part| match part {
            Part::Merged(merged) => merged.first(path),
            Part::Alone(number) => {
                let alone = self.resources.get(*number)?;
                alone.is_match(path).then_some(*number)
            }
        });
        self.resources.get(number?)
    }

    /// The handler for this path: the first resource that matches, then its method.
    pub(crate) fn find(&self, kind: Kind, method: Method, path: &str) -> Match<S> {
        let Some(resource) = self.first(path.as_bytes()) else {
            return Match::NotFound;
        };
        let handlers = resource.handlers().filter(|handler| handler.kind == kind);
        match handlers.clone().find(|handler| handler.method == method) {
            Some(handler) => Match::Found {
                entry: handler.entry,
                captures: resource.captures.on(path.as_bytes()),
                index: handler.index,
            },
            None => Match::MethodNotAllowed {
                allowed: handlers.map(|handler| handler.method).collect(),
            },
        }
    }
}

impl Part {
    /// Routes without an automaton stand alone, those between them are merged.
    fn of<S>(resources: &[Resource<S>]) -> Vec<Part> {
        let (mut parts, mut proven) = (Vec::new(), Vec::new());
        for (number, resource) in resources.iter().enumerate() {
            let automaton = resource.automaton();
            if automaton.is_absent() {
                parts.extend(
                    Merged::of(&std::mem::take(&mut proven))
                        .into_iter()
                        .map(Part::Merged),
                );
                parts.push(Part::Alone(number));
            } else {
                proven.push((number, automaton));
            }
        }
        parts.extend(Merged::of(&proven).into_iter().map(Part::Merged));
        parts
    }
}

impl<S> Handler<S> {
    fn of(index: usize, entry: &'static Entry<S>) -> Handler<S> {
        Handler {
            kind: entry.spec.kind,
            method: entry.spec.method,
            entry,
            index,
        }
    }
}

impl<S> Resource<S> {
    fn handlers(&self) -> impl Iterator<Item = &Handler<S>> + Clone {
        std::iter::once(&self.handler).chain(&self.others)
    }

    fn automaton(&self) -> Automaton {
        Automaton(self.handler.entry.spec.automaton)
    }

    /// By the regex, where there is no automaton.
    fn is_match(&self, path: &[u8]) -> bool {
        matches!(&self.captures, Capturing::ByRegex(regex) if regex.regex.is_match(path))
    }
}

impl Capturing {
    fn of(spec: &'static Spec, sets: &mut Sets) -> Result<Capturing, RouterError> {
        if !Automaton(spec.automaton).is_absent() {
            if spec.captures.is_empty() {
                return Ok(Capturing::Nothing);
            }
            if let Some(course) = Course::of(spec.pattern, spec.captures, sets) {
                return Ok(Capturing::ByCourse(course));
            }
        }
        Ok(Capturing::ByRegex(CapturingRegex::new(spec)?.into()))
    }

    /// The captures of a path that matches.
    fn on(&self, path: &[u8]) -> Captures {
        match self {
            Capturing::Nothing => Captures::default(),
            Capturing::ByCourse(course) => course.captures(path),
            Capturing::ByRegex(regex) => regex.captures(path),
        }
    }
}

impl CapturingRegex {
    fn new(spec: &'static Spec) -> Result<CapturingRegex, RouterError> {
        // Anchored as a whole, since `^/a|/b` anchors its first branch only.
        let regex = RegexBuilder::new(&format!(r"\A(?:{})", spec.pattern))
            .unicode(false)
            .size_limit(REGEX_LIMIT)
            .dfa_size_limit(REGEX_LIMIT)
            .build()
            .map_err(|source| RouterError { spec, source })?;
        let group = |name: &&str| regex.capture_names().position(|group| group == Some(*name));
        let groups = spec
            .captures
            .iter()
            .map(|name| group(name).unwrap_or(usize::MAX))
            .collect();
        Ok(CapturingRegex { regex, groups })
    }

    fn captures(&self, path: &[u8]) -> Captures {
        if self.groups.is_empty() {
            return Captures::default();
        }
        let mut locations = self.regex.capture_locations();
        if self.regex.captures_read(&mut locations, path).is_none() {
            return Captures::default();
        }
        let mut captures = Captures::absent(self.groups.len());
        for (index, group) in self.groups.iter().enumerate() {
            if let Some((start, end)) = locations.get(*group) {
                captures.set_start(index, start);
                captures.set_end(index, end);
            }
        }
        captures
    }
}

impl<S> fmt::Debug for Resource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.handlers().map(|handler| handler.entry.spec.name))
            .finish()
    }
}

impl<S> fmt::Debug for Entry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

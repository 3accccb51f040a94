//! Finds the handler of a request.

use super::automaton::Automaton;
use super::captures::{ByteSetInterner, CaptureProgram};
use super::dfa::CombinedDfa;
use super::table::{Entry, Routes};
use crate::extract::Captures;
use crate::method::{Kind, Method};
use crate::spec::Spec;
use regex::bytes::{Regex, RegexBuilder};
use std::collections::HashMap;
use std::fmt;

/// The maximum size of a compiled regex, and of its lazy automaton, in bytes.
const MAX_REGEX_SIZE: usize = 1 << 20;

/// A route table that is prepared for matching. Built once, when the application starts.
///
/// Paths are matched by combined automata, and captures are found by the program of the pattern. A regex is compiled only for a
/// pattern with captures and no program, and for a pattern whose automaton would be too large.
#[derive(Debug)]
pub(crate) struct Router<S: 'static> {
    resources: Vec<Resource<S>>,
    /// In the order of the resources.
    groups: Vec<MatchGroup>,
}

/// Consecutive resources that are matched together.
#[derive(Debug)]
enum MatchGroup {
    Combined(CombinedDfa),
    /// The index of a resource without an automaton, which its regex matches.
    Regex(usize),
}

/// The handlers of one pattern text.
struct Resource<S: 'static> {
    /// Most resources have a single handler. It is stored in place, so a lookup follows no pointer to it.
    first: MethodHandler<S>,
    others: Vec<MethodHandler<S>>,
    captures: CaptureFinder,
}

/// A handler of a resource. Kind and method are copied here, because every request compares them.
struct MethodHandler<S: 'static> {
    kind: Kind,
    method: Method,
    entry: &'static Entry<S>,
    /// The position in the route table.
    index: usize,
}

/// Finds the captures of a path that matches.
#[derive(Debug)]
enum CaptureFinder {
    NoCaptures,
    Program(CaptureProgram),
    Regex(Box<CaptureRegex>),
}

#[derive(Debug)]
struct CaptureRegex {
    regex: Regex,
    /// For each capture of the route, the index of its group.
    groups: Vec<usize>,
}

/// The result of a lookup.
#[derive(Debug)]
pub(crate) enum Match<S: 'static> {
    Found {
        entry: &'static Entry<S>,
        /// The positions of the captures in the path.
        captures: Captures,
        /// The position in the route table.
        index: usize,
    },
    /// The resource has no handler for this kind of message and this method.
    MethodNotAllowed {
        /// The methods for which the resource has a handler of this kind; may be empty.
        allowed: Vec<Method>,
    },
    NotFound,
}

/// The error of [`Router::new`]: the regex of a pattern is too large.
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
            "the pattern `{pattern}` of route `{name}` at {file}:{line} is too large to be matched: {}; shorten it, or split the \
             route",
            self.source
        )
    }
}

// The text includes the cause, so `source` does not return it again.
impl std::error::Error for RouterError {}

impl<S> Router<S> {
    /// Prepares a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the regex of a pattern would take more than 1 MiB.
    pub(crate) fn new(routes: Routes<S>) -> Result<Router<S>, RouterError> {
        let mut resources: Vec<Resource<S>> = Vec::new();
        let mut by_pattern: HashMap<&'static str, usize> = HashMap::new();
        let mut sets = ByteSetInterner::default();
        for (index, entry) in routes.entries().iter().enumerate() {
            let handler = MethodHandler::new(index, entry);
            let resource = *by_pattern.entry(entry.spec.pattern).or_insert(resources.len());
            match resources.get_mut(resource) {
                Some(resource) => resource.others.push(handler),
                None => resources.push(Resource {
                    first: handler,
                    others: Vec::new(),
                    captures: CaptureFinder::new(entry.spec, &mut sets)?,
                }),
            }
        }
        let groups = MatchGroup::of(&resources);
        Ok(Router { resources, groups })
    }

    /// Returns the routes, grouped by resource.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &'static Spec> {
        self.resources
            .iter()
            .flat_map(|resource| resource.handlers().map(|handler| handler.entry.spec))
    }

    /// Returns the handler for this path. The first resource that matches decides; the kinds and methods of its handlers are compared
    /// after that.
    pub(crate) fn find(&self, kind: Kind, method: Method, path: &str) -> Match<S> {
        let Some(resource) = self.first_match(path.as_bytes()) else {
            return Match::NotFound;
        };
        let handlers = resource.handlers().filter(|handler| handler.kind == kind);
        match handlers.clone().find(|handler| handler.method == method) {
            Some(handler) => Match::Found {
                entry: handler.entry,
                captures: resource.captures.find(path.as_bytes()),
                index: handler.index,
            },
            None => Match::MethodNotAllowed {
                allowed: handlers.map(|handler| handler.method).collect(),
            },
        }
    }

    fn first_match(&self, path: &[u8]) -> Option<&Resource<S>> {
        let index = self.groups.iter().find_map(|group| match group {
            MatchGroup::Combined(dfa) => dfa.first_match(path),
            MatchGroup::Regex(index) => {
                let resource = self.resources.get(*index)?;
                resource.regex_matches(path).then_some(*index)
            }
        });
        self.resources.get(index?)
    }
}

impl MatchGroup {
    /// Combines consecutive resources that have an automaton. A resource without one gets a group of its own.
    fn of<S>(resources: &[Resource<S>]) -> Vec<MatchGroup> {
        let combine = |pending: &[(usize, Automaton)]| {
            CombinedDfa::build(pending).into_iter().map(MatchGroup::Combined)
        };
        let (mut groups, mut pending) = (Vec::new(), Vec::new());
        for (index, resource) in resources.iter().enumerate() {
            let automaton = resource.automaton();
            if automaton.is_absent() {
                groups.extend(combine(&std::mem::take(&mut pending)));
                groups.push(MatchGroup::Regex(index));
            } else {
                pending.push((index, automaton));
            }
        }
        groups.extend(combine(&pending));
        groups
    }
}

impl<S> MethodHandler<S> {
    fn new(index: usize, entry: &'static Entry<S>) -> MethodHandler<S> {
        MethodHandler {
            kind: entry.spec.kind,
            method: entry.spec.method,
            entry,
            index,
        }
    }
}

impl<S> Resource<S> {
    fn handlers(&self) -> impl Iterator<Item = &MethodHandler<S>> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn automaton(&self) -> Automaton {
        Automaton(self.first.entry.spec.automaton)
    }

    /// Matches a path for a resource without an automaton, which always has a regex.
    fn regex_matches(&self, path: &[u8]) -> bool {
        matches!(&self.captures, CaptureFinder::Regex(captures) if captures.regex.is_match(path))
    }
}

impl CaptureFinder {
    fn new(spec: &'static Spec, sets: &mut ByteSetInterner) -> Result<CaptureFinder, RouterError> {
        if !Automaton(spec.automaton).is_absent() {
            if spec.captures.is_empty() {
                return Ok(CaptureFinder::NoCaptures);
            }
            if let Some(program) = CaptureProgram::compile(spec.pattern, spec.captures, sets) {
                return Ok(CaptureFinder::Program(program));
            }
        }
        Ok(CaptureFinder::Regex(CaptureRegex::new(spec)?.into()))
    }

    /// Returns the captures of a path that matches.
    fn find(&self, path: &[u8]) -> Captures {
        match self {
            CaptureFinder::NoCaptures => Captures::default(),
            CaptureFinder::Program(program) => program.run(path),
            CaptureFinder::Regex(regex) => regex.captures(path),
        }
    }
}

impl CaptureRegex {
    fn new(spec: &'static Spec) -> Result<CaptureRegex, RouterError> {
        // The pattern is anchored as a whole: in `^/a|/b`, the `^` belongs to the first branch only.
        let regex = RegexBuilder::new(&format!(r"\A(?:{})", spec.pattern))
            .unicode(false)
            .size_limit(MAX_REGEX_SIZE)
            .dfa_size_limit(MAX_REGEX_SIZE)
            .build()
            .map_err(|source| RouterError { spec, source })?;
        let group = |name: &&str| regex.capture_names().position(|group| group == Some(*name));
        let groups = spec
            .captures
            .iter()
            .map(|name| group(name).unwrap_or(usize::MAX))
            .collect();
        Ok(CaptureRegex { regex, groups })
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

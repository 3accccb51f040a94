//! Finds the handler of a request.

use super::automaton::Automaton;
use super::captures::{ByteSetInterner, CaptureProgram};
use super::dfa::CombinedDfa;
use super::order::match_order;
use super::prefixed::below_mount;
use super::table::ListedRoute;
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
pub(crate) struct Router {
    resources: Vec<Resource>,
    /// In the order of the resources.
    groups: Vec<MatchGroup>,
    /// The handlers of the operations of contracts, by kind and name. Tables below several prefixes can serve an operation more than once.
    operations: HashMap<(Kind, &'static str), Vec<OperationHandler>>,
}

/// The place of a handler of an operation in the resources.
#[derive(Clone, Copy, Debug)]
struct OperationHandler {
    resource: usize,
    /// The index among the handlers of the resource.
    handler: usize,
}

/// Consecutive resources that are matched together.
#[derive(Debug)]
enum MatchGroup {
    Combined(CombinedDfa),
    /// The index of a resource without an automaton, which its regex matches.
    Regex(usize),
}

/// The handlers of one pattern.
struct Resource {
    /// Most resources have a single handler. It is stored in place, so a lookup follows no pointer to it.
    first: MethodHandler,
    others: Vec<MethodHandler>,
    captures: CaptureFinder,
    /// The prefix of the table in which the resource is.
    mount: &'static str,
}

/// A handler of a resource. Kind and method are copied here, because every request compares them.
struct MethodHandler {
    kind: Kind,
    method: Method,
    route: &'static ListedRoute,
    /// The position in the route table.
    index: usize,
}

/// Finds the captures of a path that matches.
#[derive(Debug)]
pub(super) enum CaptureFinder {
    NoCaptures,
    Program(CaptureProgram),
    Regex(Box<CaptureRegex>),
}

#[derive(Debug)]
pub(super) struct CaptureRegex {
    regex: Regex,
    /// For each capture of the route, the index of its group.
    groups: Vec<usize>,
}

/// The result of a lookup.
#[derive(Debug)]
pub(crate) enum Match {
    Found(MatchedRoute),
    /// The resource has no handler for this kind of message and this method.
    MethodNotAllowed {
        /// The methods for which the resource has a handler of this kind; may be empty.
        allowed: Vec<Method>,
    },
    NotFound,
}

/// The route of a message.
#[derive(Debug)]
pub(crate) struct MatchedRoute {
    pub(crate) route: &'static ListedRoute,
    /// The position in the route table.
    pub(crate) index: usize,
    /// The positions of the captures in the path.
    pub(crate) captures: Captures,
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

impl Router {
    /// Prepares a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the regex of a pattern would take more than 1 MiB.
    pub(crate) fn new(routes: &[&'static ListedRoute]) -> Result<Router, RouterError> {
        let mut resources: Vec<Resource> = Vec::new();
        let mut by_resource: HashMap<&'static [u8], usize> = HashMap::new();
        let mut operations: HashMap<_, Vec<OperationHandler>> = HashMap::new();
        let mut sets = ByteSetInterner::default();
        let in_order = match_order(routes).into_iter();
        for (index, route) in in_order.filter_map(|index| Some((index, routes.get(index)?))) {
            let handler = MethodHandler::new(index, route);
            let resource = *by_resource
                .entry(route.spec.resource())
                .or_insert(resources.len());
            if !route.spec.operation.is_empty() {
                let handlers = resources
                    .get(resource)
                    .map_or(0, |resource| 1 + resource.others.len());
                let name = (route.spec.kind, route.spec.operation);
                operations.entry(name).or_default().push(OperationHandler {
                    resource,
                    handler: handlers,
                });
            }
            match resources.get_mut(resource) {
                Some(resource) => resource.others.push(handler),
                None => resources.push(Resource {
                    first: handler,
                    others: Vec::new(),
                    captures: CaptureFinder::new(route.spec, &mut sets)?,
                    mount: route.spec.mount,
                }),
            }
        }
        let groups = MatchGroup::of(&resources);
        Ok(Router {
            resources,
            groups,
            operations,
        })
    }

    /// Returns the routes, grouped by resource.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &'static Spec> {
        self.resources
            .iter()
            .flat_map(|resource| resource.handlers().map(|handler| handler.route.spec))
    }

    /// Returns the handler for this path, in its [canonical](crate::target::CanonicalPath) form. The first resource that matches, in the order
    /// of [`match_order`], decides; the kinds and methods of its handlers are compared after that.
    #[inline]
    pub(crate) fn find(&self, kind: Kind, method: Method, path: &[u8]) -> Match {
        let Some(resource) = self.first_match(path) else {
            return Match::NotFound;
        };
        let handlers = resource.handlers().filter(|handler| handler.kind == kind);
        match handlers.clone().find(|handler| handler.method == method) {
            Some(handler) => Match::Found(handler.matched(resource.captures(path))),
            None => Match::MethodNotAllowed {
                allowed: handlers.map(|handler| handler.method).collect(),
            },
        }
    }

    /// Returns the handler of an operation, and the captures of the path if its pattern matches. If there are several, the first one whose
    /// pattern matches the path is preferred.
    pub(crate) fn find_operation(&self, kind: Kind, operation: &str, path: &[u8]) -> Option<MatchedRoute> {
        let handlers = self.operations.get(&(kind, operation))?;
        let place = |place: &OperationHandler| {
            let resource = self.resources.get(place.resource)?;
            Some((resource, resource.handlers().nth(place.handler)?))
        };
        let mut places = handlers.iter().filter_map(place);
        if let Some((resource, handler)) = places.clone().find(|(resource, _)| resource.matches(path)) {
            return Some(handler.matched(resource.captures(path)));
        }
        let (_, handler) = places.next()?;
        Some(handler.matched(Captures::absent(handler.route.spec.captures.len())))
    }

    #[inline]
    fn first_match(&self, path: &[u8]) -> Option<&Resource> {
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
    fn of(resources: &[Resource]) -> Vec<MatchGroup> {
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

impl MethodHandler {
    fn new(index: usize, route: &'static ListedRoute) -> MethodHandler {
        MethodHandler {
            kind: route.spec.kind,
            method: route.spec.method,
            route,
            index,
        }
    }

    #[inline]
    fn matched(&self, captures: Captures) -> MatchedRoute {
        MatchedRoute {
            route: self.route,
            index: self.index,
            captures,
        }
    }
}

impl Resource {
    #[inline]
    fn handlers(&self) -> impl Iterator<Item = &MethodHandler> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn automaton(&self) -> Automaton {
        Automaton(self.first.route.spec.automaton)
    }

    fn matches(&self, path: &[u8]) -> bool {
        if self.automaton().is_absent() {
            return self.regex_matches(path);
        }
        self.automaton().matches(path)
    }

    /// Matches a path for a resource without an automaton, which always has a regex.
    fn regex_matches(&self, path: &[u8]) -> bool {
        below_mount(self.mount, path).is_some_and(|path| self.captures.regex_matches(path))
    }

    /// Returns the captures of a path that matches.
    #[inline]
    fn captures(&self, path: &[u8]) -> Captures {
        if self.mount.is_empty() {
            return self.captures.find(path);
        }
        let rest = below_mount(self.mount, path).unwrap_or_default();
        self.captures.find(rest).moved_by(self.mount.len())
    }
}

impl CaptureFinder {
    pub(super) fn new(spec: &'static Spec, sets: &mut ByteSetInterner) -> Result<CaptureFinder, RouterError> {
        if !Automaton(spec.automaton).is_absent() {
            if spec.captures.is_empty() {
                return Ok(CaptureFinder::NoCaptures);
            }
            if let Some(program) = CaptureProgram::compile(spec.regex, spec.captures, sets) {
                return Ok(CaptureFinder::Program(program));
            }
        }
        Ok(CaptureFinder::Regex(CaptureRegex::new(spec)?.into()))
    }

    /// Matches a path with the regex of a pattern that has no automaton.
    pub(super) fn regex_matches(&self, path: &[u8]) -> bool {
        matches!(self, CaptureFinder::Regex(captures) if captures.regex.is_match(path))
    }

    /// Returns the captures of a path that matches.
    pub(super) fn find(&self, path: &[u8]) -> Captures {
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
        let regex = RegexBuilder::new(&format!(r"\A(?:{})", spec.regex))
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

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.handlers().map(|handler| handler.route.spec.name))
            .finish()
    }
}

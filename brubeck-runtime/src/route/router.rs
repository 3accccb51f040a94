//! Matching at run time.

use super::automaton::Automaton;
use super::merged::Merged;
use super::spec::Spec;
use super::table::{Entry, Routes};
use crate::method::{Kind, Method};
use regex::bytes::{Regex, RegexBuilder};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// The largest compiled regex, in bytes: what a pattern may cost is bounded, whoever wrote it.
const REGEX_LIMIT: usize = 1 << 20;

/// A route table made ready for matching, once at start.
///
/// Paths are matched by byte automata. A regex is compiled only for a route that captures, and for one whose
/// automaton would have been too large.
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
    automaton: Automaton,
    regex: Option<CapturingRegex>,
    entries: Vec<&'static Entry<S>>,
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
    },
    /// To a resource without a handler for that method.
    MethodNotAllowed {
        /// The methods it has for that kind of message; may be empty.
        allowed: Vec<Method>,
    },
    /// Nowhere.
    NotFound,
}

/// Where the captures of a route lie in the path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captures(Box<[Option<Range<usize>>]>);

impl Captures {
    /// The bytes of the capture with this index; `None` where its group took no part in the match.
    pub(crate) fn get(&self, index: usize) -> Option<Range<usize>> {
        self.0.get(index)?.clone()
    }
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
        for entry in routes.entries() {
            let same = known.get(entry.spec.pattern).copied();
            match same.and_then(|same| resources.get_mut(same)) {
                Some(resource) => resource.entries.push(entry),
                None => {
                    known.insert(entry.spec.pattern, resources.len());
                    resources.push(Resource::new(entry)?);
                }
            }
        }
        let parts = Part::of(&resources);
        Ok(Router { resources, parts })
    }

    /// What is known of the routes, by resource.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &'static Spec> {
        self.resources
            .iter()
            .flat_map(|resource| resource.entries.iter().map(|entry| entry.spec))
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
        let handlers = resource
            .entries
            .iter()
            .copied()
            .filter(|entry| entry.spec.kind == kind);
        match handlers.clone().find(|entry| entry.spec.method == method) {
            Some(entry) => Match::Found {
                entry,
                captures: resource.captures(path.as_bytes()),
            },
            None => Match::MethodNotAllowed {
                allowed: handlers.map(|entry| entry.spec.method).collect(),
            },
        }
    }
}

impl Part {
    /// Routes without an automaton stand alone, those between them are merged.
    fn of<S>(resources: &[Resource<S>]) -> Vec<Part> {
        let (mut parts, mut proven) = (Vec::new(), Vec::new());
        for (number, resource) in resources.iter().enumerate() {
            if resource.automaton.is_absent() {
                parts.extend(
                    Merged::of(&std::mem::take(&mut proven))
                        .into_iter()
                        .map(Part::Merged),
                );
                parts.push(Part::Alone(number));
            } else {
                proven.push((number, resource.automaton));
            }
        }
        parts.extend(Merged::of(&proven).into_iter().map(Part::Merged));
        parts
    }
}

impl<S> Resource<S> {
    fn new(entry: &'static Entry<S>) -> Result<Resource<S>, RouterError> {
        let automaton = Automaton(entry.spec.automaton);
        let needs_regex = automaton.is_absent() || !entry.spec.captures.is_empty();
        let regex = needs_regex.then(|| CapturingRegex::new(entry.spec)).transpose()?;
        Ok(Resource {
            automaton,
            regex,
            entries: vec![entry],
        })
    }

    /// By the regex, where there is no automaton.
    fn is_match(&self, path: &[u8]) -> bool {
        self.regex
            .as_ref()
            .is_some_and(|regex| regex.regex.is_match(path))
    }

    fn captures(&self, path: &[u8]) -> Captures {
        self.regex
            .as_ref()
            .map(|regex| regex.captures(path))
            .unwrap_or_default()
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
        let range = |group: &usize| locations.get(*group).map(|(start, end)| start..end);
        Captures(self.groups.iter().map(range).collect())
    }
}

impl<S> fmt::Debug for Resource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(|entry| entry.spec.name))
            .finish()
    }
}

impl<S> fmt::Debug for Entry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

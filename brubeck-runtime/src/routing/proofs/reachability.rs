//! `Routes::check`: also finds routes that several earlier ones shadow together, which is too much work for constant evaluation.

use crate::method::Kind;
use crate::routing::automaton::{Automaton, Edge};
use crate::routing::order::match_order;
use crate::routing::router::{Match, Router, RouterError};
use crate::routing::table::{ListedRoute, Routes};
use crate::spec::Spec;
use std::collections::HashSet;
use std::fmt;

/// Limits the search for one route: the number of combinations of a state of its automaton and states of earlier routes.
const MAX_NODES: usize = 100_000;

/// The error of [`Routes::check`]: routes that can never run.
///
/// ```
/// use brubeck::Unreachable;
/// use brubeck::prelude::*;
///
/// #[get("^/a")]
/// async fn a() {}
/// #[get("^/b")]
/// async fn b() {}
/// #[get("^/[ab]")]
/// async fn a_or_b() {}
///
/// const ROUTES: Routes<()> = routes![a, b, a_or_b];
///
/// let error: Unreachable = ROUTES.check().unwrap_err();
/// eprintln!("{error}"); // names `a_or_b`, its file and its line
/// ```
///
/// It also lists routes whose own path an earlier route takes, or reports a pattern that is too large to be matched. Its text names each route
/// with its file and line.
#[derive(Clone, PartialEq, Eq)]
pub struct Unreachable(Vec<String>);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl fmt::Debug for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Unreachable {}

impl From<RouterError> for Unreachable {
    fn from(error: RouterError) -> Unreachable {
        Unreachable(vec![error.to_string()])
    }
}

impl<S> Routes<S> {
    /// Checks that every route can be reached. Call it in a test.
    ///
    /// `routes!` compares pairs of routes. This method also finds a route that several earlier ones shadow together. For every other
    /// route it finds a path that no earlier one should match, and looks that path up.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/a")]
    /// async fn a() {}
    /// #[get("^/b")]
    /// async fn b() {}
    /// #[get("^/[ab]")]
    /// async fn a_or_b() {}
    ///
    /// const ROUTES: Routes<()> = routes![a, b, a_or_b];
    ///
    /// let text = ROUTES.check().unwrap_err().to_string();
    /// assert!(text.starts_with("route `a_or_b` can never run: the routes before it match every path"));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Unreachable`] that lists the routes that no path reaches, and those for which the path that was found is taken by an earlier
    /// route with a pattern that is too large for a proof. Routes with such a pattern are not checked themselves, nor is a route whose
    /// search would take too long. If the regex of a route would take more than 1 MiB, the error is about the first such route only.
    pub fn check(&self) -> Result<(), Unreachable> {
        check(&self.listed())
    }
}

fn check(routes: &[&'static ListedRoute]) -> Result<(), Unreachable> {
    let router = Router::new(routes)?;
    // The first handler of each pattern text, in order.
    let mut resources: Vec<&'static Spec> = Vec::new();
    let mut unreachable = Vec::new();
    let in_order = match_order(routes).into_iter();
    for ListedRoute { spec, .. } in in_order.filter_map(|index| routes.get(index)) {
        let first = resources
            .iter()
            .find(|earlier| earlier.same_resource(spec))
            .copied();
        if first.is_none() {
            resources.push(spec);
        }
        // The responses of an operation are routed by its name.
        if spec.kind == Kind::Response && !spec.operation.is_empty() {
            continue;
        }
        // Nothing is known about a pattern that is too large; `Router::new` has checked that its regex compiles.
        if Automaton(spec.automaton).is_absent() {
            continue;
        }
        let end = resources
            .iter()
            .position(|resource| resource.same_resource(spec))
            .unwrap_or(resources.len());
        let earlier: Vec<Automaton> = resources
            .iter()
            .take(end)
            .map(|resource| Automaton(resource.automaton))
            .filter(|automaton| !automaton.is_absent())
            .collect();
        match find_own_path(Automaton(spec.automaton), &earlier) {
            OwnPath::Found(path) if !reaches(&router, spec, &path) => {
                // The search has excluded the paths of all earlier patterns except those without an automaton.
                unreachable.push(format!(
                        "route `{}` does not get the path {path}: an earlier route, whose pattern is too large for a proof, matches it\n  {}",
                        spec.name,
                        location(spec)
                    ));
            }
            OwnPath::Found(_) | OwnPath::Unknown => {}
            OwnPath::None => {
                unreachable.push(format!(
                    "route `{}` can never run: the routes before it match every path it matches\n  {}",
                    spec.name,
                    location(spec)
                ));
            }
        }
    }
    if unreachable.is_empty() {
        Ok(())
    } else {
        Err(Unreachable(unreachable))
    }
}

fn location(spec: &Spec) -> String {
    format!("`{}` at {}:{}", spec.pattern, spec.file, spec.line)
}

fn reaches(router: &Router, spec: &'static Spec, path: &str) -> bool {
    match router.find(spec.kind, spec.method, path.as_bytes()) {
        Match::Found(found) => std::ptr::eq(found.route.spec, spec) || found.route.spec.same_resource(spec),
        _ => false,
    }
}

/// The result of the search for a path that a route matches and no earlier route does.
enum OwnPath {
    Found(String),
    /// There is no such path.
    None,
    /// None of the paths that were found is UTF-8, or the search was too large.
    Unknown,
}

/// A combination of states: of the route itself, and of each earlier route unless it has already rejected the path.
type Node = (u16, Vec<Option<u16>>);

/// A node, with the index of the node and the byte from which it was first reached. The start node has neither.
type Visited = (Node, Option<(usize, u8)>);

/// Finds a shortest path that `late` accepts and no automaton of `earlier` does.
///
/// This is a breadth-first search through the product of all automata. It does not continue from a state in which an earlier route
/// accepts every continuation.
fn find_own_path(late: Automaton, earlier: &[Automaton]) -> OwnPath {
    let start: Node = (0, vec![Some(0); earlier.len()]);
    let mut seen = HashSet::from([start.clone()]);
    let mut nodes: Vec<Visited> = vec![(start, None)];
    let mut found_non_utf8 = false;
    let mut index = 0;
    while let Some(((state, others), _)) = nodes.get(index).cloned() {
        let is_covered = |accepts: fn(Automaton, u16) -> bool| {
            others
                .iter()
                .zip(earlier)
                .any(|(other, automaton)| other.is_some_and(|s| accepts(*automaton, s)))
        };
        if is_covered(Automaton::accepts_all) {
            index += 1;
            continue;
        }
        if late.accepts(state) && !is_covered(Automaton::accepts) {
            match path(&nodes, index) {
                Some(path) => return OwnPath::Found(path),
                None => found_non_utf8 = true,
            }
        }
        for edge in (0..late.edges(state)).map(|i| late.edge(state, i)) {
            for (byte, next) in steps(edge, &others, earlier) {
                if seen.insert(next.clone()) {
                    nodes.push((next, Some((index, byte))));
                }
            }
        }
        if nodes.len() > MAX_NODES {
            return OwnPath::Unknown;
        }
        index += 1;
    }
    if found_non_utf8 {
        OwnPath::Unknown
    } else {
        OwnPath::None
    }
}

/// Returns the nodes that the bytes of `edge` lead to, each with the most readable of the bytes that lead to it.
fn steps(edge: Edge, others: &[Option<u16>], earlier: &[Automaton]) -> Vec<(u8, Node)> {
    let mut steps: Vec<(u8, Node)> = Vec::new();
    let unreadability = |byte: u8| !byte.is_ascii_graphic() as u8 * 2 + !byte.is_ascii_alphanumeric() as u8;
    for byte in edge.low..=edge.high {
        let next: Vec<Option<u16>> = others
            .iter()
            .zip(earlier)
            .map(|(other, automaton)| other.and_then(|state| automaton.step(state, byte)))
            .collect();
        match steps.iter_mut().find(|(_, node)| node.1 == next) {
            Some((known, _)) if unreadability(byte) < unreadability(*known) => *known = byte,
            Some(_) => {}
            None => steps.push((byte, (edge.to, next))),
        }
    }
    steps
}

/// Returns the path that led to a node, if it is UTF-8.
fn path(nodes: &[Visited], end: usize) -> Option<String> {
    let mut bytes = Vec::new();
    let mut index = end;
    while let Some((_, Some((previous, byte)))) = nodes.get(index) {
        bytes.push(*byte);
        index = *previous;
    }
    bytes.reverse();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use crate::method::{Kind, Method};
    use crate::response::Response;
    use crate::routing::table::{Entry, ListedRoute, Routes, table};
    use crate::spec::Spec;
    use crate::status::Status;

    /// The packed automaton of `^/a`.
    const A: &[u8] = &[
        0, 1, b'/', b'/', 6, 0, 0, 1, b'a', b'a', 12, 0, 3, 1, 0, 255, 12, 0,
    ];

    fn routes(specs: [Spec; 2]) -> Routes<()> {
        let entries = specs.map(|spec| Entry {
            route: ListedRoute::new(Box::leak(Box::new(spec))),
            handle: |_| Box::pin(async { Response::new(Status::OK) }),
        });
        table(Box::leak(Box::new(entries)))
    }

    #[test]
    fn reports_route_whose_example_path_an_unproven_route_takes() {
        let unproven = Spec::new("unproven", "^/[a-z]", Method::Get, Kind::Web);
        let late = Spec::new("late", "^/a", Method::Get, Kind::Web)
            .with_automaton(A, "/a")
            .at("src/main.rs", 7);
        let error = routes([unproven, late]).check().unwrap_err().to_string();
        assert!(
            error.starts_with("route `late` does not get the path /a: an earlier route"),
            "{error}"
        );
        assert!(error.ends_with("`^/a` at src/main.rs:7"), "{error}");
        assert!(routes([late, unproven]).check().is_ok());
    }
}

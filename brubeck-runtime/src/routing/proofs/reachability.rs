//! What constant evaluation leaves to a test: routes shadowed by several earlier ones together.

use crate::routing::automaton::{Automaton, Edge};
use crate::routing::router::{Match, Router, RouterError};
use crate::routing::table::Routes;
use crate::spec::Spec;
use std::collections::HashMap;
use std::fmt;

/// Bounds the product of one route with those before it.
const MAX_NODES: usize = 100_000;

/// The routes that can never run, or cannot be matched.
///
/// Its text names each with its place.
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
    /// Finds routes that several earlier ones shadow together, and sends a path of every other one through the
    /// table. Call it in a test: `routes!` itself compares pairs only.
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
    /// The routes that no path reaches. A pattern that was too large for a proof is taken to be reached.
    pub fn check(&self) -> Result<(), Unreachable> {
        let router = Router::new(*self)?;
        let mut resources: Vec<&'static Spec> = Vec::new();
        let mut unreachable = Vec::new();
        for spec in self.specs() {
            let first = resources
                .iter()
                .find(|earlier| earlier.same_resource(spec))
                .copied();
            if first.is_none() {
                resources.push(spec);
            }
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
            match uncovered(Automaton(spec.automaton), &earlier) {
                Reach::Path(path) if !reaches(&router, spec, &path) => {
                    unreachable.push(format!(
                        "{}: the path {path} of it goes elsewhere",
                        headline(spec)
                    ));
                }
                Reach::Path(_) | Reach::Unknown => {}
                Reach::Nothing => {
                    let text = "the routes before it match every path it matches";
                    unreachable.push(format!("{}: {text}\n  {}", headline(spec), place(spec)));
                }
            }
        }
        if unreachable.is_empty() {
            Ok(())
        } else {
            Err(Unreachable(unreachable))
        }
    }
}

fn headline(spec: &Spec) -> String {
    format!("route `{}` can never run", spec.name)
}

fn place(spec: &Spec) -> String {
    format!("`{}` at {}:{}", spec.pattern, spec.file, spec.line)
}

fn reaches<S>(router: &Router<S>, spec: &'static Spec, path: &str) -> bool {
    match router.find(spec.kind, spec.method, path) {
        Match::Found { entry, .. } => std::ptr::eq(entry.spec, spec) || entry.spec.same_resource(spec),
        _ => false,
    }
}

enum Reach {
    /// A path that this route matches and none before it.
    Path(String),
    Nothing,
    /// Only paths that are no text, or too much to look through.
    Unknown,
}

/// `None`: that automaton has refused.
type Node = (u16, Vec<Option<u16>>);

/// Looks for a shortest path that `late` accepts and no automaton of `earlier` does.
fn uncovered(late: Automaton, earlier: &[Automaton]) -> Reach {
    let mut nodes: Vec<(Node, Option<(usize, u8)>)> = vec![((0, vec![Some(0); earlier.len()]), None)];
    let mut seen: HashMap<Node, ()> = HashMap::from([(nodes[0].0.clone(), ())]);
    let mut only_bytes = false;
    let mut at = 0;
    while let Some(((state, others), _)) = nodes.get(at).cloned() {
        let covered = |accepts: fn(Automaton, u16) -> bool| {
            others
                .iter()
                .zip(earlier)
                .any(|(other, automaton)| other.is_some_and(|s| accepts(*automaton, s)))
        };
        if covered(Automaton::accepts_all) {
            at += 1;
            continue;
        }
        if late.accepts(state) && !covered(Automaton::accepts) {
            match path(&nodes, at) {
                Some(path) => return Reach::Path(path),
                None => only_bytes = true,
            }
        }
        for edge in (0..late.edges(state)).map(|i| late.edge(state, i)) {
            for (byte, next) in steps(edge, &others, earlier) {
                if seen.insert(next.clone(), ()).is_none() {
                    nodes.push((next, Some((at, byte))));
                }
            }
        }
        if nodes.len() > MAX_NODES {
            return Reach::Unknown;
        }
        at += 1;
    }
    if only_bytes {
        Reach::Unknown
    } else {
        Reach::Nothing
    }
}

/// Where the bytes of `edge` lead; one readable byte stands for each run on which no automaton changes its mind.
fn steps(edge: Edge, others: &[Option<u16>], earlier: &[Automaton]) -> Vec<(u8, Node)> {
    let mut steps: Vec<(u8, Node)> = Vec::new();
    let liked = |byte: u8| !byte.is_ascii_graphic() as u8 * 2 + !byte.is_ascii_alphanumeric() as u8;
    for byte in edge.low..=edge.high {
        let next: Vec<Option<u16>> = others
            .iter()
            .zip(earlier)
            .map(|(other, automaton)| other.and_then(|state| automaton.step(state, byte)))
            .collect();
        match steps.iter_mut().find(|(_, node)| node.1 == next) {
            Some((known, _)) if liked(byte) < liked(*known) => *known = byte,
            Some(_) => {}
            None => steps.push((byte, (edge.to, next))),
        }
    }
    steps
}

fn path(nodes: &[(Node, Option<(usize, u8)>)], end: usize) -> Option<String> {
    let mut bytes = Vec::new();
    let mut at = end;
    while let Some((_, Some((before, byte)))) = nodes.get(at) {
        bytes.push(*byte);
        at = *before;
    }
    bytes.reverse();
    String::from_utf8(bytes).ok()
}

//! The order in which the routes of a table are tried.

use super::automaton::Automaton;
use super::proofs::{Relation, relation};
use super::table::ListedRoute;
use crate::spec::Spec;
use std::collections::HashMap;

/// Returns the indexes of the routes, in the order in which they are tried: that of the table, except that of two operations the one with fewer
/// paths is tried first. The routes of one resource are consecutive, at the position of the first one.
pub(super) fn match_order(routes: &[&'static ListedRoute]) -> Vec<usize> {
    let mut resources: Vec<Vec<usize>> = Vec::new();
    let mut by_resource: HashMap<&'static [u8], usize> = HashMap::new();
    for (index, route) in routes.iter().enumerate() {
        let resource = *by_resource
            .entry(route.spec.resource())
            .or_insert(resources.len());
        match resources.get_mut(resource) {
            Some(handlers) => handlers.push(index),
            None => resources.push(vec![index]),
        }
    }
    let operation_of = |handlers: &[usize]| -> Option<&'static Spec> {
        let mut specs = handlers
            .iter()
            .filter_map(|index| routes.get(*index))
            .map(|route| route.spec);
        specs.find(|spec| !spec.operation.is_empty())
    };
    // The operations so far, by forced prefix. Only one whose prefix is a prefix of its own can be wider.
    let mut operations: HashMap<Vec<u8>, Vec<(usize, Automaton)>> = HashMap::new();
    let mut order: Vec<usize> = Vec::with_capacity(resources.len());
    for (resource, handlers) in resources.iter().enumerate() {
        let Some(operation) = operation_of(handlers) else {
            order.push(resource);
            continue;
        };
        let automaton = Automaton(operation.automaton);
        let prefix = automaton.forced_prefix();
        let wider: Vec<usize> = (0..=prefix.len())
            .filter_map(|len| operations.get(prefix.get(..len)?))
            .flatten()
            .filter(|(_, other)| relation(*other, automaton) == Relation::Wider)
            .map(|(other, _)| *other)
            .collect();
        let place = if wider.is_empty() {
            None
        } else {
            order.iter().position(|placed| wider.contains(placed))
        };
        order.insert(place.unwrap_or(order.len()), resource);
        operations.entry(prefix).or_default().push((resource, automaton));
    }
    order
        .into_iter()
        .filter_map(|resource| resources.get(resource))
        .flatten()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Kind, Method};
    use crate::routing::automaton::tests::{PREFIX, packed_path};

    fn route(pattern: &'static str, operation: bool) -> &'static ListedRoute {
        let automaton = if pattern.starts_with('^') {
            PREFIX.0
        } else {
            packed_path(pattern)
        };
        let spec = Spec::new(pattern, pattern, Method::Request, Kind::Service).with_automaton(automaton, "");
        let spec = if operation {
            spec.of_operation("()\nProblem")
        } else {
            spec
        };
        Box::leak(Box::new(ListedRoute::new(Box::leak(Box::new(spec)))))
    }

    #[test]
    fn operation_with_fewer_paths_is_tried_first() {
        let (wide, narrow) = (route("^/a", true), route("/ab", true));
        let (plain, other) = (route("/abc", false), route("/b", true));
        assert_eq!(match_order(&[other, wide, plain, narrow]), [0, 3, 1, 2]);
        assert_eq!(match_order(&[narrow, wide]), [0, 1]);
        // Other routes are tried in the order of the table.
        assert_eq!(match_order(&[wide, plain]), [0, 1]);
        assert_eq!(match_order(&[route("^/a", false), narrow]), [0, 1]);
    }

    #[test]
    fn routes_of_a_resource_stay_together() {
        let (wide, narrow) = (route("^/a", true), route("/ab", true));
        assert_eq!(match_order(&[wide, narrow, wide, narrow]), [1, 3, 0, 2]);
    }
}

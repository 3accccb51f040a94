//! Matching without an application, for benchmarks.

use super::router::{Match, Router};
use super::table::Routes;
use crate::error::{Error, Result};
use crate::method::{Kind, Method};
use crate::spec::Spec;

/// A route table that is prepared for matching, without an application around it.
#[derive(Debug)]
pub struct RouteMatcher<S: 'static>(Router<S>);

impl<S> RouteMatcher<S> {
    /// Prepares a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the regex of a pattern would take more than 1 MiB.
    pub fn new(routes: Routes<S>) -> Result<RouteMatcher<S>> {
        let router = Router::new(routes);
        router
            .map(RouteMatcher)
            .map_err(|error| Error::because("the routes cannot be matched", error))
    }

    /// Returns the route of a GET request for this path. Returns `None` if no pattern matches, or if the first one that does has no
    /// GET handler.
    pub fn find(&self, path: &str) -> Option<&'static Spec> {
        match self.0.find(Kind::Web, Method::Get, path) {
            Match::Found { entry, .. } => Some(entry.spec),
            _ => None,
        }
    }
}

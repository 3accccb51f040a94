//! Matching alone, for those who measure it.

use super::router::{Match, Router};
use super::table::Routes;
use crate::error::{Error, Result};
use crate::method::{Kind, Method};
use crate::spec::Spec;

/// A table made ready for matching, without an application around it.
#[derive(Debug)]
pub struct RouteMatcher<S: 'static>(Router<S>);

impl<S> RouteMatcher<S> {
    /// Makes it ready.
    ///
    /// # Errors
    ///
    /// A pattern is too large for the matcher.
    pub fn new(routes: Routes<S>) -> Result<RouteMatcher<S>> {
        let router = Router::new(routes);
        router
            .map(RouteMatcher)
            .map_err(|error| Error::because("the routes cannot be matched", error))
    }

    /// The route that answers a GET of this path.
    pub fn find(&self, path: &str) -> Option<&'static Spec> {
        match self.0.find(Kind::Web, Method::Get, path) {
            Match::Found { entry, .. } => Some(entry.spec),
            _ => None,
        }
    }
}

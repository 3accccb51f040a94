//! Matching without an application, for benchmarks and tests.

use super::router::{Match, MatchedRoute, Router};
use super::table::Routes;
use crate::error::{Error, Result};
use crate::method::{Kind, Method};
use crate::spec::Spec;
use crate::target::canonical_path;

/// A route table that is prepared for matching, without an application around it.
#[derive(Debug)]
pub struct RouteMatcher(Router);

impl RouteMatcher {
    /// Prepares a table.
    ///
    /// # Errors
    ///
    /// Returns an error if the regex of a pattern would take more than 1 MiB.
    pub fn new<S>(routes: Routes<S>) -> Result<RouteMatcher> {
        let router = Router::new(&routes.listed());
        router
            .map(RouteMatcher)
            .map_err(|error| Error::because("the routes cannot be matched", error))
    }

    /// Returns the route of a GET request for this path, which may be percent-encoded. Returns `None` if no pattern matches, if the
    /// first one that does has no GET handler, or if the path is invalid.
    pub fn find(&self, path: &str) -> Option<&'static Spec> {
        match self
            .0
            .find(Kind::Web, Method::Get, canonical_path(path).ok()?.bytes())
        {
            Match::Found(found) => Some(found.route.spec),
            _ => None,
        }
    }

    /// Returns the captures that the handler of a GET request for this path gets. Returns `None` if [`find`](Self::find) does.
    pub fn captures(&self, path: &str) -> Option<Vec<Option<String>>> {
        let canonical = canonical_path(path).ok()?;
        let Match::Found(found) = self.0.find(Kind::Web, Method::Get, canonical.bytes()) else {
            return None;
        };
        let decoded = canonical.into_decoded();
        let text = decoded.as_deref().unwrap_or(path);
        let MatchedRoute { route, captures, .. } = found;
        let count = route.spec.captures.len();
        let capture = |index| Some(text.get(captures.get(index)?)?.to_owned());
        Some((0..count).map(capture).collect())
    }
}

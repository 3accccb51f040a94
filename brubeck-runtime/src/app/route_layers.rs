//! Layers around the routes of a table.

use super::tower::{AppService, BoxedLayer};
use crate::error::{Error, Result};
use crate::method::Kind;
use crate::routing::{ListedRoute, RouteList};
use crate::spec::Spec;
use http::Extensions;

/// The layers of all routes that have some.
#[derive(Default)]
pub(super) struct RouteLayers {
    /// The layers in the order in which they were added, with the application inside of them.
    services: Vec<AppService>,
    /// For each route of the application, the indexes of its layers in ascending order. Empty if no route has layers.
    by_route: Vec<Vec<usize>>,
}

/// The layers that a request has passed, as an extension of the request.
#[derive(Clone, Default)]
pub(super) struct PassedLayers(Vec<usize>);

impl PassedLayers {
    /// Notes that a request has passed the layer with this index.
    pub(super) fn add(extensions: &mut Extensions, index: usize) {
        extensions.get_or_insert_default::<PassedLayers>().0.push(index);
    }
}

impl RouteLayers {
    /// Wraps the application in each layer, for the routes of its table. `inner` creates the application inside of the layer with this
    /// index.
    ///
    /// # Errors
    ///
    /// Returns an error if a table has no web routes, or a route that the application does not have.
    pub(super) fn new(
        layers: Vec<(RouteList, BoxedLayer)>,
        routes: &[&'static ListedRoute],
        inner: impl Fn(usize) -> AppService,
    ) -> Result<RouteLayers> {
        if layers.is_empty() {
            return Ok(RouteLayers::default());
        }
        let mut by_route = vec![Vec::new(); routes.len()];
        let mut services = Vec::new();
        for (index, (table, layer)) in layers.into_iter().enumerate() {
            let specs = table.iter().map(|route| route.spec);
            let mut web_routes = specs.filter(|spec| spec.kind == Kind::Web).peekable();
            if web_routes.peek().is_none() {
                return Err(Error::new(
                    "cannot add a layer to a table without web handlers: layers are for web requests; pass the table whose \
                     handlers need the layer to `route_layer`",
                ));
            }
            for spec in web_routes {
                let same = routes
                    .iter()
                    .zip(&mut by_route)
                    .filter(|(route, _)| route.spec.same_handler(spec));
                let mut is_listed = false;
                for (_, layers) in same {
                    is_listed = true;
                    layers.push(index);
                }
                if !is_listed {
                    let Spec { name, file, line, .. } = spec;
                    return Err(Error::new(format!(
                        "cannot add a layer to `{name}` ({file}:{line}): it is not in the route list of this application; add it \
                         to the list, or remove it from the table that is passed to `route_layer`"
                    )));
                }
            }
            services.push(layer(inner(index)));
        }
        Ok(RouteLayers { services, by_route })
    }

    /// Returns the outermost layer of a route that the request has not passed.
    #[inline]
    pub(super) fn next(&self, route: usize, extensions: &Extensions) -> Option<&AppService> {
        let layers = self.by_route.get(route)?;
        let passed = extensions.get::<PassedLayers>();
        let is_passed = |index: &usize| passed.is_some_and(|passed| passed.0.contains(index));
        let index = layers.iter().rev().find(|index| !is_passed(index))?;
        self.services.get(*index)
    }
}

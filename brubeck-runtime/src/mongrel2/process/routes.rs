//! Derives the routes of a Mongrel2 configuration from a route table.

use super::{Mongrel2Config, Mongrel2Handler};
use crate::method::{Kind, Method};
use crate::routing::{Routes, prefixes};
use crate::spec::Spec;

impl<S> Routes<S> {
    /// Returns the configuration of a Mongrel2 that listens on `listen_address` and sends the requests of these routes to `handler`.
    ///
    /// ```
    /// use brubeck::Mongrel2Handler;
    /// use brubeck::prelude::*;
    ///
    /// #[get(r"^/user/(?<id>\d+)$")]
    /// async fn user(id: u64) -> String {
    ///     id.to_string()
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![user];
    ///
    /// let handler = Mongrel2Handler::new("ipc:///run/m2/send", "ipc:///run/m2/recv");
    /// let config = ROUTES.mongrel2_conf("127.0.0.1:6767", handler);
    /// let text = config.conf("web-1", "/var/lib/m2")?;
    /// assert!(text.contains(r#"routes={"/user/": handler0}"#), "{text}");
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    ///
    /// Mongrel2 itself answers a request that matches no route of the configuration, with 404. The configuration has a route for each literal
    /// beginning of the paths of a web pattern, and one for the name of each message socket: `^/blue$|^/green(?<shade>-\w+)?$` has
    /// `/blue` and `/green`. Clients may percent-encode all characters but letters, digits and `-._~`, and Mongrel2 compares the path as it
    /// was sent, so a route ends before any other character. A pattern that branches into more than 16 routes has those for a shorter beginning.
    /// A route that begins with another one is left out. Paths that the application serves otherwise, such as
    /// those of a mounted service or of a fallback, must be added with [`handler`](Mongrel2Config::handler); the route
    /// `"/"` matches every path.
    #[cfg_attr(docsrs, doc(cfg(feature = "mongrel2")))]
    pub fn mongrel2_conf(
        &self,
        listen_address: impl Into<String>,
        handler: Mongrel2Handler,
    ) -> Mongrel2Config {
        let mut routes: Vec<String> = self.specs().flat_map(mongrel2_routes).collect();
        routes.sort();
        // A route whose prefix is another route is redundant.
        routes.dedup_by(|later, earlier| later.starts_with(earlier.as_str()));
        routes
            .into_iter()
            .fold(Mongrel2Config::bind(listen_address), |config, route| {
                config.handler(route, handler.clone())
            })
    }
}

/// Returns the routes of Mongrel2 for a handler. Returns none if Mongrel2 cannot pass requests to it.
fn mongrel2_routes(spec: &Spec) -> Vec<String> {
    match (spec.kind, spec.method) {
        (Kind::Web, _) => beginnings(spec, is_never_encoded).map(web_route).collect(),
        // The names of message sockets are sent as they are.
        (Kind::Service, Method::Request) => beginnings(spec, |byte| byte.is_ascii_graphic())
            .filter_map(message_socket_route)
            .collect(),
        _ => Vec::new(),
    }
}

fn beginnings(spec: &Spec, is_allowed: fn(u8) -> bool) -> impl Iterator<Item = String> {
    // Both functions for `is_allowed` allow ASCII only.
    prefixes(spec, is_allowed)
        .into_iter()
        .map(|prefix| String::from_utf8_lossy(&prefix).into_owned())
}

/// Returns `true` for the bytes of a path that a client sends as they are, whatever library encodes the path (RFC 3986, section 2.3). Among the
/// others is `(`, which begins a pattern of Mongrel2.
fn is_never_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte)
}

/// Returns the route for a beginning of paths: `/`, which matches every path, if nothing is known of them.
fn web_route(prefix: String) -> String {
    if prefix.is_empty() { "/".to_owned() } else { prefix }
}

/// Returns the name of a message socket. Returns `None` for other handlers of services.
fn message_socket_route(prefix: String) -> Option<String> {
    let name = prefix.strip_prefix('/')?;
    name.starts_with(['@', '<']).then(|| name.to_owned())
}

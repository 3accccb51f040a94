//! Derives the routes of a Mongrel2 configuration from a route table.

use super::{Mongrel2Config, Mongrel2Handler};
use crate::method::{Kind, Method};
use crate::routing::Routes;
use crate::spec::Spec;

impl<S> Routes<S> {
    /// Returns the configuration of a Mongrel2 that listens on `listen_address` and sends the requests of these
    /// routes to `handler`. Mongrel2 itself answers a request that matches no route of the configuration, with 404.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::Mongrel2Handler;
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
    /// The configuration has a route for the literal prefix of each web pattern, and one for the name of each message
    /// socket. A route that begins with another one is left out. Paths that the application serves otherwise, such as
    /// those of a mounted service or of a fallback, must be added with [`handler`](Mongrel2Config::handler); the route
    /// `"/"` matches every path.
    pub fn mongrel2_conf(
        &self,
        listen_address: impl Into<String>,
        handler: Mongrel2Handler,
    ) -> Mongrel2Config {
        let mut routes: Vec<String> = self.specs().filter_map(mongrel2_route).collect();
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

/// Returns the route of Mongrel2 for a handler. Returns `None` if Mongrel2 cannot pass requests to it.
fn mongrel2_route(spec: &Spec) -> Option<String> {
    match (spec.kind, spec.method) {
        (Kind::Web, _) => Some(literal_prefix(spec.pattern)),
        (Kind::Service, Method::Request) => {
            let name = literal_prefix(spec.pattern);
            let name = name.strip_prefix('/')?;
            name.starts_with(['@', '<']).then(|| name.to_owned())
        }
        _ => None,
    }
}

/// Returns the literal prefix of a pattern: the characters before the first operator of the regex. Returns `/`, which
/// matches every path, if there are none or the pattern has alternatives.
fn literal_prefix(pattern: &str) -> String {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let mut prefix = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(mut next) = chars.next() {
        if next == '\\' {
            match chars.next() {
                Some(escaped) if !escaped.is_ascii_alphanumeric() => next = escaped,
                _ => break,
            }
        } else if ".+*?()|[]{}^$".contains(next) {
            break;
        }
        // In a route of Mongrel2, `(` begins a pattern, and a quote cannot be escaped. A quantifier may make
        // the preceding character optional, so that is not part of the prefix either.
        if next == '(' || next == '"' || next.is_control() || matches!(chars.peek(), Some('?' | '*' | '{')) {
            break;
        }
        prefix.push(next);
    }
    if prefix.is_empty() || has_alternatives(pattern) {
        return "/".to_owned();
    }
    prefix
}

/// Returns `true` if a pattern has a `|` outside of groups, so that its literal prefix belongs to the first alternative
/// only.
fn has_alternatives(pattern: &str) -> bool {
    let (mut open_groups, mut in_class) = (0_usize, false);
    let mut chars = pattern.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => {
                // The next character is literal, or a class such as `\d`.
                chars.next();
            }
            '[' => in_class = true,
            ']' => in_class = false,
            _ if in_class => {}
            '(' => open_groups += 1,
            ')' => open_groups = open_groups.saturating_sub(1),
            '|' if open_groups == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn route_is_the_literal_prefix_of_the_pattern() {
        for (pattern, route) in [
            ("^/", "/"),
            ("^/hello$", "/hello"),
            (r"^/user/(?<id>\d+)$", "/user/"),
            (r"^/a\.b$", "/a.b"),
            (r"^/\d", "/"),
            ("^/colou?r", "/colo"),
            ("^/a{2}", "/"),
            ("^/a|/b", "/"),
            ("^/a|/(b)", "/"),
            ("^/a/(b|c)", "/a/"),
            (r"^/a\|[(|]", "/a|"),
            (r"^/f\(x", "/f"),
            ("^/@chat$", "/@chat"),
        ] {
            assert_eq!(literal_prefix(pattern), route, "{pattern}");
        }
    }
}

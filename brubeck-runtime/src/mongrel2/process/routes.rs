//! From a route table to the routes of a Mongrel2.

use super::{Mongrel2Config, Mongrel2Handler};
use crate::method::{Kind, Method};
use crate::routing::Routes;
use crate::spec::Spec;

impl<S> Routes<S> {
    /// The configuration of a Mongrel2 that sends this handler what these routes answer, and answers 404 to everything
    /// else by itself.
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
    /// The routes are the literal beginnings of the patterns, and the names of message sockets. What an application
    /// answers beside its routes, such as a mounted service or a fallback, is added with
    /// [`handler`](Mongrel2Config::handler), `"/"` for all.
    pub fn mongrel2_conf(&self, listen: impl Into<String>, handler: Mongrel2Handler) -> Mongrel2Config {
        let mut routes: Vec<String> = self.specs().filter_map(beginning).collect();
        routes.sort();
        // A route that begins with another one is matched by that.
        routes.dedup_by(|later, earlier| later.starts_with(earlier.as_str()));
        routes
            .into_iter()
            .fold(Mongrel2Config::bind(listen), |config, route| {
                config.handler(route, handler.clone())
            })
    }
}

/// What every path of a route begins with, as Mongrel2 writes it.
fn beginning(spec: &Spec) -> Option<String> {
    match (spec.kind, spec.method) {
        (Kind::Web, _) => Some(literal(spec.pattern)),
        (Kind::Service, Method::Request) => {
            let name = literal(spec.pattern);
            let name = name.strip_prefix('/')?;
            name.starts_with(['@', '<']).then(|| name.to_owned())
        }
        _ => None,
    }
}

/// The characters of a pattern before the first that stands for something else.
fn literal(pattern: &str) -> String {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let mut literal = String::new();
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
        // Patterns of Mongrel2 begin with a `(`, and it has no escape for a quote.
        if next == '(' || next == '"' || next.is_control() || matches!(chars.peek(), Some('?' | '*' | '{')) {
            break;
        }
        literal.push(next);
    }
    let has_branches = pattern.contains('|') && !pattern.contains('(');
    if literal.is_empty() || has_branches {
        return "/".to_owned();
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_what_a_pattern_begins_with() {
        for (pattern, route) in [
            ("^/", "/"),
            ("^/hello$", "/hello"),
            (r"^/user/(?<id>\d+)$", "/user/"),
            (r"^/a\.b$", "/a.b"),
            (r"^/\d", "/"),
            ("^/colou?r", "/colo"),
            ("^/a{2}", "/"),
            ("^/a|/b", "/"),
            (r"^/f\(x", "/f"),
            ("^/@chat$", "/@chat"),
        ] {
            assert_eq!(literal(pattern), route, "{pattern}");
        }
    }
}

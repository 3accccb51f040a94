//! Protection against cross-site request forgery (CSRF).

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, Method};

/// The policy for unsafe requests that another origin started in a browser with cookies for this site.
#[derive(Clone, Debug)]
pub(super) enum CrossSitePolicy {
    /// Rejects them, unless they come from one of these origins.
    Reject {
        /// Such as `https://pay.example.org`.
        trusted_origins: Vec<String>,
    },
    /// Accepts them all: the application has a protection of its own.
    Allow,
}

impl CrossSitePolicy {
    /// Returns `true` if the request may be forged.
    ///
    /// Only browsers send cookies that the author of a request does not know, and browsers send `sec-fetch-site` or `origin`
    /// with every unsafe request. A request with neither comes from another kind of client, and passes.
    pub(super) fn is_forged(&self, method: &Method, headers: &HeaderMap) -> bool {
        let CrossSitePolicy::Reject { trusted_origins } = self else {
            return false;
        };
        if method.is_safe() || !headers.contains_key(COOKIE) {
            return false;
        }
        // A value that is not text matches no origin, like the origin `null` of a sandboxed page.
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
        let origin = text(ORIGIN.as_str());
        let is_trusted = |origin: &str| {
            trusted_origins
                .iter()
                .any(|trusted| trusted.eq_ignore_ascii_case(origin))
        };
        if origin.is_some_and(is_trusted) {
            return false;
        }
        match (text("sec-fetch-site"), origin) {
            (Some("same-origin" | "none"), _) | (None, None) => false,
            (Some(_), _) => true,
            // Browsers send `sec-fetch-site` only over HTTPS and to loopback hosts. For other hosts over plain HTTP, compare
            // the origin with the host of the request.
            (None, Some(origin)) => {
                let origin_host = origin.split_once("://").map(|(_, host)| host);
                match (origin_host, text(HOST.as_str())) {
                    (Some(origin_host), Some(host)) => !origin_host.eq_ignore_ascii_case(host),
                    _ => true,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    /// A method, the headers of a request, and whether it counts as forged.
    type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

    #[test]
    fn rejects_unsafe_cross_site_requests_with_cookies() {
        const COOKIE: (&str, &str) = ("cookie", "session=x");
        const HOST: (&str, &str) = ("host", "example.org:8080");
        let cases: &[Case] = &[
            ("GET", &[COOKIE, HOST, ("sec-fetch-site", "cross-site")], false),
            ("HEAD", &[COOKIE, HOST, ("origin", "https://evil.example")], false),
            ("POST", &[HOST, ("sec-fetch-site", "cross-site")], false),
            ("POST", &[COOKIE, HOST], false),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "same-origin")], false),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "none")], false),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "same-site")], true),
            ("POST", &[COOKIE, HOST, ("sec-fetch-site", "cross-site")], true),
            ("DELETE", &[COOKIE, HOST, ("sec-fetch-site", "cross-site")], true),
            ("PATCH", &[COOKIE, HOST, ("sec-fetch-site", "nonsense")], true),
            (
                "POST",
                &[
                    COOKIE,
                    HOST,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://pay.example"),
                ],
                false,
            ),
            (
                "POST",
                &[
                    COOKIE,
                    HOST,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://pay.example.evil"),
                ],
                true,
            ),
            (
                "POST",
                &[COOKIE, HOST, ("origin", "http://example.org:8080")],
                false,
            ),
            (
                "POST",
                &[COOKIE, HOST, ("origin", "http://Example.ORG:8080")],
                false,
            ),
            ("POST", &[COOKIE, HOST, ("origin", "http://example.org")], true),
            ("POST", &[COOKIE, HOST, ("origin", "https://evil.example")], true),
            ("POST", &[COOKIE, HOST, ("origin", "null")], true),
            ("POST", &[COOKIE, HOST, ("origin", "")], true),
            ("POST", &[COOKIE, ("origin", "http://example.org")], true),
        ];
        let policy = CrossSitePolicy::Reject {
            trusted_origins: vec!["https://pay.example".into()],
        };
        for (method, headers, forged) in cases {
            let parse_header = |(name, value): &(&str, &'static str)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::from_static(value),
                )
            };
            let map: HeaderMap = headers.iter().map(parse_header).collect();
            let method: Method = method.parse().unwrap();
            assert_eq!(policy.is_forged(&method, &map), *forged, "{method} {headers:?}");
            assert!(!CrossSitePolicy::Allow.is_forged(&method, &map));
        }
    }
}

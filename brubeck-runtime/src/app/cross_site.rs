//! Protection against cross-site request forgery (CSRF).

use crate::authority::{Authority, Scheme, WebOrigin};
use http::header::{COOKIE, HOST};
use http::{HeaderMap, Method};

/// The policy for unsafe requests that another origin started in a browser with cookies for this site.
#[derive(Clone, Debug)]
pub(super) enum CrossSitePolicy {
    /// Rejects them, unless they come from one of these origins.
    Reject {
        /// Such as `https://pay.example.org`.
        trusted_origins: Vec<WebOrigin>,
    },
    /// Accepts them all: the application has a protection of its own.
    Allow,
}

impl CrossSitePolicy {
    /// Returns `true` if the request may be forged.
    ///
    /// Only browsers send cookies that the author of a request does not know, and browsers send `sec-fetch-site` or `origin`
    /// with every unsafe request. A request with neither comes from another kind of client, and passes.
    pub(super) fn is_forged(
        &self,
        method: &Method,
        headers: &HeaderMap,
        scheme: impl FnOnce() -> Scheme,
    ) -> bool {
        let CrossSitePolicy::Reject { trusted_origins } = self else {
            return false;
        };
        if method.is_safe() || !headers.contains_key(COOKIE) {
            return false;
        }
        let origin = WebOrigin::of_page(headers);
        if let Some(Some(origin)) = &origin
            && trusted_origins.contains(origin)
        {
            return false;
        }
        let mut fetch_sites = headers.get_all("sec-fetch-site").iter();
        let fetch_site = fetch_sites.next().map(|site| site.as_bytes());
        match (fetch_site, origin) {
            (Some(b"same-origin" | b"none"), _) if fetch_sites.next().is_none() => false,
            (None, None) => false,
            (Some(_), _) => true,
            // Browsers send `sec-fetch-site` only over HTTPS and to loopback hosts. For other hosts over plain HTTP, compare
            // the origin with that of the request.
            (None, Some(origin)) => {
                let own = headers
                    .get(HOST)
                    .and_then(|host| Authority::parse(host.as_bytes()))
                    .map(|host| WebOrigin::of(scheme(), &host));
                origin.is_none() || origin != own
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
            (
                "POST",
                &[COOKIE, HOST, ("origin", "https://example.org:8080")],
                true,
            ),
            (
                "POST",
                &[COOKIE, HOST, ("origin", "https://pay.example:443")],
                false,
            ),
            ("POST", &[COOKIE, HOST, ("origin", "https://evil.example")], true),
            ("POST", &[COOKIE, HOST, ("origin", "null")], true),
            ("POST", &[COOKIE, HOST, ("origin", "")], true),
            ("POST", &[COOKIE, ("origin", "http://example.org")], true),
            // No browser sends a header twice.
            (
                "POST",
                &[
                    COOKIE,
                    HOST,
                    ("origin", "http://example.org:8080"),
                    ("origin", "https://evil.example"),
                ],
                true,
            ),
            (
                "POST",
                &[
                    COOKIE,
                    HOST,
                    ("origin", "https://pay.example"),
                    ("origin", "https://pay.example"),
                ],
                true,
            ),
            (
                "POST",
                &[
                    COOKIE,
                    HOST,
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                true,
            ),
        ];
        let policy = CrossSitePolicy::Reject {
            trusted_origins: vec!["https://pay.example".parse().unwrap()],
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
            let is_forged = |policy: &CrossSitePolicy| policy.is_forged(&method, &map, || Scheme::Http);
            assert_eq!(is_forged(&policy), *forged, "{method} {headers:?}");
            assert!(!is_forged(&CrossSitePolicy::Allow));
        }
    }

    #[test]
    fn scheme_host_and_port_of_the_origin_are_compared() {
        let is_forged = |scheme: Scheme, host: &'static str, origin: &'static str| {
            let headers = [("cookie", "a=b"), ("host", host), ("origin", origin)];
            let headers =
                headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let policy = CrossSitePolicy::Reject {
                trusted_origins: Vec::new(),
            };
            policy.is_forged(&Method::POST, &HeaderMap::from_iter(headers), || scheme)
        };
        assert!(!is_forged(Scheme::Https, "a.example:443", "https://a.example"));
        assert!(!is_forged(Scheme::Https, "a.example", "https://a.example:443"));
        assert!(!is_forged(Scheme::Http, "a.example:80", "http://a.example"));
        assert!(is_forged(Scheme::Https, "a.example", "http://a.example"));
        assert!(is_forged(Scheme::Http, "a.example", "https://a.example"));
        assert!(is_forged(Scheme::Https, "a.example:80", "https://a.example"));
        assert!(is_forged(Scheme::Http, "", "null"));
    }
}

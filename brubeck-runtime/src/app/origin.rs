//! Requests that another site makes a browser send.

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, Method};

/// Which sites may make a browser change something here with the cookies it has.
#[derive(Clone, Debug)]
pub(super) enum CrossSite {
    /// This site and these origins.
    Refused(Vec<String>),
    /// Any: the application protects itself.
    Allowed,
}

impl CrossSite {
    /// Whether the request may be one that another site forged. Only browsers are asked to, so what says neither
    /// where it comes from nor who it is passes: no browser sends that.
    pub(super) fn forged(&self, method: &Method, headers: &HeaderMap) -> bool {
        let CrossSite::Refused(trusted) = self else {
            return false;
        };
        if method.is_safe() || !headers.contains_key(COOKIE) {
            return false;
        }
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
        let origin = text(ORIGIN.as_str());
        if origin.is_some_and(|origin| trusted.iter().any(|known| known.eq_ignore_ascii_case(origin))) {
            return false;
        }
        match (text("sec-fetch-site"), origin) {
            (Some("same-origin" | "none"), _) | (None, None) => false,
            (Some(_), _) => true,
            // Plain HTTP to another host than loopback has no `sec-fetch-site`.
            (None, Some(origin)) => {
                let host = origin.split_once("://").map(|(_, host)| host);
                host.is_none()
                    || !text(HOST.as_str())
                        .is_some_and(|own| host.is_some_and(|h| h.eq_ignore_ascii_case(own)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    /// A method, the headers of a request, and whether it is forged.
    type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

    #[test]
    fn who_may_change_something() {
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
        let refused = CrossSite::Refused(vec!["https://pay.example".into()]);
        for (method, headers, forged) in cases {
            let named = |(name, value): &(&str, &'static str)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::from_static(value),
                )
            };
            let map: HeaderMap = headers.iter().map(named).collect();
            let method: Method = method.parse().unwrap();
            assert_eq!(refused.forged(&method, &map), *forged, "{method} {headers:?}");
            assert!(!CrossSite::Allowed.forged(&method, &map));
        }
    }
}

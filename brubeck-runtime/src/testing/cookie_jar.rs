//! The cookies of a test client, kept and sent by the rules of browsers.

use super::set_cookie::SetCookie;
use crate::authority::{Authority, Scheme};
use std::time::SystemTime;
use tokio::time::Instant;

/// The cookies of one client (RFC 6265, sections 5.3 and 5.4; the prefixes and `SameSite` of RFC 6265bis).
#[derive(Debug, Default)]
pub(super) struct CookieJar(Vec<StoredCookie>);

#[derive(Debug)]
struct StoredCookie {
    name: String,
    value: String,
    /// `None` for a cookie of the test, which is sent to all hosts.
    domain: Option<String>,
    is_host_only: bool,
    path: String,
    is_secure: bool,
    expires: Option<Instant>,
}

/// The part of a URL that decides about cookies.
#[derive(Debug)]
pub(super) struct CookieTarget {
    scheme: Scheme,
    authority: Option<Authority>,
    path: String,
}

impl CookieTarget {
    pub(super) fn new(scheme: Scheme, authority: Option<Authority>, path: &str) -> CookieTarget {
        CookieTarget {
            scheme,
            authority,
            path: path.to_owned(),
        }
    }

    fn host(&self) -> &str {
        self.authority.as_ref().map_or("", Authority::host)
    }

    /// Browsers also treat connections to loopback hosts as secure.
    fn is_secure(&self) -> bool {
        self.scheme == Scheme::Https || self.authority.as_ref().is_some_and(Authority::is_loopback)
    }

    /// The folder of the path (RFC 6265, section 5.1.4).
    fn default_path(&self) -> &str {
        match self.path.rfind('/') {
            Some(end) if end > 0 && self.path.starts_with('/') => self.path.get(..end).unwrap_or("/"),
            _ => "/",
        }
    }
}

impl CookieJar {
    /// Stores a cookie that a response sets, or removes one. Ignores what browsers ignore.
    pub(super) fn set(&mut self, line: &[u8], target: &CookieTarget) {
        let line = String::from_utf8_lossy(line);
        let cookie = SetCookie::parse(&line, SystemTime::now());
        let Some(stored) = cookie.and_then(|cookie| StoredCookie::new(cookie, target)) else {
            return;
        };
        self.0.retain(|other| {
            (&other.name, &other.domain, &other.path) != (&stored.name, &stored.domain, &stored.path)
                && !(other.domain.is_none() && other.name == stored.name)
        });
        if !stored.is_expired() {
            self.0.push(stored);
        }
    }

    /// Stores a cookie of the test.
    pub(super) fn keep(&mut self, name: &str, value: &str) {
        self.0.retain(|cookie| cookie.name != name);
        self.0.push(StoredCookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: None,
            is_host_only: false,
            path: "/".to_owned(),
            is_secure: false,
            expires: None,
        });
    }

    /// Returns the value of the cookie of this name that was stored last.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let mut cookies = self.0.iter().rev();
        let cookie = cookies.find(|cookie| cookie.name == name && !cookie.is_expired())?;
        Some(cookie.value.clone())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the value of the `cookie` header. Cookies with longer paths come first.
    pub(super) fn header(&self, target: &CookieTarget) -> String {
        let mut cookies: Vec<&StoredCookie> =
            self.0.iter().filter(|cookie| cookie.is_sent_to(target)).collect();
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }
}

impl StoredCookie {
    /// Returns `None` if browsers ignore the cookie.
    fn new(cookie: SetCookie<'_>, target: &CookieTarget) -> Option<StoredCookie> {
        let SetCookie {
            domain,
            path,
            is_secure,
            ..
        } = cookie;
        let has_prefix = |prefix: &str| {
            let start = cookie.name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let is_ignored = (is_secure && !target.is_secure())
            || (!is_secure && (has_prefix("__Secure-") || cookie.is_cross_site))
            || (has_prefix("__Host-") && (!is_secure || domain.is_some() || path != Some("/")))
            || domain
                .as_ref()
                .is_some_and(|domain| !is_own_domain(domain, target.host()));
        (!is_ignored).then(|| StoredCookie {
            name: cookie.name.to_owned(),
            value: cookie.value.to_owned(),
            is_host_only: domain.is_none(),
            domain: Some(domain.unwrap_or_else(|| target.host().to_owned())),
            path: path.unwrap_or_else(|| target.default_path()).to_owned(),
            is_secure,
            // A cookie whose end is too far away for the clock does not expire.
            expires: cookie.age.and_then(|age| Instant::now().checked_add(age)),
        })
    }

    fn is_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Instant::now())
    }

    fn is_sent_to(&self, target: &CookieTarget) -> bool {
        let is_host = match &self.domain {
            None => true,
            Some(domain) if self.is_host_only => domain == target.host(),
            Some(domain) => is_below(target.host(), domain),
        };
        let rest = target.path.strip_prefix(&self.path);
        let is_path =
            rest.is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        is_host && is_path && !self.is_expired() && (!self.is_secure || target.is_secure())
    }
}

/// Returns `true` if a host may set a cookie for this domain. A name without a dot is the domain of its own host only.
fn is_own_domain(domain: &str, host: &str) -> bool {
    is_below(host, domain) && (domain.contains('.') || domain == host)
}

/// Returns `true` if the host is the domain or one of its subdomains (RFC 6265, section 5.1.3).
fn is_below(host: &str, domain: &str) -> bool {
    let is_address = || host.parse::<std::net::Ipv4Addr>().is_ok();
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|prefix| prefix.ends_with('.') && !is_address())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn target(url: &str) -> CookieTarget {
        let uri: http::Uri = url.parse().unwrap();
        let scheme = Scheme::parse(uri.scheme_str().unwrap().as_bytes()).unwrap();
        CookieTarget::new(scheme, uri.authority().unwrap().as_str().parse().ok(), uri.path())
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_and_sends_what_browsers_do() {
        const LOCAL: &str = "http://localhost/set";
        const PUBLIC: &str = "http://a.example/set/it";
        const TLS: &str = "https://a.example/set/it";
        for (from, line, to, is_sent) in [
            (LOCAL, "a=1", "http://localhost/pub", true),
            (LOCAL, "a=1", "http://localhost:81/pub", true),
            (LOCAL, "a=1", "http://127.0.0.1/pub", false),
            (LOCAL, "a=1; Path=/adm", "http://localhost/pub", false),
            (LOCAL, "a=1; Path=/adm", "http://localhost/adm", true),
            (LOCAL, "a=1; Path=/adm", "http://localhost/adm/x", true),
            (LOCAL, "a=1; Path=/adm", "http://localhost/admin", false),
            (LOCAL, "a=1; Domain=other.example", "http://localhost/pub", false),
            (
                LOCAL,
                "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "http://localhost/pub",
                false,
            ),
            (LOCAL, "a=1; Max-Age=0", "http://localhost/pub", false),
            (LOCAL, "a=1; Max-Age=-5", "http://localhost/pub", false),
            (
                LOCAL,
                "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "http://localhost/pub",
                true,
            ),
            (LOCAL, "a=1; Secure", "http://localhost/pub", true),
            (LOCAL, "__Host-a=1; Secure; Path=/", "http://localhost/pub", true),
            (LOCAL, "__Host-a=1; Path=/", "http://localhost/pub", false),
            (LOCAL, "a=1; SameSite=None", "http://localhost/pub", false),
            (PUBLIC, "a=1", "http://a.example/pub", false),
            (PUBLIC, "a=1", "http://a.example/set/x", true),
            (PUBLIC, "a=1; Path=/", "http://b.a.example/", false),
            (
                PUBLIC,
                "a=1; Path=/; Domain=.A.example",
                "http://b.a.example/",
                true,
            ),
            (
                PUBLIC,
                "a=1; Path=/; Domain=b.a.example",
                "http://b.a.example/",
                false,
            ),
            (PUBLIC, "a=1; Path=/; Domain=example", "http://b.example/", false),
            (PUBLIC, "a=1; Path=/; Secure", "https://a.example/", false),
            (TLS, "a=1; Path=/; Secure", "https://a.example/", true),
            (TLS, "a=1; Path=/; Secure", "http://a.example/", false),
            (TLS, "a=1; Path=/", "http://a.example/", true),
            (TLS, "__Secure-a=1; Path=/", "https://a.example/", false),
            (TLS, "__Secure-a=1; Path=/; Secure", "https://a.example/", true),
            (
                TLS,
                "__Host-a=1; Path=/set; Secure",
                "https://a.example/set",
                false,
            ),
            (
                TLS,
                "__Host-a=1; Path=/; Secure; Domain=a.example",
                "https://a.example/",
                false,
            ),
            (TLS, "__host-a=1; Path=/", "https://a.example/", false),
        ] {
            let mut jar = CookieJar::default();
            jar.set(line.as_bytes(), &target(from));
            assert_eq!(!jar.header(&target(to)).is_empty(), is_sent, "{from} {line} {to}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cookie_expires_by_the_clock_of_the_test() {
        let (mut jar, local) = (CookieJar::default(), target("http://localhost/"));
        jar.set(b"a=1; Max-Age=60", &local);
        assert_eq!(jar.header(&local), "a=1");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!((jar.header(&local), jar.get("a")), (String::new(), None));
    }

    #[tokio::test]
    async fn cookies_are_replaced_removed_and_ordered() {
        let (mut jar, local) = (CookieJar::default(), target("http://localhost/x/y"));
        jar.set(b"a=1; Path=/", &local);
        jar.set(b"a=2; Path=/x", &local);
        jar.set(b"a=3; Path=/", &local);
        assert_eq!(jar.header(&local), "a=2; a=3");
        jar.set(b"a=; Path=/; Max-Age=0", &local);
        assert_eq!(jar.header(&local), "a=2");
        jar.keep("a", "4");
        assert_eq!(
            (jar.header(&target("https://other.example/")), jar.get("a")),
            ("a=4".into(), Some("4".into()))
        );
        jar.set(b"a=; Path=/; Max-Age=0", &local);
        assert_eq!(jar.header(&local), "");
    }
}

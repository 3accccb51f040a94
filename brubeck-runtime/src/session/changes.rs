//! The cookies and the session that a handler sets, until they are added to the response.

use super::{Cookie, Session, SigningKeys};
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size up to which browsers should accept a cookie (RFC 6265, section 6.1).
const MAX_COOKIE_BYTES: usize = 4096;

/// The cookie changes of one request, shared by all of its extractors.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieChanges(Arc<Mutex<PendingChanges>>);

#[derive(Debug, Default)]
struct PendingChanges {
    cookies: Vec<Cookie>,
    session: Option<Session>,
    /// `true` if the `host` header of the request is `localhost` or a loopback address.
    loopback: bool,
}

impl CookieChanges {
    /// Creates an empty set of changes for a request with this `host` header.
    pub(crate) fn for_host(host: Option<&HeaderValue>) -> CookieChanges {
        CookieChanges(Arc::new(Mutex::new(PendingChanges {
            loopback: host.is_some_and(is_loopback),
            ..PendingChanges::default()
        })))
    }

    /// Adds a cookie, or replaces the one with the same name.
    pub(super) fn set(&self, cookie: Cookie) {
        let mut changes = self.lock();
        changes.cookies.retain(|other| other.name() != cookie.name());
        changes.cookies.push(cookie);
    }

    /// Returns the value that a cookie was set to in this request. Returns `Some(None)` if it was removed, and `None` if it did not
    /// change.
    pub(super) fn value(&self, name: &str) -> Option<Option<String>> {
        let changes = self.lock();
        let cookie = changes.cookies.iter().find(|cookie| cookie.name() == name)?;
        Some((!cookie.is_expired()).then(|| cookie.value().to_owned()))
    }

    /// Returns the session of the request. `open` creates it on first use.
    pub(crate) fn session(&self, open: impl FnOnce() -> Session) -> Session {
        if let Some(session) = self.lock().session.clone() {
            return session;
        }
        // `open` reads a cookie, which locks `self`, so the lock must not be held here.
        let opened = open();
        self.lock().session.get_or_insert(opened).clone()
    }

    /// Adds the changes to the headers of the response. Later calls add nothing. The session is only added if it has changed.
    pub(crate) fn apply_to(&self, keys: Option<&SigningKeys>, response: &mut HeaderMap) {
        let changes = std::mem::take(&mut *self.lock());
        let session = changes.session.and_then(|session| session.changed_cookie(keys?));
        if changes.cookies.is_empty() && session.is_none() {
            return;
        }
        for cookie in changes.cookies.iter().chain(&session) {
            let header = cookie.header_for(changes.loopback);
            if header.len() > MAX_COOKIE_BYTES {
                tracing::warn!(
                    name = cookie.name(),
                    size = header.len(),
                    "cookie exceeds 4 KiB, browsers may ignore it"
                );
            }
            response.append(SET_COOKIE, header);
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingChanges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns `true` if the host is `localhost` or a loopback address, whose traffic cannot be intercepted on a network.
fn is_loopback(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    // An IPv6 address is in brackets, because it contains colons.
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_loopback_hosts() {
        let check = |host: &'static str| is_loopback(&HeaderValue::from_static(host));
        for yes in [
            "localhost",
            "LocalHost:80",
            "127.0.0.1:6767",
            "[::1]:1",
            "127.9.9.9",
        ] {
            assert!(check(yes), "{yes}");
        }
        for no in [
            "",
            "localhost.example.org",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.example.org",
        ] {
            assert!(!check(no), "{no}");
        }
    }

    #[test]
    fn last_value_of_cookie_wins() {
        let changes = CookieChanges::for_host(Some(&HeaderValue::from_static("localhost")));
        let mut response = HeaderMap::new();
        changes.set(Cookie::new("a", "1"));
        changes.set(Cookie::new("b", "2"));
        changes.set(Cookie::new("a", "3"));
        assert_eq!(changes.value("a"), Some(Some("3".into())));
        changes.set(Cookie::new("b", "2").expired());
        assert_eq!(changes.value("b"), Some(None));
        changes.apply_to(None, &mut response);
        let sent: Vec<_> = response
            .get_all(SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(sent[0], "a=3; Path=/; HttpOnly; SameSite=Lax");
        assert!(sent[1].starts_with("b=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    }
}

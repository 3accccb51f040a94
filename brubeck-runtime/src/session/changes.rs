//! What the handler of one request wants the browser to keep.

use super::{Cookie, Session, SigningKeys};
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Cookies on their way to the browser; every extractor of one request shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieChanges(Arc<Mutex<PendingChanges>>);

#[derive(Debug, Default)]
struct PendingChanges {
    cookies: Vec<Cookie>,
    session: Option<Session>,
    /// Whether the browser asked for a loopback address.
    loopback: bool,
}

impl CookieChanges {
    /// For a browser that asked this host.
    pub(crate) fn for_host(host: Option<&HeaderValue>) -> CookieChanges {
        CookieChanges(Arc::new(Mutex::new(PendingChanges {
            loopback: host.is_some_and(is_loopback),
            ..PendingChanges::default()
        })))
    }

    /// Adds a cookie, in place of one of the same name.
    pub(super) fn put(&self, cookie: Cookie) {
        let mut content = self.lock();
        content.cookies.retain(|known| known.name() != cookie.name());
        content.cookies.push(cookie);
    }

    /// What a cookie has become in this request: `Some(None)` where it was removed.
    pub(super) fn value(&self, name: &str) -> Option<Option<String>> {
        let content = self.lock();
        let cookie = content.cookies.iter().find(|cookie| cookie.name() == name)?;
        Some((!cookie.is_expired()).then(|| cookie.value().to_owned()))
    }

    /// The session of the request; the first to ask opens it.
    pub(crate) fn session(&self, open: impl FnOnce() -> Session) -> Session {
        if let Some(known) = self.lock().session.clone() {
            return known;
        }
        // Not under the lock: what opens it looks for a cookie, and cookies may be here.
        let opened = open();
        self.lock().session.get_or_insert(opened).clone()
    }

    /// Tells the browser what the handler wants it to keep.
    pub(crate) fn apply_to(&self, keys: Option<&SigningKeys>, response: &mut HeaderMap) {
        let content = std::mem::take(&mut *self.lock());
        let session = content.session.and_then(|session| session.cookie(keys?));
        if content.cookies.is_empty() && session.is_none() {
            return;
        }
        for cookie in content.cookies.iter().chain(&session) {
            let header = cookie.header_for(content.loopback);
            if header.len() > 4096 {
                tracing::warn!(
                    name = cookie.name(),
                    "a cookie of more than 4 KiB: browsers drop it"
                );
            }
            response.append(SET_COOKIE, header);
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingChanges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the browser asked for a loopback address, where there is no network to listen on.
fn is_loopback(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
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
    fn loopback_hosts() {
        let asks = |host: &'static str| is_loopback(&HeaderValue::from_static(host));
        for yes in [
            "localhost",
            "LocalHost:80",
            "127.0.0.1:6767",
            "[::1]:1",
            "127.9.9.9",
        ] {
            assert!(asks(yes), "{yes}");
        }
        for no in [
            "",
            "localhost.example.org",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.example.org",
        ] {
            assert!(!asks(no), "{no}");
        }
    }

    #[test]
    fn one_header_a_cookie_and_the_last_value_wins() {
        let changes = CookieChanges::for_host(Some(&HeaderValue::from_static("localhost")));
        let mut response = HeaderMap::new();
        changes.put(Cookie::new("a", "1"));
        changes.put(Cookie::new("b", "2"));
        changes.put(Cookie::new("a", "3"));
        assert_eq!(changes.value("a"), Some(Some("3".into())));
        changes.put(Cookie::new("b", "2").expired());
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

//! The extractor for cookies.

use super::{Cookie, CookieChanges};
use http::HeaderMap;
use http::header::COOKIE;

/// Extractor for the cookies of the request. It also sets and removes cookies.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/theme/(?<name>light|dark)$")]
/// async fn theme(name: String, cookies: Cookies) -> String {
///     let before = cookies.get("theme").unwrap_or_default();
///     cookies.set(Cookie::new("theme", name));
///     format!("it was {before}")
/// }
/// ```
///
/// Changes are added to every response of the handler, including errors and timeouts. Service
/// calls have no HTTP response, so changes that are made for them are lost.
///
/// Clients can send any cookie. Use [`SignedCookies`](crate::SignedCookies) or a [`Session`](crate::Session) for values that must
/// not be forged.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    sent: Vec<(String, String)>,
    changes: CookieChanges,
}

impl Cookies {
    pub(crate) fn new(headers: &HeaderMap, changes: CookieChanges) -> Cookies {
        Cookies {
            sent: parse(headers),
            changes,
        }
    }

    /// Returns the value of a cookie. A change of this request takes precedence over the value that the client sent. If the client sent
    /// several cookies with this name, the first one is used.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.changes.value(name) {
            Some(changed) => changed,
            None => self
                .sent
                .iter()
                .find(|(sent_name, _)| sent_name == name)
                .map(|(_, value)| value.clone()),
        }
    }

    /// Returns the names and values of the cookies that the client sent, percent-decoded. Malformed cookies are skipped.
    pub fn sent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sent
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a cookie. It replaces a cookie with the same name that was set before in this request, even one with another path or domain.
    pub fn set(&self, cookie: Cookie) {
        self.changes.set(cookie);
    }

    /// Removes a cookie that was set for the path `/` and without a domain.
    pub fn remove(&self, name: &str) {
        self.forget(Cookie::new(name, ""));
    }

    /// Removes a cookie that was set with another path or a domain. Both must be equal to those of the cookie that was set.
    pub fn forget(&self, cookie: Cookie) {
        self.changes.set(cookie.expired());
    }

    /// Removes every cookie that the client sent, as with [`remove`](Cookies::remove): those with another path or a domain remain.
    pub fn remove_all(&self) {
        for (name, _) in &self.sent {
            self.remove(name);
        }
    }
}

/// Parses the `cookie` headers. HTTP/2 clients may split the cookies over several headers.
fn parse(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(::cookie::Cookie::split_parse)
        .filter_map(Result::ok)
        .map(|cookie| (decoded(cookie.name()), decoded(cookie.value())))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn bad_pairs_are_skipped_and_the_others_are_kept() {
        let line = HeaderValue::from_static("a=1; =x; ;;nonsense; b=caf%C3%A9;c=\"q\"; a=2");
        let headers = HeaderMap::from_iter([(COOKIE, line), (COOKIE, HeaderValue::from_static("d=4"))]);
        let cookies = Cookies {
            sent: parse(&headers),
            ..Cookies::default()
        };
        assert_eq!(cookies.get("a").as_deref(), Some("1"));
        assert_eq!(cookies.get("b").as_deref(), Some("café"));
        assert_eq!(cookies.get("d").as_deref(), Some("4"));
        assert_eq!(cookies.get("nonsense"), None);
    }

    #[test]
    fn get_returns_value_that_was_set() {
        let cookies = Cookies {
            sent: vec![("a".into(), "1".into())],
            ..Cookies::default()
        };
        cookies.set(Cookie::new("a", "2"));
        assert_eq!(cookies.get("a").as_deref(), Some("2"));
        cookies.remove_all();
        assert_eq!(cookies.get("a"), None);
    }
}

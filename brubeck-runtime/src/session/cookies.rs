//! The cookies of a request as a handler argument.

use super::{Cookie, CookieChanges};
use http::HeaderMap;
use http::header::COOKIE;

/// The cookies that the browser sent, and those it is told to keep.
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
/// Whatever the handler answers, the cookies it has set go along. Anybody can send any cookie: what must be
/// true goes into [`SignedCookies`](crate::SignedCookies) or a [`Session`](crate::Session).
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    sent: Vec<(String, String)>,
    changes: CookieChanges,
}

impl Cookies {
    /// The cookies that were sent with these headers.
    pub(crate) fn new(headers: &HeaderMap, changes: CookieChanges) -> Cookies {
        Cookies {
            sent: parse(headers),
            changes,
        }
    }

    /// The value of a cookie, as it was sent or has been set since.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.changes.value(name) {
            Some(changed) => changed,
            None => self
                .sent
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone()),
        }
    }

    /// The cookies that were sent: name and value. Parts of the header that are no cookies are skipped.
    pub fn sent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sent
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Tells the browser to keep this cookie.
    pub fn set(&self, cookie: Cookie) {
        self.changes.put(cookie);
    }

    /// Tells the browser to forget the cookie of this name, as it was set for every path of this host.
    pub fn remove(&self, name: &str) {
        self.forget(Cookie::new(name, ""));
    }

    /// Tells the browser to forget this cookie: path and domain must be those it was set with.
    pub fn forget(&self, cookie: Cookie) {
        self.changes.put(cookie.expired());
    }

    /// Tells the browser to forget every cookie that it sent.
    pub fn remove_all(&self) {
        for (name, _) in &self.sent {
            self.remove(name);
        }
    }
}

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
    fn what_was_set_is_seen() {
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

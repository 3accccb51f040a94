//! The extractor for cookies.

use super::codec::{decode_value, parse_cookies};
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
/// Names are compared as they were sent, byte by byte: neither decoded nor encoded. So no other cookie is taken for one with the prefix `__Host-`.
/// Values are percent-decoded, and bytes that are not UTF-8 are replaced. A malformed cookie costs no other.
///
/// Changes are added to every response of the handler, including errors and timeouts. A change after that has no effect, and is logged as an
/// error with the name of the handler: in the body of a `#[websocket]` handler, in a stream, or in a task. A handler with an
/// [`Upgrade`](crate::Upgrade) sets cookies before it accepts the WebSocket, see [`Session`](crate::Session#after-the-response). Service calls
/// have no HTTP response, so changes that are made for them have no effect either, and are logged.
///
/// Clients can send any cookie. Use [`SignedCookies`](crate::SignedCookies) or a [`Session`](crate::Session) for values that must
/// not be forged.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    sent: Vec<SentCookie>,
    changes: CookieChanges,
}

#[derive(Clone, Debug)]
struct SentCookie {
    /// As it was sent. It need not be UTF-8.
    name: Box<[u8]>,
    value: Box<str>,
}

impl Cookies {
    /// Reads the `cookie` headers. HTTP/2 clients may split the cookies over several of them.
    pub(crate) fn new(headers: &HeaderMap, changes: CookieChanges) -> Cookies {
        let pairs = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|line| parse_cookies(line.as_bytes()));
        let sent = pairs.map(|pair| SentCookie {
            name: pair.name.into(),
            value: decode_value(pair.value).into(),
        });
        Cookies {
            sent: sent.collect(),
            changes,
        }
    }

    /// Returns the value of a cookie: see the example of [`Cookies`]. Returns `None` if the client did not send it, or if this request has
    /// removed it.
    ///
    /// A change of this request takes precedence over the value that the client sent. If the client sent several cookies with this name, the
    /// first one is used.
    pub fn get(&self, name: &str) -> Option<String> {
        self.find(name, |value| Some(value.to_owned()))
    }

    /// Returns the first result of a function among the values of a name: the value that was set in this request, or those that were sent.
    /// There can be several, because cookies with other paths or domains have the same name.
    pub(crate) fn find<T>(&self, name: &str, mut function: impl FnMut(&str) -> Option<T>) -> Option<T> {
        match self.changes.value(name) {
            Some(changed) => changed.and_then(|value| function(&value)),
            None => {
                let is_named = |cookie: &&SentCookie| *cookie.name == *name.as_bytes();
                let mut named = self.sent.iter().filter(is_named);
                named.find_map(|cookie| function(&cookie.value))
            }
        }
    }

    /// Returns the names and values of the cookies that the client sent. Leaves out those whose name is not UTF-8.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/cookies$")]
    /// async fn names(cookies: Cookies) -> String {
    ///     let names: Vec<&str> = cookies.sent().map(|(name, _)| name).collect();
    ///     names.join(", ")
    /// }
    /// # const ROUTES: Routes<()> = routes![names];
    /// ```
    ///
    /// Changes of this request are not included.
    pub fn sent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sent
            .iter()
            .filter_map(|cookie| Some((std::str::from_utf8(&cookie.name).ok()?, &*cookie.value)))
    }

    /// Sets a cookie: see the example of [`Cookies`].
    ///
    /// It replaces a cookie with the same name that was set before in this request, even one with another path or domain.
    /// A cookie that is not valid is not set, and an error is logged: see [`Cookie`].
    pub fn set(&self, cookie: Cookie) {
        self.changes.set(cookie);
    }

    /// Removes a cookie that was set for the path `/` and without a domain.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/theme/default$")]
    /// async fn default_theme(cookies: Cookies) -> Redirect {
    ///     cookies.remove("theme");
    ///     Redirect::to("/")
    /// }
    /// # const ROUTES: Routes<()> = routes![default_theme];
    /// ```
    ///
    /// It can have any name that the client sent. Use [`forget`](Cookies::forget) for a cookie with another path or a domain.
    pub fn remove(&self, name: &str) {
        self.forget(Cookie::new(name, ""));
    }

    /// Removes a cookie that was set with another path or a domain. Both must be equal to those of the cookie that was set.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/shop/reset$")]
    /// async fn reset(cookies: Cookies) -> Redirect {
    ///     cookies.forget(Cookie::new("tab", "").path("/shop").domain("example.org"));
    ///     Redirect::to("/shop")
    /// }
    /// # const ROUTES: Routes<()> = routes![reset];
    /// ```
    ///
    /// The value and the maximum age of `cookie` are ignored.
    pub fn forget(&self, cookie: Cookie) {
        self.changes.set(cookie.expired());
    }

    /// Removes every cookie that the client sent, as with [`remove`](Cookies::remove): those with another path or a domain remain.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/forget-me$")]
    /// async fn forget_me(cookies: Cookies) -> Redirect {
    ///     cookies.remove_all();
    ///     Redirect::to("/")
    /// }
    /// # const ROUTES: Routes<()> = routes![forget_me];
    /// ```
    pub fn remove_all(&self) {
        for cookie in &self.sent {
            match std::str::from_utf8(&cookie.name) {
                Ok(name) => self.remove(name),
                Err(_) => self.changes.remove_name(&cookie.name),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::SET_COOKIE;
    use proptest::prelude::*;

    fn sent(lines: &[&[u8]]) -> Cookies {
        let line = |line: &&[u8]| (COOKIE, HeaderValue::from_bytes(line).unwrap());
        Cookies::new(&lines.iter().map(line).collect(), CookieChanges::new(true))
    }

    #[test]
    fn cookies_of_several_headers_are_read() {
        let cookies = sent(&[b"a=1; =x; nonsense; b=caf%C3%A9", b"a=2; d=\xe9", b"e=5"]);
        assert_eq!(cookies.get("a").as_deref(), Some("1"));
        assert_eq!(cookies.get("b").as_deref(), Some("café"));
        assert_eq!(cookies.get("d").as_deref(), Some("\u{fffd}"));
        assert_eq!(cookies.get("e").as_deref(), Some("5"));
        assert_eq!(cookies.get("nonsense"), None);
        assert_eq!(cookies.sent().count(), 5);
    }

    #[test]
    fn get_returns_value_that_was_set() {
        let cookies = sent(&[b"a=1"]);
        cookies.set(Cookie::new("a", "2"));
        assert_eq!(cookies.get("a").as_deref(), Some("2"));
        cookies.remove_all();
        assert_eq!(cookies.get("a"), None);
    }

    #[test]
    fn encoded_name_is_another_name() {
        let cookies = sent(&[b"%5F%5FHost-sid=evil; __%48ost-sid=evil; __Host-sid=good"]);
        assert_eq!(cookies.get("__Host-sid").as_deref(), Some("good"));
    }

    /// The names of the `set-cookie` headers.
    fn removed(cookies: &Cookies) -> Vec<Vec<u8>> {
        let mut headers = HeaderMap::new();
        cookies.changes.apply_to(None, &mut headers, "");
        let name = |value: &HeaderValue| {
            value
                .as_bytes()
                .split(|byte| *byte == b'=')
                .next()
                .unwrap()
                .to_vec()
        };
        headers.get_all(SET_COOKIE).iter().map(name).collect()
    }

    #[test]
    fn remove_all_removes_every_name() {
        let cookies = sent(&[b"user:id=1; a@b=2; a/b=3; __Host-x=4; \xff=5; a b=6; \"q\"=7; %41=8"]);
        cookies.remove_all();
        let mut names = removed(&cookies);
        names.sort();
        let mut expected: Vec<&[u8]> = vec![
            b"user:id",
            b"a@b",
            b"a/b",
            b"__Host-x",
            b"\xff",
            b"a b",
            b"\"q\"",
            b"%41",
        ];
        expected.sort();
        assert_eq!(names, expected);
    }

    proptest! {
        #[test]
        fn different_names_are_different_cookies(
            one in "[a-zA-Z0-9%_:@/.-]{1,6}",
            other in "[a-zA-Z0-9%_:@/.-]{1,6}",
        ) {
            prop_assume!(one != other);
            let cookies = sent(&[format!("{one}=1; {other}=2").as_bytes()]);
            prop_assert_eq!(cookies.get(&one), Some("1".to_owned()));
            prop_assert_eq!(cookies.get(&other), Some("2".to_owned()));
            cookies.remove(&other);
            prop_assert_eq!(cookies.get(&one), Some("1".to_owned()));
            prop_assert_eq!(removed(&cookies), [other.into_bytes()]);
        }
    }
}

//! A cookie for the `set-cookie` header.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;
use std::time::Duration;

/// A cookie to set in the browser.
///
/// ```
/// use brubeck::{Cookie, SameSite};
/// use std::time::Duration;
///
/// let cookie = Cookie::new("theme", "dark").max_age(Duration::from_secs(3600));
/// assert_eq!(cookie.to_string(), "theme=dark; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
///
/// let cookie = Cookie::new("tab", "7").path("/shop").readable_by_scripts().same_site(SameSite::Strict).insecure();
/// assert_eq!(cookie.to_string(), "tab=7; Path=/shop; SameSite=Strict");
/// ```
///
/// The defaults are `Path=/`, no domain, no maximum age (the cookie is deleted when the browser closes), `HttpOnly`, `SameSite=Lax`
/// and `Secure`.
///
/// `Secure` is left out if the application says that it runs [without TLS](crate::App::plain_http), or for a request without TLS to
/// `localhost` or a loopback address in [development](crate::App::development), because not every client sends a `Secure` cookie there. It is always
/// there for [`SameSite::None`] and for the prefixes `__Host-` and `__Secure-`: browsers ignore such a cookie without it.
///
/// A name is a token (RFC 6265, section 4.1.1; RFC 9110, section 5.6.2): letters, digits and ``!#$%&'*+-.^_`|~``. It is sent and compared as it is, without any
/// encoding. A value can be any text: characters that are not allowed in a cookie are percent-encoded in the value, and removed from
/// the path and the domain. A cookie with another name, or with the prefix `__Host-` and a domain or another path than `/`, is
/// refused when it is set: [`Cookies::set`](crate::Cookies::set) logs an error and leaves it out, and
/// [`Response::with_cookie`](crate::Response::with_cookie) responds with 500.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a cookie reaches the browser through `Cookies::set` or `Response::with_cookie`"]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    same_site: SameSite,
    secure: Secure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secure {
    /// Unless the request may be answered without it.
    ByDefault,
    Never,
}

/// The `SameSite` attribute of a [`Cookie`]: whether requests from other sites include the cookie.
///
/// ```
/// use brubeck::{Cookie, SameSite};
///
/// assert!(Cookie::new("a", "b").same_site(SameSite::None).to_string().contains("SameSite=None; Secure"));
/// ```
///
/// The set is closed: browsers know no other value, so a `match` needs no `_`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Requests from other sites do not include the cookie.
    Strict,
    /// Requests from other sites include the cookie if they open a page in the browser with GET, as a link does. The default.
    #[default]
    Lax,
    /// Requests from other sites include the cookie, such as those of a frame on another site. Browsers ignore such a cookie unless it is
    /// `Secure`, so it always is: [`Cookie::insecure`] has no effect on it.
    None,
}

/// The characters to percent-encode: everything except the token characters of RFC 6265, section 4.1.1. `%` is a token character, but is
/// encoded too, so that decoding returns the original text.
const ENCODE_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'^')
    .remove(b'`')
    .remove(b'|');

impl Cookie {
    /// Creates a cookie with the path `/`, no domain, no maximum age, `HttpOnly`, `SameSite=Lax` and `Secure`.
    ///
    /// ```
    /// use brubeck::Cookie;
    ///
    /// let cookie = Cookie::new("theme", "dark");
    /// assert_eq!((cookie.name(), cookie.value()), ("theme", "dark"));
    /// assert_eq!(cookie.to_string(), "theme=dark; Path=/; HttpOnly; SameSite=Lax; Secure");
    /// ```
    ///
    /// Without a maximum age, browsers delete the cookie when they close. The name is checked when the cookie is set: see [`Cookie`].
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Cookie {
        Cookie {
            name: name.into(),
            value: value.into(),
            path: "/".into(),
            domain: None,
            max_age: None,
            http_only: true,
            same_site: SameSite::Lax,
            secure: Secure::ByDefault,
        }
    }

    /// Sets the path. Only requests to this path and the paths below it include the cookie. The default is `/`.
    ///
    /// ```
    /// use brubeck::Cookie;
    ///
    /// let cookie = Cookie::new("tab", "7").path("/shop"); // also for /shop/cart
    /// assert!(cookie.to_string().contains("; Path=/shop;"));
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Cookie {
        self.path = path.into();
        self
    }

    /// Sets the domain, so that requests to its subdomains include the cookie too.
    ///
    /// ```
    /// use brubeck::Cookie;
    ///
    /// let cookie = Cookie::new("theme", "dark").domain("example.org"); // also for www.example.org
    /// assert!(cookie.to_string().contains("; Domain=example.org;"));
    /// ```
    ///
    /// By default there is no domain, and only requests to the host that has set the cookie include it. To remove the cookie, use
    /// [`Cookies::forget`](crate::Cookies::forget) with the same domain.
    pub fn domain(mut self, domain: impl Into<String>) -> Cookie {
        self.domain = Some(domain.into());
        self
    }

    /// Sets the time after which the browser deletes the cookie, rounded down to whole seconds. Zero removes the cookie.
    ///
    /// ```
    /// use brubeck::Cookie;
    /// use std::time::Duration;
    ///
    /// let cookie = Cookie::new("theme", "dark").max_age(Duration::from_secs(3600));
    /// assert!(cookie.to_string().contains("; Max-Age=3600;"));
    /// ```
    ///
    /// By default the browser deletes the cookie when it closes.
    pub fn max_age(mut self, age: Duration) -> Cookie {
        self.max_age = Some(age);
        self
    }

    /// Omits `HttpOnly`, so that scripts can read the cookie.
    ///
    /// ```
    /// use brubeck::Cookie;
    ///
    /// let cookie = Cookie::new("theme", "dark").readable_by_scripts();
    /// assert_eq!(cookie.to_string(), "theme=dark; Path=/; SameSite=Lax; Secure");
    /// ```
    ///
    /// By default, `document.cookie` does not contain it (RFC 6265, section 4.1.2.6), so an injected script cannot steal it. Has no effect
    /// on a cookie with the prefix `__Http-` or `__Host-Http-`, which browsers ignore without `HttpOnly`.
    pub fn readable_by_scripts(mut self) -> Cookie {
        self.http_only = false;
        self
    }

    /// Sets the `SameSite` attribute. The default is [`SameSite::Lax`].
    ///
    /// ```
    /// use brubeck::{Cookie, SameSite};
    ///
    /// let cookie = Cookie::new("theme", "dark").same_site(SameSite::Strict);
    /// assert!(cookie.to_string().contains("; SameSite=Strict;"));
    /// ```
    ///
    /// It decides whether requests that another site starts include the cookie: see [`SameSite`]. [`SameSite::None`] makes the cookie
    /// `Secure` in any case.
    pub fn same_site(mut self, same_site: SameSite) -> Cookie {
        self.same_site = same_site;
        self
    }

    /// Omits `Secure`, so that the cookie is sent without TLS too. Anyone on the network can then read and change it.
    ///
    /// ```
    /// use brubeck::Cookie;
    ///
    /// let cookie = Cookie::new("theme", "dark").insecure();
    /// assert_eq!(cookie.to_string(), "theme=dark; Path=/; HttpOnly; SameSite=Lax");
    /// ```
    ///
    /// Has no effect on a cookie that browsers ignore without `Secure`: one with [`SameSite::None`], or with a prefix such as `__Host-`.
    pub fn insecure(mut self) -> Cookie {
        self.secure = Secure::Never;
        self
    }

    /// Replaces the value, and sets the maximum age unless it is set already.
    pub(crate) fn with_value_and_default_age(mut self, value: String, max_age: Duration) -> Cookie {
        self.value = value;
        self.max_age.get_or_insert(max_age);
        self
    }

    /// Returns the name, as it was given to [`new`](Cookie::new).
    ///
    /// ```
    /// assert_eq!(brubeck::Cookie::new("theme", "dark").name(), "theme");
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value, as it was given to [`new`](Cookie::new), without percent-encoding.
    ///
    /// ```
    /// assert_eq!(brubeck::Cookie::new("theme", "dark blue").value(), "dark blue");
    /// ```
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Converts the cookie into one that removes it from the browser.
    pub(crate) fn expired(mut self) -> Cookie {
        self.value.clear();
        self.max_age = Some(Duration::ZERO);
        self
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.max_age == Some(Duration::ZERO)
    }

    /// Returns the value of the `set-cookie` header. Omits `Secure` if `is_secure` is `false` and browsers accept the cookie without it.
    ///
    /// # Errors
    ///
    /// Returns the reason if the cookie is not valid.
    pub(crate) fn header(&self, is_secure: bool) -> Result<HeaderValue, &'static str> {
        self.check()?;
        HeaderValue::from_bytes(self.text(is_secure).as_bytes()).map_err(|_| INVALID_NAME)
    }

    /// Returns the reason if browsers ignore the cookie, or could read another one.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let name = self.name.as_bytes();
        // Another server of the domain can set a cookie of any name. Its removal must have the same name.
        let is_valid = if self.is_expired() {
            is_sendable_name(name)
        } else {
            is_token(name)
        };
        if !is_valid {
            return Err(INVALID_NAME);
        }
        if has_prefix(&self.name, "__Host-") && (self.path != "/" || self.domain.is_some()) {
            return Err("a name with the prefix `__Host-` requires the path `/` and no domain");
        }
        Ok(())
    }

    fn text(&self, is_secure: bool) -> String {
        let mut text = format!("{}={}", self.name, encoded(&self.value));
        text.push_str(&self.attributes(is_secure));
        text
    }

    /// Returns the attributes, each with `; ` before it.
    pub(crate) fn attributes(&self, is_secure: bool) -> String {
        let mut text = String::from("; Path=");
        text.extend(self.path.chars().filter(|c| is_attribute_char(*c)));
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.extend(domain.chars().filter(|c| is_attribute_char(*c)));
        }
        if let Some(age) = self.max_age {
            // Writing to a `String` does not fail.
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        if self.is_expired() {
            text.push_str("; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        }
        if self.http_only || has_prefix(&self.name, "__Http-") || has_prefix(&self.name, "__Host-Http-") {
            text.push_str("; HttpOnly");
        }
        text.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        let is_required = self.same_site == SameSite::None
            || ["__Secure-", "__Host-", "__Http-"]
                .iter()
                .any(|prefix| has_prefix(&self.name, prefix));
        if is_required || (is_secure && self.secure == Secure::ByDefault) {
            text.push_str("; Secure");
        }
        text
    }
}

const INVALID_NAME: &str = "a name consists of letters, digits and !#$%&'*+-.^_`|~";

/// Browsers compare the prefixes without case (RFC 6265bis, section 5.7).
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Returns `true` for a token (RFC 9110, section 5.6.2).
fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                )
        })
}

/// Returns `true` for a name that a browser can send.
pub(super) fn is_sendable_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.trim_ascii() == name
        && !name
            .iter()
            .any(|byte| byte.is_ascii_control() || matches!(byte, b';' | b'='))
}

fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, ENCODE_SET)
}

/// Returns `true` for the characters that attribute values may contain.
fn is_attribute_char(character: char) -> bool {
    matches!(character, ' '..='~') && character != ';'
}

/// Writes the value of the `set-cookie` header. A cookie that would be refused is written as `invalid=; Max-Age=0`.
impl std::fmt::Display for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.check() {
            Ok(()) => f.write_str(&self.text(true)),
            Err(_) => f.write_str("invalid=; Max-Age=0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_cannot_inject_attributes_or_headers() {
        let bad = "x\r\nset-cookie: a=b; Secure, é";
        let cookie = Cookie::new("a", bad).path(bad).domain(bad);
        let text = cookie.to_string();
        assert_eq!(text.matches(';').count(), 5, "{text}");
        let header = cookie.header(true).unwrap();
        assert!(
            header.to_str().unwrap().chars().all(|c| matches!(c, ' '..='~')),
            "{text}"
        );
        assert_eq!(Cookie::new(bad, "").to_string(), "invalid=; Max-Age=0");
    }

    #[test]
    fn omits_secure_where_it_is_not_needed() {
        assert_eq!(
            Cookie::new("a", "").text(false),
            "a=; Path=/; HttpOnly; SameSite=Lax"
        );
        assert!(Cookie::new("a", "").text(true).ends_with("; Secure"));
        assert!(
            Cookie::new("a", "")
                .insecure()
                .text(true)
                .ends_with("; SameSite=Lax")
        );
    }

    #[test]
    fn keeps_secure_if_browsers_require_it() {
        let cookie = Cookie::new("a", "").same_site(SameSite::None);
        assert!(cookie.text(false).ends_with("; SameSite=None; Secure"));
        assert!(cookie.insecure().text(true).ends_with("; SameSite=None; Secure"));
        for name in [
            "__Host-a",
            "__Secure-a",
            "__host-a",
            "__SECURE-a",
            "__Http-a",
            "__Host-Http-a",
        ] {
            assert!(
                Cookie::new(name, "").insecure().text(false).ends_with("; Secure"),
                "{name}"
            );
        }
        assert!(
            Cookie::new("__Http-a", "")
                .readable_by_scripts()
                .text(false)
                .contains("; HttpOnly")
        );
    }

    #[test]
    fn refuses_what_browsers_ignore() {
        for bad in [
            "", "a b", "a=b", "a;b", "a,b", "user:id", "a@b", "é", "a\r\n", "\"a\"", "(a)",
        ] {
            assert!(Cookie::new(bad, "1").header(true).is_err(), "{bad:?}");
        }
        let host = || Cookie::new("__Host-a", "1");
        assert!(host().header(true).is_ok());
        assert!(host().path("/a").header(true).is_err() && host().domain("a").header(true).is_err());
    }

    proptest! {
        #[test]
        fn every_token_is_sent_as_it_is(name in "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,20}") {
            let header = Cookie::new(&name, "1").header(true).unwrap();
            let start = format!("{name}=1;");
            prop_assert!(header.as_bytes().starts_with(start.as_bytes()));
        }

        #[test]
        fn removal_has_the_name_that_was_sent(name in "[^\\x00-\\x20\\x7f;=]([^\\x00-\\x1f\\x7f;=]{0,20}[^\\x00-\\x20\\x7f;=])?") {
            let header = Cookie::new(&name, "1").expired().header(true).unwrap();
            let start = format!("{name}=;");
            prop_assert!(header.as_bytes().starts_with(start.as_bytes()));
        }
    }
}

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
/// and `Secure`. If the `host` header of the request is `localhost` or a loopback address, [`Cookies`](crate::Cookies),
/// [`SignedCookies`](crate::SignedCookies) and [`Session`](crate::Session) omit `Secure`, so that cookies work during development without
/// TLS. They keep `Secure` for [`SameSite::None`], because browsers ignore a cookie that has only the latter.
///
/// Names and values can be any text. Characters that are not allowed in a cookie (RFC 6265, section 4.1.1) are percent-encoded in the
/// name and the value, and removed from the path and the domain.
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
    UnlessLoopback,
    Never,
}

/// The `SameSite` attribute of a [`Cookie`]: whether requests from other sites include the cookie.
///
/// ```
/// use brubeck::{Cookie, SameSite};
///
/// assert!(Cookie::new("a", "b").same_site(SameSite::None).to_string().contains("SameSite=None; Secure"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Requests from other sites do not include the cookie.
    Strict,
    /// Requests from other sites include the cookie if they open a page in the browser with GET, as a link does. The default.
    #[default]
    Lax,
    /// Requests from other sites include the cookie. Browsers ignore such a cookie unless it is `Secure`.
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
    /// Creates a cookie with the default attributes.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Cookie {
        Cookie {
            name: name.into(),
            value: value.into(),
            path: "/".into(),
            domain: None,
            max_age: None,
            http_only: true,
            same_site: SameSite::Lax,
            secure: Secure::UnlessLoopback,
        }
    }

    /// Sets the path. Only requests to this path and the paths below it include the cookie. Default `/`.
    pub fn path(mut self, path: impl Into<String>) -> Cookie {
        self.path = path.into();
        self
    }

    /// Sets the domain, so that requests to its subdomains include the cookie too.
    pub fn domain(mut self, domain: impl Into<String>) -> Cookie {
        self.domain = Some(domain.into());
        self
    }

    /// Sets the time after which the browser deletes the cookie, rounded down to whole seconds. Zero removes the cookie.
    pub fn max_age(mut self, age: Duration) -> Cookie {
        self.max_age = Some(age);
        self
    }

    /// Omits `HttpOnly`, so that scripts can read the cookie.
    pub fn readable_by_scripts(mut self) -> Cookie {
        self.http_only = false;
        self
    }

    /// Sets the `SameSite` attribute. Default [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Cookie {
        self.same_site = same_site;
        self
    }

    /// Omits `Secure`, so that the cookie is sent without TLS too. Anyone on the network can then read and change it.
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

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value.
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

    /// Returns the value of the `set-cookie` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header_for(false)
    }

    /// Like [`header`](Cookie::header). Omits `Secure` if `loopback` is `true`, except for [`SameSite::None`].
    pub(crate) fn header_for(&self, loopback: bool) -> HeaderValue {
        // The fallback is unreachable: characters that are not allowed in a header have been encoded or removed.
        HeaderValue::try_from(self.text(loopback)).unwrap_or(HeaderValue::from_static("invalid=; Max-Age=0"))
    }

    fn text(&self, loopback: bool) -> String {
        let mut text = format!("{}={}", encoded(&self.name), encoded(&self.value));
        text.push_str("; Path=");
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
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        text.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        // Browsers ignore `SameSite=None` without `Secure`, also for a loopback address.
        let is_required = self.same_site == SameSite::None;
        if self.secure == Secure::UnlessLoopback && (is_required || !loopback) {
            text.push_str("; Secure");
        }
        text
    }
}

fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, ENCODE_SET)
}

/// Returns `true` for the characters that attribute values may contain.
fn is_attribute_char(character: char) -> bool {
    matches!(character, ' '..='~') && character != ';'
}

/// Writes the value of the `set-cookie` header.
impl std::fmt::Display for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_inject_attributes_or_headers() {
        let bad = "x\r\nset-cookie: a=b; Secure, é";
        let cookie = Cookie::new(bad, bad).path(bad).domain(bad);
        let text = cookie.to_string();
        assert_eq!(text.matches(';').count(), 5, "{text}");
        assert!(
            cookie
                .header()
                .to_str()
                .unwrap()
                .chars()
                .all(|c| matches!(c, ' '..='~')),
            "{text}"
        );
    }

    #[test]
    fn omits_secure_for_loopback() {
        assert_eq!(
            Cookie::new("a", "").text(true),
            "a=; Path=/; HttpOnly; SameSite=Lax"
        );
        assert!(Cookie::new("a", "").text(false).ends_with("; Secure"));
    }

    #[test]
    fn keeps_secure_for_loopback_if_same_site_requires_it() {
        let cookie = Cookie::new("a", "").same_site(SameSite::None);
        assert!(cookie.text(true).ends_with("; SameSite=None; Secure"));
        assert!(cookie.insecure().text(true).ends_with("; SameSite=None"));
    }
}

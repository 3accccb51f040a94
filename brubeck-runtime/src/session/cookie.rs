//! A cookie that a reply sets.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;
use std::time::Duration;

/// A cookie that the browser is told to keep.
///
/// ```
/// use brubeck::{Cookie, SameSite};
/// use std::time::Duration;
///
/// let cookie = Cookie::new("theme", "dark").max_age(Duration::from_secs(3600));
/// assert_eq!(cookie.to_string(), "theme=dark; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
///
/// let open = Cookie::new("tab", "7").path("/shop").readable_by_scripts().same_site(SameSite::Strict).insecure();
/// assert_eq!(open.to_string(), "tab=7; Path=/shop; SameSite=Strict");
/// ```
///
/// It is for every path of this host, hidden from scripts, not sent along with requests that other sites start
/// (but for links), and sent over TLS only, unless it is told otherwise. A cookie that is set through [`Cookies`](crate::Cookies)
/// goes without `Secure` where the browser asked for a loopback address, so that development works.
/// Names and values may be any text: what HTTP does not allow in a cookie is percent-encoded.
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

/// Which requests that other sites start carry a cookie.
///
/// ```
/// use brubeck::{Cookie, SameSite};
///
/// assert!(Cookie::new("a", "b").same_site(SameSite::None).to_string().contains("SameSite=None; Secure"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// None of them.
    Strict,
    /// Links to a page.
    #[default]
    Lax,
    /// All of them; browsers want `Secure` with it.
    None,
}

/// What may stand in a name or a value as it is (RFC 6265, 4.1.1), but for `%`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
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
    /// A cookie for every path of this host, until the browser is closed.
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

    /// For paths below this one only. Must be the same when it is removed.
    pub fn path(mut self, path: impl Into<String>) -> Cookie {
        self.path = path.into();
        self
    }

    /// For the hosts below this domain too.
    pub fn domain(mut self, domain: impl Into<String>) -> Cookie {
        self.domain = Some(domain.into());
        self
    }

    /// How long the browser keeps it, in whole seconds.
    pub fn max_age(mut self, age: Duration) -> Cookie {
        self.max_age = Some(age);
        self
    }

    /// Scripts of the page can read it.
    pub fn readable_by_scripts(mut self) -> Cookie {
        self.http_only = false;
        self
    }

    /// Which requests that other sites start carry it.
    pub fn same_site(mut self, same_site: SameSite) -> Cookie {
        self.same_site = same_site;
        self
    }

    /// It is sent without TLS too, where everybody on the way can read and change it.
    pub fn insecure(mut self) -> Cookie {
        self.secure = Secure::Never;
        self
    }

    /// The same cookie with this value, for as long as it says or else this age.
    pub(crate) fn revalued(mut self, value: String, max_age: Duration) -> Cookie {
        self.value = value;
        self.max_age.get_or_insert(max_age);
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    pub(crate) fn expired(mut self) -> Cookie {
        self.value.clear();
        self.max_age = Some(Duration::ZERO);
        self
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.max_age == Some(Duration::ZERO)
    }

    /// The value of a `set-cookie` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header_for(false)
    }

    /// The same for a browser that asked for a loopback address, or another one.
    pub(crate) fn header_for(&self, loopback: bool) -> HeaderValue {
        // Every character that a header cannot hold has been encoded or left out.
        HeaderValue::try_from(self.text(loopback)).unwrap_or(HeaderValue::from_static("invalid=; Max-Age=0"))
    }

    fn text(&self, loopback: bool) -> String {
        let mut text = format!("{}={}", encoded(&self.name), encoded(&self.value));
        text.push_str("; Path=");
        text.extend(self.path.chars().filter(|c| attribute_character(*c)));
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.extend(domain.chars().filter(|c| attribute_character(*c)));
        }
        if let Some(age) = self.max_age {
            // Writing to a string cannot fail.
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
        if self.secure == Secure::UnlessLoopback && !loopback {
            text.push_str("; Secure");
        }
        text
    }
}

fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, ENCODED)
}

fn attribute_character(character: char) -> bool {
    matches!(character, ' '..='~') && character != ';'
}

/// As in a `set-cookie` header.
impl std::fmt::Display for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_adds_an_attribute_or_a_header() {
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
    fn a_loopback_host_needs_no_tls() {
        assert_eq!(
            Cookie::new("a", "").text(true),
            "a=; Path=/; HttpOnly; SameSite=Lax"
        );
        assert!(Cookie::new("a", "").text(false).ends_with("; Secure"));
    }
}

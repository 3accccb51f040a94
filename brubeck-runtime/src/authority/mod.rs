//! The authority and the scheme of a request: the host, the port and the protocol that the client asked for.

pub mod codec;

use crate::error::Error;
use codec::{HostPort, parse_host_port, parse_origin};
use http::header::ORIGIN;
use http::{Extensions, HeaderMap, HeaderValue};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The host and the port that a client asked for. Also an extractor.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::{Authority, Scheme};
///
/// #[get("^/invitation$")]
/// async fn invitation(scheme: Scheme, authority: Authority) -> String {
///     format!("{scheme}://{authority}/join") // https://example.org/join
/// }
/// # const ROUTES: Routes<()> = routes![invitation];
/// ```
///
/// A text can be parsed into one:
///
/// ```
/// use brubeck::Authority;
///
/// let authority: Authority = "Example.ORG:8080".parse()?;
/// assert_eq!((authority.host(), authority.port()), ("example.org", Some(8080)));
/// assert_eq!(authority.as_str(), "example.org:8080");
/// assert!(!authority.is_loopback() && "[::1]:80".parse::<Authority>()?.is_loopback());
/// # Ok::<(), brubeck::Error>(())
/// ```
///
/// The application decides it once, for HTTP/1, HTTP/2 and Mongrel2: it is what a [trusted proxy](crate::App::trusted_proxies) forwards, or
/// else the authority of the request target (`:authority` in HTTP/2), or else the header `Host`. That header has the same value in every
/// handler, layer and mounted service. A request whose authority is invalid is rejected with 400 (RFC 9112, section 3.2).
///
/// **The client chooses it.** Set [`App::hosts`](crate::App::hosts) before you put it into a link that others will follow.
///
/// The host is in lower case, and an IPv6 address is in brackets and in its canonical form. The extractor rejects with 400 if the request has no
/// authority, which HTTP/1.0 allows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host, and the port if there is one.
    text: Box<str>,
    host_len: usize,
}

impl Authority {
    /// Returns the host: a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// ```
    /// let authority: brubeck::Authority = "example.org:8080".parse()?;
    /// assert_eq!(authority.host(), "example.org");
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    pub fn host(&self) -> &str {
        self.text.get(..self.host_len).unwrap_or_default()
    }

    /// Returns the port. Returns `None` if there is none, or if it is larger than 65,535.
    ///
    /// ```
    /// let authority: brubeck::Authority = "example.org:8080".parse()?;
    /// assert_eq!(authority.port(), Some(8080));
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    pub fn port(&self) -> Option<u16> {
        self.port_text()?.parse().ok()
    }

    /// Returns the text: the host, and the port if there is one.
    ///
    /// ```
    /// let authority: brubeck::Authority = "example.org:8080".parse()?;
    /// assert_eq!(authority.as_str(), "example.org:8080");
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns `true` if the host is `localhost`, a name below it, or a loopback address.
    ///
    /// ```
    /// let authority: brubeck::Authority = "example.org:8080".parse()?;
    /// assert!(!authority.is_loopback());
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        host == "localhost"
            || host.ends_with(".localhost")
            || address
                .parse()
                .is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
    }

    /// Parses the value of a `host` header. Returns `None` if it is invalid or empty.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Authority> {
        Authority::new(parse_host_port(bytes)?)
    }

    pub(crate) fn new(HostPort { host, port }: HostPort<'_>) -> Option<Authority> {
        if host.is_empty() {
            return None;
        }
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let mut text = match address.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
            Some(address) => format!("[{address}]"),
            None => host.to_ascii_lowercase(),
        };
        let host_len = text.len();
        if let Some(port) = port {
            text.push(':');
            // A number, so leading zeros mean nothing.
            let digits = port.trim_start_matches('0');
            text.push_str(if digits.is_empty() { "0" } else { digits });
        }
        Some(Authority {
            text: text.into(),
            host_len,
        })
    }

    pub(crate) fn port_text(&self) -> Option<&str> {
        self.text.get(self.host_len..)?.strip_prefix(':')
    }

    /// Adds a port, unless there is one or it is the default port of the scheme.
    pub(crate) fn or_port(self, port: u16, scheme: Scheme) -> Authority {
        let port = port.to_string();
        if self.port_text().is_some() || default_port(scheme.as_str()) == Some(port.as_str()) {
            return self;
        }
        Authority {
            text: format!("{}:{port}", self.text).into(),
            ..self
        }
    }

    /// Returns the value of the `host` header.
    pub(crate) fn header(&self) -> HeaderValue {
        // The fallback is unreachable: the grammar allows visible ASCII only.
        HeaderValue::from_str(&self.text).unwrap_or(HeaderValue::from_static(""))
    }
}

impl FromStr for Authority {
    type Err = Error;

    /// Parses a host with an optional port, such as `example.org` or `[::1]:8080`.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the text is empty, or is not a host with an optional port.
    fn from_str(text: &str) -> Result<Authority, Error> {
        Authority::parse(text.as_bytes()).ok_or_else(|| {
            Error::new(format!(
                "`{text}` is not a host: expected `example.org` or `[::1]:8080`"
            ))
        })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// Extractor for the scheme of a web request: `http`, or `https` for a request with TLS.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::{Authority, Scheme};
///
/// #[get("/link")]
/// async fn link(scheme: Scheme, authority: Authority) -> String {
///     format!("{scheme}://{authority}/welcome")
/// }
///
/// assert_eq!(Scheme::Https.to_string(), "https");
/// assert_eq!(Scheme::default(), Scheme::Http);
/// ```
///
/// It never rejects; a message that is not a web request has [`Http`](Scheme::Http). [`Message::scheme`](crate::Message::scheme)
/// returns the same value.
///
/// It is what a [trusted proxy](crate::App::trusted_proxies) forwards, or else [`Https`](Scheme::Https) if the connection uses TLS. A plain
/// connection whose client asks for port 443 is `Https`, too: TLS ended in front of the server.
///
/// Insert it into the extensions of a request to an [`AppService`](crate::AppService) whose connection uses TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`: the request came without TLS, as far as is known. The default.
    #[default]
    Http,
    /// `https`: the request came with TLS, to this server, to a [trusted proxy](crate::App::trusted_proxies), or to the port 443.
    Https,
}

impl Scheme {
    /// Returns `http` or `https`.
    ///
    /// ```
    /// assert_eq!(brubeck::Scheme::Https.as_str(), "https");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// Returns the scheme in the extensions of a request, where layers find it, unless this is `https` already.
    pub(crate) fn or_in(self, extensions: &Extensions) -> Scheme {
        match self {
            Scheme::Http => extensions.get().copied().unwrap_or_default(),
            Scheme::Https => Scheme::Https,
        }
    }

    /// Parses the scheme that a proxy forwards, in any case. Those of WebSockets are those of their handshake.
    pub(crate) fn parse(text: &[u8]) -> Option<Scheme> {
        let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
        if is("https") || is("wss") {
            Some(Scheme::Https)
        } else {
            (is("http") || is("ws")).then_some(Scheme::Http)
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An origin (RFC 6454): scheme, host and port. Equal ones are the same origin: the case is lower and a default port is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebOrigin {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<Box<str>>,
}

impl WebOrigin {
    pub(crate) fn of(scheme: Scheme, authority: &Authority) -> WebOrigin {
        WebOrigin::new(scheme.as_str(), authority)
    }

    /// Returns the origin of the page that has sent a request. Returns `None` if the request has no `origin` header, and `Some(None)` if it
    /// has several, or one that is not an origin.
    pub(crate) fn of_page(headers: &HeaderMap) -> Option<Option<WebOrigin>> {
        let mut values = headers.get_all(ORIGIN).iter();
        let first = values.next()?;
        Some(WebOrigin::parse(first.as_bytes()).filter(|_| values.next().is_none()))
    }

    /// Parses the value of an `origin` header. Returns `None` for `null` and for what is not an origin.
    pub(crate) fn parse(bytes: &[u8]) -> Option<WebOrigin> {
        let (scheme, host) = parse_origin(bytes)?;
        Some(WebOrigin::new(
            &scheme.to_ascii_lowercase(),
            &Authority::new(host)?,
        ))
    }

    fn new(scheme: &str, authority: &Authority) -> WebOrigin {
        let default = default_port(scheme);
        WebOrigin {
            scheme: scheme.into(),
            host: authority.host().into(),
            port: authority
                .port_text()
                .filter(|port| Some(*port) != default)
                .map(Into::into),
        }
    }
}

impl FromStr for WebOrigin {
    type Err = Error;

    fn from_str(text: &str) -> Result<WebOrigin, Error> {
        // Only origins that a browser can send: others would never match.
        let of_page = |text: &str| {
            let origin = WebOrigin::parse(text.as_bytes())?;
            let is_port = origin
                .port
                .as_ref()
                .is_none_or(|port| port.parse::<u16>().is_ok());
            let is_scheme = !matches!(&*origin.scheme, "ws" | "wss");
            (is_port && is_scheme && !origin.host.contains('*')).then_some(origin)
        };
        of_page(text).ok_or_else(|| {
            let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            let scheme = match scheme {
                "ws" => "http",
                "wss" => "https",
                other => other,
            };
            let suggestion = format!("{scheme}://{host}");
            let hint = match of_page(&suggestion) {
                Some(_) => format!("write `{suggestion}`"),
                None if host.contains('*') => "list each origin, without a wildcard".to_owned(),
                None => "expected `https://example.org` or `http://localhost:8080`".to_owned(),
            };
            Error::new(format!(
                "`{text}` is not an origin, which consists of a scheme, a host and an optional port: {hint}"
            ))
        })
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

/// Returns the default port of a scheme (RFC 9110, sections 4.2.1 and 4.2.2; RFC 6455, section 3).
fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" | "ws" => Some("80"),
        "https" | "wss" => Some("443"),
        _ => None,
    }
}

/// A host that an application accepts: a name or an address, or all subdomains of a name, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern {
    authority: Authority,
    /// Matches the subdomains of the host instead of the host.
    subdomains: bool,
}

impl HostPattern {
    /// Returns `true` for a request to this authority. A pattern without a port matches all ports.
    pub(crate) fn matches(&self, authority: &Authority, scheme: Scheme) -> bool {
        let is_port = self
            .authority
            .port_text()
            .is_none_or(|port| authority.port_text().or(default_port(scheme.as_str())) == Some(port));
        let is_host = if self.subdomains {
            let prefix = authority.host().strip_suffix(self.authority.host());
            prefix.is_some_and(|prefix| prefix.len() > 1 && prefix.ends_with('.'))
        } else {
            authority.host() == self.authority.host()
        };
        is_port && is_host
    }
}

impl FromStr for HostPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<HostPattern, Error> {
        let (host, subdomains) = match text.strip_prefix("*.") {
            Some(host) => (host, true),
            None => (text, false),
        };
        let authority = Authority::parse(host.as_bytes());
        let authority = authority.filter(|authority| {
            let is_address_range = subdomains && host.starts_with('[');
            !is_address_range && !authority.host().contains('*')
        });
        match authority {
            Some(authority) => Ok(HostPattern {
                authority,
                subdomains,
            }),
            None => Err(Error::new(format!(
                "`{text}` is not a host: expected `example.org`, `example.org:8080`, `*.example.org`, `127.0.0.1` or `[::1]`, \
                 without a scheme and a path; write a name with other letters in its ASCII form, `xn--..`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn authority(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn authority_is_normalised() {
        assert_eq!(authority("Example.ORG:0080").as_str(), "example.org:80");
        assert_eq!(authority("[2001:DB8:0::1]").as_str(), "[2001:db8::1]");
        assert_eq!(
            (authority("[::1]:8").host(), authority("[::1]:8").port()),
            ("[::1]", Some(8))
        );
        assert_eq!((authority("a:99999").port(), authority("a").port()), (None, None));
        assert!("".parse::<Authority>().is_err() && "a b".parse::<Authority>().is_err());
    }

    #[test]
    fn recognizes_loopback_hosts() {
        for yes in [
            "localhost",
            "LocalHost:80",
            "127.0.0.1:6767",
            "[::1]:1",
            "127.9.9.9",
            "[::ffff:127.0.0.1]",
            "a.localhost",
        ] {
            assert!(authority(yes).is_loopback(), "{yes}");
        }
        for no in [
            "localhost.example.org",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.example.org",
            "xlocalhost",
        ] {
            assert!(!authority(no).is_loopback(), "{no}");
        }
    }

    #[test]
    fn origins_are_equal_if_scheme_host_and_port_are() {
        let origin = |text: &str| WebOrigin::parse(text.as_bytes());
        assert_eq!(origin("https://a.example:443"), origin("HTTPS://A.Example"));
        assert_eq!(origin("http://a.example:80"), origin("http://a.example"));
        assert_ne!(origin("http://a.example:443"), origin("http://a.example"));
        assert_ne!(origin("http://a.example"), origin("https://a.example"));
        assert_eq!(WebOrigin::parse(b"null"), None);
        let own = WebOrigin::of(Scheme::Https, &authority("a.example:443"));
        assert_eq!(Some(own), origin("https://a.example"));
    }

    #[test]
    fn error_of_an_origin_shows_the_right_form() {
        let error = |text: &str| text.parse::<WebOrigin>().unwrap_err().to_string();
        assert!(error("https://pay.example.org/").ends_with("write `https://pay.example.org`"));
        assert!(error("pay.example.org").ends_with("write `https://pay.example.org`"));
        assert!(error("http://a:8080/x?y").ends_with("write `http://a:8080`"));
        assert!(error("not an origin").contains("expected `https://example.org`"));
        assert!(error("wss://pay.example.org").ends_with("write `https://pay.example.org`"));
        assert!(error("ws://localhost:1/x").ends_with("write `http://localhost:1`"));
        assert!(error("https://user@pay.example.org").ends_with("write `https://pay.example.org`"));
        assert!(error("https://*.example.org").ends_with("list each origin, without a wildcard"));
        assert!(error("https://pay.example.org:65536").contains("expected `https://example.org`"));
        for valid in [
            "https://pay.example.org:443",
            "http://[::1]:65535",
            "chrome-extension://abc",
        ] {
            assert!(valid.parse::<WebOrigin>().is_ok(), "{valid}");
        }
    }

    #[test]
    fn host_patterns_match_names_subdomains_and_ports() {
        let matches = |pattern: &str, host: &str| {
            pattern
                .parse::<HostPattern>()
                .unwrap()
                .matches(&authority(host), Scheme::Https)
        };
        assert!(matches("Example.org", "example.ORG:8443"));
        assert!(!matches("example.org", "www.example.org") && !matches("example.org", "example.org.evil"));
        assert!(matches("*.example.org", "a.b.example.org:1") && !matches("*.example.org", "example.org"));
        assert!(!matches("*.example.org", ".example.org") && !matches("*.example.org", "evilexample.org"));
        assert!(matches("example.org:443", "example.org") && !matches("example.org:443", "example.org:80"));
        assert!(
            matches("example.org:8443", "example.org:8443") && !matches("example.org:8443", "example.org")
        );
        assert!(matches("[0:0::1]", "[::1]:5"));
        for invalid in [
            "",
            "*",
            "https://a.example",
            "a.example/",
            "a b",
            "*.",
            "a.*.b",
            "bücher.example",
            "*.[::1]",
            ":80",
        ] {
            assert!(invalid.parse::<HostPattern>().is_err(), "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn normalised_text_is_stable(text in "[a-zA-Z0-9.%-]{1,9}(:[0-9]{0,6})?") {
            if let Some(parsed) = Authority::parse(text.as_bytes()) {
                prop_assert_eq!(Authority::parse(parsed.as_str().as_bytes()), Some(parsed));
            }
        }
    }
}

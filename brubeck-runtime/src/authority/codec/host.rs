//! Hosts with an optional port, and origins.

use std::net::Ipv6Addr;

/// A host and its port, as they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// A name, an IPv4 address, or an IP literal in brackets. Empty if the text was empty.
    pub host: &'a str,
    /// The digits of the port. `None` if there is no port, or no digit after the colon.
    pub port: Option<&'a str>,
}

impl HostPort<'_> {
    /// Returns `true` if the text is surely in the form of [`Authority`](crate::Authority): in lower case, without brackets and without
    /// leading zeros in the port.
    pub(crate) fn is_normalised(&self) -> bool {
        !self
            .host
            .bytes()
            .any(|byte| byte.is_ascii_uppercase() || byte == b'[')
            && self.port.is_none_or(|port| !port.starts_with('0'))
    }
}

/// Parses `uri-host [ ":" port ]` (RFC 9110, section 7.2; RFC 3986, sections 3.2.2 and 3.2.3). Returns `None` for every text outside
/// the grammar, and for a port without a host.
#[must_use]
pub fn parse_host_port(bytes: &[u8]) -> Option<HostPort<'_>> {
    if !bytes.is_ascii() {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (host, rest) = match text.strip_prefix('[') {
        Some(literal) => {
            let inside = literal.split(']').next()?;
            let host = text.get(..inside.len() + 2)?;
            let rest = text.get(host.len()..)?;
            (is_ip_literal(inside) && (rest.is_empty() || rest.starts_with(':'))).then_some((host, rest))?
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            is_registered_name(host.as_bytes()).then_some((host, rest))?
        }
    };
    let port = rest.strip_prefix(':').unwrap_or_default();
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || (host.is_empty() && !rest.is_empty()) {
        return None;
    }
    Some(HostPort {
        host,
        port: Some(port).filter(|port| !port.is_empty()),
    })
}

/// Parses a serialized origin, `scheme "://" host [ ":" port ]` (RFC 6454, section 6.2). Returns the scheme and the host.
#[must_use]
pub fn parse_origin(bytes: &[u8]) -> Option<(&str, HostPort<'_>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (scheme, host) = text.split_once("://")?;
    let mut letters = scheme.bytes();
    let is_scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let host = parse_host_port(host.as_bytes())?;
    (is_scheme && !host.host.is_empty()).then_some((scheme, host))
}

/// `reg-name`, which includes every IPv4 address.
fn is_registered_name(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'%' => match after {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
                _ => return false,
            },
            _ if is_unreserved_or_sub_delim(*byte) => after,
            _ => return false,
        };
    }
    true
}

/// The inside of `IP-literal`: an IPv6 address, or `IPvFuture`.
fn is_ip_literal(text: &str) -> bool {
    let is_future = || {
        let (version, address) = text.strip_prefix(['v', 'V'])?.split_once('.')?;
        let is_valid = !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !address.is_empty()
            && address
                .bytes()
                .all(|byte| byte == b':' || is_unreserved_or_sub_delim(byte));
        Some(is_valid)
    };
    text.parse::<Ipv6Addr>().is_ok() || is_future() == Some(true)
}

const fn is_unreserved_or_sub_delim(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The grammar as a regular expression, for comparison.
    fn reference() -> regex::Regex {
        let name = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*";
        regex::Regex::new(&format!(r"^(?:{name}(?::[0-9]*)?|\[([^\]]*)\](?::[0-9]*)?)$")).unwrap()
    }

    #[test]
    fn parses_hosts_and_ports() {
        let parse =
            |text: &'static str| parse_host_port(text.as_bytes()).map(|parsed| (parsed.host, parsed.port));
        assert_eq!(parse("example.org"), Some(("example.org", None)));
        assert_eq!(parse("example.org:8080"), Some(("example.org", Some("8080"))));
        assert_eq!(parse("example.org:"), Some(("example.org", None)));
        assert_eq!(parse("[2001:db8::1]:80"), Some(("[2001:db8::1]", Some("80"))));
        assert_eq!(parse("[::ffff:1.2.3.4]"), Some(("[::ffff:1.2.3.4]", None)));
        assert_eq!(parse("[v1.a:b]"), Some(("[v1.a:b]", None)));
        assert_eq!(parse("a%20b"), Some(("a%20b", None)));
        assert_eq!(parse(""), Some(("", None)));
        for invalid in [
            "a b",
            "a/b",
            "a@b",
            "http://a",
            "<script>",
            "x\u{e9}",
            "a:b",
            "a:-1",
            "a:1:2",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "[v.a]",
            "[v1.]",
            "[]",
            "a%2",
            "a%zz",
            ":80",
            ":",
            "a?b",
            "a#b",
            "a\\b",
            "\"a\"",
            "a\0",
            " a",
            "[[::1]]",
            "a]",
        ] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn accepts_exactly_the_grammar(text in "[a-f0-9%:.\\[\\]v@/ é-]{0,12}") {
            let expected = reference().captures(&text).is_some_and(|found| {
                found.get(1).is_none_or(|literal| is_ip_literal(literal.as_str())) && !text.starts_with(':')
            });
            prop_assert_eq!(parse_host_port(text.as_bytes()).is_some(), expected, "{}", text);
        }

        #[test]
        fn accepts_every_valid_host(
            host in prop_oneof![
                "([a-zA-Z0-9._~!$&'()*+,;=-]|%[0-9a-fA-F]{2}){1,20}",
                any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]")),
                any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
            ],
            port in proptest::option::of(any::<u16>()),
        ) {
            let text = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            let parsed = parse_host_port(text.as_bytes()).unwrap();
            prop_assert_eq!(parsed.host, &host);
            prop_assert_eq!(parsed.port.map(str::to_owned), port.map(|port| port.to_string()));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (parse_host_port(&bytes), parse_origin(&bytes));
        }
    }

    #[test]
    fn parses_origins() {
        let parse = |text: &'static str| {
            parse_origin(text.as_bytes()).map(|(scheme, host)| (scheme, host.host, host.port))
        };
        assert_eq!(parse("https://a.b:444"), Some(("https", "a.b", Some("444"))));
        assert_eq!(
            parse("chrome-extension://abc"),
            Some(("chrome-extension", "abc", None))
        );
        for invalid in [
            "null",
            "",
            "a.b",
            "https://a/",
            "https://",
            "https://u@a",
            "://a",
            "1a://b",
            "a b://c",
            "//a",
        ] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }
}

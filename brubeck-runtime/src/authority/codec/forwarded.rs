//! The values of `forwarded` (RFC 7239) and of the `x-forwarded-*` headers.

use std::borrow::Cow;
use std::net::IpAddr;

/// What one proxy says about the request that it received. A parameter that it left out is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardedElement<'a> {
    /// The value of `for`, without its quotes. See [`parse_node`].
    pub client: Option<Cow<'a, [u8]>>,
    /// The value of `host`, without its quotes.
    pub host: Option<Cow<'a, [u8]>>,
    /// The value of `proto`, without its quotes.
    pub proto: Option<Cow<'a, [u8]>>,
}

/// Parses the value of a `forwarded` header. Yields the elements from left to right; `None` for one that cannot be read, which costs
/// no other. Only after a quote that never ends, the rest of the value is one element.
///
/// Values that should have been quoted are accepted, because proxies send them: `for=[::1]:80`.
pub fn parse_forwarded(value: &[u8]) -> impl Iterator<Item = Option<ForwardedElement<'_>>> {
    split_unquoted(value, b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
        .map(parse_element)
}

fn parse_element(element: &[u8]) -> Option<ForwardedElement<'_>> {
    let mut parsed = ForwardedElement::default();
    for pair in split_unquoted(element, b';').map(<[u8]>::trim_ascii) {
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair.get(..equals)?, unquote(pair.get(equals + 1..)?)?);
        let parameter = if name.eq_ignore_ascii_case(b"for") {
            &mut parsed.client
        } else if name.eq_ignore_ascii_case(b"host") {
            &mut parsed.host
        } else if name.eq_ignore_ascii_case(b"proto") {
            &mut parsed.proto
        } else {
            continue;
        };
        // Each parameter occurs once (section 4). With two of them, proxies could disagree about which one counts.
        if parameter.replace(value).is_some() {
            return None;
        }
    }
    Some(parsed)
}

/// Splits a value at a separator, unless it is within a quoted string.
fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |byte| {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && *byte == b'\\' {
            is_escaped = true;
        } else if *byte == b'"' {
            is_quoted = !is_quoted;
        }
        !is_quoted && *byte == separator
    })
}

/// Returns the content of a quoted string, or a value without quotes as it is.
fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(rest) = value.strip_prefix(b"\"") else {
        let is_plain = !value.is_empty() && value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
        return is_plain.then_some(Cow::Borrowed(value));
    };
    let content = rest.strip_suffix(b"\"")?;
    if !content.iter().any(|byte| matches!(byte, b'\\' | b'"')) {
        return Some(Cow::Borrowed(content));
    }
    let (mut unescaped, mut bytes) = (Vec::with_capacity(content.len()), content.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => unescaped.push(*bytes.next()?),
            b'"' => return None,
            _ => unescaped.push(*byte),
        }
    }
    Some(Cow::Owned(unescaped))
}

/// Returns the members of a comma-separated list, from left to right. Empty members are left out (RFC 9110, section 5.6.1).
pub fn split_list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Returns the address of a node: IPv4 or IPv6, with or without brackets, quotes and a port. Returns `None` for `unknown`, for
/// obfuscated identifiers such as `_proxy1` (RFC 7239, section 6.3), and for everything else. An IPv4-mapped address is converted to
/// IPv4.
#[must_use]
pub fn parse_node(node: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(node).ok()?.trim_ascii();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address = address.parse::<std::net::Ipv6Addr>().ok()?;
            is_port(port).then_some(IpAddr::V6(address))?
        }
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => {
                let (address, _) = text.split_once(':')?;
                let port = text.get(address.len()..)?;
                let address = address.parse::<std::net::Ipv4Addr>().ok()?;
                is_port(port).then_some(IpAddr::V4(address))?
            }
        },
    };
    Some(address.to_canonical())
}

/// An empty text, or a colon and a port: digits, or an obfuscated identifier.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    let is_identifier = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    match port.strip_prefix('_') {
        Some(identifier) => is_identifier(identifier),
        None => !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_every_form_of_a_node() {
        let parse = |text: &str| parse_node(text.as_bytes()).map(|address| address.to_string());
        for (node, address) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("203.0.113.9:_port", "203.0.113.9"),
            (" \"203.0.113.9:80\" ", "203.0.113.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1"),
        ] {
            assert_eq!(parse(node).as_deref(), Some(address), "{node}");
        }
        for unknown in [
            "unknown",
            "_hidden",
            "_SEVKISEK",
            "",
            "203.0.113",
            "203.0.113.9:",
            "203.0.113.9:a",
            "203.0.113.9 x",
            "[::1",
            "::1]",
            "[203.0.113.9]",
            "localhost",
            "\u{ff}",
            "127.1",
            "0x7f.0.0.1",
            "[::1]80",
        ] {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }

    fn elements(value: &str) -> Vec<Option<(String, String, String)>> {
        let text = |value: Option<Cow<'_, [u8]>>| {
            value.map_or("-".into(), |value| String::from_utf8_lossy(&value).into_owned())
        };
        parse_forwarded(value.as_bytes())
            .map(|element| {
                element.map(|element| (text(element.client), text(element.host), text(element.proto)))
            })
            .collect()
    }

    #[test]
    fn parses_forwarded_elements() {
        let parsed = |client: &str, host: &str, proto: &str| Some((client.into(), host.into(), proto.into()));
        assert_eq!(
            elements("for=192.0.2.43, For=\"[2001:db8:cafe::17]:4711\";Proto=https ; HOST=\"a.b:80\";by=_x"),
            [
                parsed("192.0.2.43", "-", "-"),
                parsed("[2001:db8:cafe::17]:4711", "a.b:80", "https")
            ]
        );
        assert_eq!(elements("for=\"a,b;\\\"c\""), [parsed("a,b;\"c", "-", "-")]);
        assert_eq!(
            elements(", ,;,for=_a"),
            [parsed("-", "-", "-"), parsed("_a", "-", "-")]
        );
        assert_eq!(
            elements("nonsense, for=1;for=2, for=, for=\"a, for=9.9.9.9"),
            [None, None, None, None],
            "the quote swallows what follows it"
        );
        assert_eq!(elements("x=\"\\\""), [None]);
    }

    proptest! {
        #[test]
        fn appended_element_is_read_whatever_valid_element_is_before_it(
            before in "(for|host|proto)=\"([ -!#-\\[\\]-~]|\\\\[ -~]){0,20}\"",
        ) {
            let value = format!("{before}, for=203.0.113.9");
            let elements = elements(&value);
            prop_assert_eq!(elements.len(), 2);
            prop_assert_eq!(&elements.last().unwrap().as_ref().unwrap().0, "203.0.113.9");
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (parse_forwarded(&bytes).count(), parse_node(&bytes), split_list(&bytes).rev().count());
        }
    }
}

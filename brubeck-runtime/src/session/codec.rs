//! The parser of the `cookie` header.

use std::borrow::Cow;

/// A cookie that a client sent, as bytes: names are compared as sent (RFC 6265, section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookiePair<'a> {
    /// Never empty, and without surrounding whitespace.
    pub name: &'a [u8],
    /// Without surrounding whitespace and quotes.
    pub value: &'a [u8],
}

/// Parses the value of a `cookie` header. A pair without a name or without `=` is skipped, and costs no other.
pub fn parse_cookies(line: &[u8]) -> impl Iterator<Item = CookiePair<'_>> {
    line.split(|byte| *byte == b';').filter_map(parse_pair)
}

fn parse_pair(pair: &[u8]) -> Option<CookiePair<'_>> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let name = pair.get(..equals)?.trim_ascii();
    let value = pair.get(equals + 1..)?.trim_ascii();
    let value = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value);
    (!name.is_empty()).then_some(CookiePair { name, value })
}

/// Decodes the value of a cookie: percent-encoded UTF-8. Bytes that are not UTF-8 are replaced.
#[must_use]
pub fn decode_value(value: &[u8]) -> Cow<'_, str> {
    percent_encoding::percent_decode(value).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(line: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse_cookies(line)
            .map(|pair| (text(pair.name), decode_value(pair.value).into_owned()))
            .collect()
    }

    #[test]
    fn bad_pairs_are_skipped_and_the_others_are_kept() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            pairs("a=1; =x; ;;nonsense; b=caf%C3%A9;c=\"q\"; a=2; d= e=f ;%61=3; g=“x”".as_bytes()),
            [
                pair("a", "1"),
                pair("b", "café"),
                pair("c", "q"),
                pair("a", "2"),
                pair("d", "e=f"),
                pair("%61", "3"),
                pair("g", "“x”")
            ]
        );
        assert_eq!(pairs(b"x=\xff; y=1"), [pair("x", "\u{fffd}"), pair("y", "1")]);
        assert_eq!(pairs(b"a=\""), [pair("a", "\"")]);
    }

    proptest! {
        #[test]
        fn valid_pair_is_read_beside_arbitrary_bytes(
            before in proptest::collection::vec(any::<u8>(), 0..30),
            after in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let line = [&before[..], b"; session=v1.a.b; ", &after[..]].concat();
            prop_assert!(pairs(&line).contains(&("session".to_owned(), "v1.a.b".to_owned())));
        }
    }
}

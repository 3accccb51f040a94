//! Parses the path and the query of a request target (RFC 3986, sections 3.3 and 3.4).
//!
//! A path is parsed once, to its canonical form: split at `/`, without dot segments (RFC 3986, section 5.2.4), each segment
//! percent-decoded once. Routes are matched with this form, and handlers get their captures from it, so the text that a handler gets
//! is the text that its pattern has matched. Empty segments stay: `/a//b` has three.
//!
//! An encoded `/` is a character of its segment and not a separator. While a path is matched, [`ENCODED_SLASH`] stands for it.

use std::borrow::Cow;

/// The byte that stands for an encoded `/` while a path is matched. UTF-8 never uses it.
pub const ENCODED_SLASH: u8 = 0xff;

/// `%`, which starts an escape.
const ESCAPE: u8 = 1;
/// `.`, which can be or begin a dot segment.
const DOT: u8 = 2;
/// Bytes that a path cannot contain.
const NOT_IN_PATH: u8 = 4;
/// Bytes that a query cannot contain.
const NOT_IN_QUERY: u8 = 8;

/// The class of each byte. Browsers send `[` and `]` in paths, and some more characters in queries, without encoding them (URL
/// Standard, section 1.3), so these are accepted although RFC 3986 does not allow them.
const CLASSES: [u8; 256] = {
    let mut classes = [NOT_IN_PATH | NOT_IN_QUERY; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'%' => ESCAPE,
            b'.' => DOT,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => 0,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => 0,
            b':' | b'@' | b'/' | b'[' | b']' => 0,
            b'?' | b'{' | b'}' | b'|' | b'\\' | b'^' | b'`' => NOT_IN_PATH,
            _ => NOT_IN_PATH | NOT_IN_QUERY,
        };
        byte += 1;
    }
    classes
};

/// A path in its canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanonicalPath<'a> {
    /// The path was sent in this form.
    AsSent(&'a str),
    /// The path had escapes or dot segments.
    Decoded {
        /// The decoded text, in which an encoded `/` is a `/`.
        text: Box<str>,
        /// The text to match, if the path has an encoded `/`. It has the length of `text`, so positions in it are positions in `text`.
        matched: Option<Box<[u8]>>,
    },
}

impl CanonicalPath<'_> {
    /// Returns the bytes to match.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            CanonicalPath::AsSent(path) => path.as_bytes(),
            CanonicalPath::Decoded { text, matched: None } => text.as_bytes(),
            CanonicalPath::Decoded {
                matched: Some(matched),
                ..
            } => matched,
        }
    }

    /// Returns the decoded text if it differs from the path that was sent. An encoded `/` is a `/` in it.
    #[inline]
    pub(crate) fn into_decoded(self) -> Option<Box<str>> {
        match self {
            CanonicalPath::AsSent(_) => None,
            CanonicalPath::Decoded { text, .. } => Some(text),
        }
    }
}

/// Parses the path of a web request.
///
/// # Errors
///
/// Returns the reason to respond with 400: the path does not begin with `/`, has a character that a URI cannot contain or an invalid
/// escape, or its decoded text has a NUL or is not UTF-8.
#[inline]
pub fn canonical_path(path: &str) -> Result<CanonicalPath<'_>, &'static str> {
    let classes = classes(path);
    if !path.starts_with('/') {
        return Err("the path does not begin with `/`");
    }
    if classes & NOT_IN_PATH != 0 {
        return Err("the path contains a character that must be percent-encoded");
    }
    if classes & ESCAPE == 0
        && (classes & DOT == 0 || !path.split('/').any(|part| matches!(part, "." | "..")))
    {
        return Ok(CanonicalPath::AsSent(path));
    }
    decode_path(path)
}

fn decode_path(path: &str) -> Result<CanonicalPath<'_>, &'static str> {
    let mut matched = Vec::with_capacity(path.len());
    let mut ends_with_dots = false;
    for segment in path.split('/').skip(1) {
        let start = matched.len();
        matched.push(b'/');
        decode_into(segment, &mut matched)?;
        let dots = match matched.get(start + 1..) {
            Some(b".") => 1,
            Some(b"..") => 2,
            _ => 0,
        };
        ends_with_dots = dots > 0;
        if dots > 0 {
            matched.truncate(start);
        }
        if dots > 1 {
            // At the root there is nothing to remove.
            let parent = matched.iter().rposition(|byte| *byte == b'/');
            matched.truncate(parent.unwrap_or(0));
        }
    }
    if ends_with_dots {
        matched.push(b'/');
    }
    decoded(matched).ok_or(NOT_UTF8)
}

const NOT_UTF8: &str = "the percent-encoded path is not UTF-8";

/// Decodes a segment. An encoded `/` becomes [`ENCODED_SLASH`].
fn decode_into(segment: &str, matched: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            matched.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex)) else {
            return Err("a `%` in the path is not followed by two hexadecimal digits");
        };
        matched.push(match high << 4 | low {
            0 => return Err("the path contains a NUL"),
            ENCODED_SLASH => return Err(NOT_UTF8),
            b'/' => ENCODED_SLASH,
            byte => byte,
        });
    }
    Ok(())
}

/// Returns `None` if the text is not UTF-8.
fn decoded(matched: Vec<u8>) -> Option<CanonicalPath<'static>> {
    if !matched.contains(&ENCODED_SLASH) {
        let text = String::from_utf8(matched).ok()?.into();
        return Some(CanonicalPath::Decoded { text, matched: None });
    }
    let text = matched
        .iter()
        .map(|byte| if *byte == ENCODED_SLASH { b'/' } else { *byte })
        .collect();
    Some(CanonicalPath::Decoded {
        text: String::from_utf8(text).ok()?.into(),
        matched: Some(matched.into()),
    })
}

/// Parses the path of a call, which need not be a valid URI: in the dialects of the Python original a path is any text.
///
/// Nothing is refused, and dot segments stay. An escape that is not valid is text, and a path whose decoded text would not be UTF-8 is
/// matched as it was sent.
pub fn call_path(path: &str) -> CanonicalPath<'_> {
    if !path.contains('%') {
        return CanonicalPath::AsSent(path);
    }
    let mut matched = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let escape = match (byte, after) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|digits| (digits, after)),
            _ => None,
        };
        let Some(((high, low), after)) = escape else {
            matched.push(*byte);
            continue;
        };
        rest = after;
        matched.push(match high << 4 | low {
            ENCODED_SLASH => return CanonicalPath::AsSent(path),
            b'/' => ENCODED_SLASH,
            byte => byte,
        });
    }
    decoded(matched).unwrap_or(CanonicalPath::AsSent(path))
}

/// Checks the query of a web request.
///
/// # Errors
///
/// Returns the reason to respond with 400.
#[inline]
pub fn check_query(query: &str) -> Result<(), &'static str> {
    if classes(query) & NOT_IN_QUERY != 0 {
        return Err("the query contains a character that must be percent-encoded");
    }
    Ok(())
}

/// Returns the path of a web request without its dot segments, and otherwise as it was sent.
pub fn without_dot_segments(path: &str) -> String {
    let mut kept = String::with_capacity(path.len());
    let mut ends_with_dots = false;
    for segment in path.split('/').skip(1) {
        let dots = dots(segment);
        ends_with_dots = dots > 0;
        if dots > 1 {
            kept.truncate(kept.rfind('/').unwrap_or(0));
        } else if dots == 0 {
            kept.push('/');
            kept.push_str(segment);
        }
    }
    if ends_with_dots {
        kept.push('/');
    }
    kept
}

/// Returns 1 for the segment `.`, 2 for `..`, also if they are percent-encoded, and 0 for others.
fn dots(segment: &str) -> usize {
    let (mut rest, mut dots) = (segment, 0);
    while !rest.is_empty() {
        let after = rest
            .strip_prefix('.')
            .or_else(|| rest.strip_prefix("%2e"))
            .or_else(|| rest.strip_prefix("%2E"));
        match after {
            Some(after) if dots < 2 => (rest, dots) = (after, dots + 1),
            _ => return 0,
        }
    }
    dots
}

/// Returns the canonical form of a path for logs. An encoded `/` stays encoded, and so does a path that cannot be decoded.
pub fn path_for_log(path: &str) -> Cow<'_, str> {
    match canonical_path(path) {
        Ok(CanonicalPath::Decoded { text, matched: None }) => Cow::Owned(text.into()),
        Ok(CanonicalPath::Decoded {
            matched: Some(matched),
            ..
        }) => {
            let parts: Vec<_> = matched
                .split(|byte| *byte == ENCODED_SLASH)
                .map(String::from_utf8_lossy)
                .collect();
            Cow::Owned(parts.join("%2F"))
        }
        Ok(CanonicalPath::AsSent(_)) | Err(_) => Cow::Borrowed(path),
    }
}

#[inline]
fn classes(text: &str) -> u8 {
    text.bytes()
        .fold(0, |classes, byte| classes | CLASSES[usize::from(byte)])
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the canonical form, with `|` in place of [`ENCODED_SLASH`].
    fn shown(path: CanonicalPath<'_>) -> String {
        String::from_utf8(
            path.bytes()
                .iter()
                .map(|b| if *b == ENCODED_SLASH { b'|' } else { *b })
                .collect(),
        )
        .unwrap()
    }

    #[test]
    fn decodes_each_segment_once() {
        for (sent, canonical) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/%7Ejoe", "/~joe"),
            ("/caf%C3%A9", "/café"),
            ("/caf%c3%a9", "/café"),
            ("/a%20b", "/a b"),
            ("/a+b", "/a+b"),
            ("/a%2Fb%2f", "/a|b|"),
            ("/%252e", "/%2e"),
            ("/%25", "/%"),
            ("/a//b/", "/a//b/"),
            ("/[1]", "/[1]"),
            ("/...", "/..."),
            ("/.a/a./..a", "/.a/a./..a"),
        ] {
            assert_eq!(
                canonical_path(sent).map(shown).as_deref(),
                Ok(canonical),
                "{sent}"
            );
        }
    }

    #[test]
    fn removes_dot_segments() {
        for (sent, canonical) in [
            ("/.", "/"),
            ("/..", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/../../../c", "/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e", "/"),
            ("/a/%2e/b", "/a/b"),
            ("/a//../b", "/a/b"),
            ("/..%2F..%2Fa", "/..|..|a"),
            ("/a%2F../b", "/a|../b"),
        ] {
            assert_eq!(
                canonical_path(sent).map(shown).as_deref(),
                Ok(canonical),
                "{sent}"
            );
            let kept = without_dot_segments(sent);
            assert_eq!(
                canonical_path(&kept).map(shown).as_deref(),
                Ok(canonical),
                "{sent}"
            );
        }
    }

    #[test]
    fn refuses_what_no_uri_contains() {
        let refused = [
            "",
            "*",
            "a",
            "/a b",
            "/caf\u{e9}",
            "/<",
            "/>",
            "/\"",
            "/\\",
            "/^",
            "/`",
            "/{",
            "/|",
            "/}",
            "/#",
            "/?",
            "/%",
            "/%4",
            "/%zz",
            "/%00",
            "/%ff",
            "/%c3",
            "/%c3/%a9",
            "/%ed%a0%80",
            "/\u{7f}",
        ];
        for path in refused {
            assert!(canonical_path(path).is_err(), "{path}");
        }
        assert_eq!(check_query("q={1}|[a]\\^`%zz?/"), Ok(()));
        for query in ["a b", "\u{e9}", "<", ">", "\"", "#"] {
            assert!(check_query(query).is_err(), "{query}");
        }
    }

    #[test]
    fn refuses_nothing_in_the_path_of_a_call() {
        for (sent, canonical) in [
            ("/user/a%2Fb%20c", "/user/a|b c"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/%25zz", "/%zz"),
            ("/%ff/%20", "/%ff/%20"),
            ("/%c3/%20", "/%c3/%20"),
            ("/a/../b", "/a/../b"),
            ("/a/%2e%2e", "/a/.."),
            ("/caf\u{e9} {x}", "/caf\u{e9} {x}"),
            ("", ""),
        ] {
            assert_eq!(shown(call_path(sent)), canonical, "{sent}");
        }
        assert_eq!(call_path("/%00").bytes(), b"/\0");
    }

    #[test]
    fn log_distinguishes_encoded_slash_from_separator() {
        assert_eq!(path_for_log("/a/../caf%C3%A9"), "/caf\u{e9}");
        assert_eq!(path_for_log("/a%2fb/c"), "/a%2Fb/c");
        assert_eq!(path_for_log("/%zz"), "/%zz");
    }

    proptest! {
        #[test]
        fn every_text_is_what_its_encoding_decodes_to(segments in prop::collection::vec("[^\0]{0,6}", 1..4)) {
            prop_assume!(segments.iter().all(|segment| segment != "." && segment != ".."));
            let mut sent = String::new();
            for segment in &segments {
                sent.push('/');
                sent.extend(percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC));
            }
            let canonical = canonical_path(&sent).unwrap();
            let mut expected = Vec::new();
            for segment in &segments {
                expected.push(b'/');
                expected.extend(segment.bytes().map(|byte| if byte == b'/' { ENCODED_SLASH } else { byte }));
            }
            prop_assert_eq!(canonical.bytes(), &expected[..]);
        }

        #[test]
        fn canonical_path_is_decoded_text_without_dot_segments(path in "/(\\PC|%2e|%2F|%[0-9a-fA-F]{2}|\\.|/){0,12}") {
            if let Ok(canonical) = canonical_path(&path) {
                let bytes = canonical.bytes();
                prop_assert!(bytes.starts_with(b"/") && !bytes.contains(&0));
                prop_assert!(bytes.split(|byte| *byte == b'/').all(|part| part != b"." && part != b".."));
                for part in bytes.split(|byte| *byte == ENCODED_SLASH) {
                    prop_assert!(std::str::from_utf8(part).is_ok());
                }
                let kept = without_dot_segments(&path);
                let again = canonical_path(&kept).unwrap();
                prop_assert_eq!(again.bytes(), bytes);
            }
        }
    }
}

//! The trace context of a message, in the format of W3C Trace Context.

use crate::message::Message;
use http::HeaderMap;
use std::collections::HashSet;
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The length of a `tracestate`, in bytes, that is propagated whole. A longer one loses members (Trace Context, section 3.3.1.5).
const MAX_TRACESTATE: usize = 512;

/// Members longer than this are the first that a long `tracestate` loses.
const LONG_MEMBER: usize = 128;

/// The maximum number of members of a `tracestate`.
const MAX_MEMBERS: usize = 32;

/// The flags that are known and propagated: `sampled`, and `random` of Trace Context Level 2. All others are sent as 0.
const KNOWN_FLAGS: u8 = SAMPLED | 0x02;
const SAMPLED: u8 = 0x01;

/// The trace context of a message, as a handler argument: its `traceparent` and `tracestate` of [W3C Trace Context].
///
/// ```
/// use brubeck::Trace;
/// use brubeck::prelude::*;
///
/// #[get("^/$")]
/// async fn index(trace: Trace) -> String {
///     format!("trace ID for support: {}", trace.id())
/// }
/// ```
///
/// If a browser, a proxy or a caller sends a valid trace context, the message belongs to that trace; otherwise the
/// application starts a new trace, which is not marked as sampled unless [`App::sample_traces`](crate::App::sample_traces) says so. Calls that a handler makes in brubeck's protocol propagate the trace, each with a span of
/// its own, so that all processes that work on a request share one trace. The dialects of the Python original do not transmit
/// the trace context.
///
/// [W3C Trace Context]: https://www.w3.org/TR/trace-context/
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    id: NonZeroU128,
    span: NonZeroU64,
    flags: u8,
    state: Box<str>,
}

impl Trace {
    /// Parses the two headers. Returns `None` if `traceparent` is not valid.
    ///
    /// ```
    /// use brubeck::Trace;
    ///
    /// let trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "").unwrap();
    /// assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// assert_eq!(trace.span(), "00f067aa0ba902b7");
    /// ```
    ///
    /// Of the flags, `sampled` and `random` are kept. An invalid `tracestate` is dropped as a whole; one of more than 512 bytes loses its
    /// members of more than 128 bytes, and then the last ones, until it fits.
    pub fn parse(traceparent: &str, tracestate: &str) -> Option<Trace> {
        let mut parts = traceparent.split('-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = parse_hex(version)?;
        // Version ff is invalid. Version 00 has exactly four fields; later versions may append others.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let [flags] = parse_hex(flags)?;
        Some(Trace {
            id: NonZeroU128::new(u128::from_be_bytes(parse_hex(id)?))?,
            span: NonZeroU64::new(u64::from_be_bytes(parse_hex(span)?))?,
            flags: flags & KNOWN_FLAGS,
            state: valid_tracestate(tracestate).into(),
        })
    }

    /// Starts a new trace.
    pub(crate) fn new_root(is_sampled: bool) -> Trace {
        let high = u128::from(random_id().get()) << 64;
        Trace {
            id: NonZeroU128::from(random_id()) | high,
            span: random_id(),
            flags: if is_sampled { SAMPLED } else { 0 },
            state: "".into(),
        }
    }

    /// Returns a child span with a new ID.
    pub(crate) fn child(&self) -> Trace {
        Trace {
            span: random_id(),
            ..self.clone()
        }
    }

    /// Returns the trace context of a message. Returns `None` if the message has no valid one.
    pub(crate) fn from_message(message: &Message) -> Option<Trace> {
        let call = message.call_meta();
        call.and_then(|call| Trace::parse(&call.traceparent, &call.tracestate))
            .or_else(|| Trace::from_headers(message.headers()))
    }

    /// Reads the headers. Several `traceparent` are no context, and several `tracestate` are one list.
    fn from_headers(headers: &HeaderMap) -> Option<Trace> {
        let mut parents = headers.get_all("traceparent").iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else {
            return None;
        };
        let states: Result<Vec<&str>, _> = headers
            .get_all("tracestate")
            .iter()
            .map(|state| state.to_str())
            .collect();
        Trace::parse(parent.to_str().ok()?, &states.unwrap_or_default().join(","))
    }

    /// Returns the trace ID as a number.
    pub(crate) fn number(&self) -> u128 {
        self.id.get()
    }

    /// Returns the trace ID as 32 hexadecimal digits.
    ///
    /// ```
    /// # use brubeck::Trace;
    /// let trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1").unwrap();
    /// assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// ```
    pub fn id(&self) -> String {
        hex_string(|text| push_hex(text, self.id.get().to_be_bytes()))
    }

    /// Returns the ID of the span of the caller, as 16 hexadecimal digits: the `parent-id` of the `traceparent` that the message had.
    ///
    /// ```
    /// # use brubeck::Trace;
    /// let trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1").unwrap();
    /// assert_eq!(trace.span(), "00f067aa0ba902b7");
    /// ```
    ///
    /// If the message had no trace context, it is a new ID. Each call that the handler makes has another new ID.
    pub fn span(&self) -> String {
        hex_string(|text| push_hex(text, self.span.get().to_be_bytes()))
    }

    /// Returns the value of the `traceparent` header.
    ///
    /// ```
    /// # use brubeck::Trace;
    /// let trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1").unwrap();
    /// assert_eq!(trace.traceparent(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    /// ```
    pub fn traceparent(&self) -> String {
        hex_string(|text| {
            text.extend_from_slice(b"00-");
            push_hex(text, self.id.get().to_be_bytes());
            text.push(b'-');
            push_hex(text, self.span.get().to_be_bytes());
            text.push(b'-');
            push_hex(text, [self.flags]);
        })
    }

    /// Returns the value of the `tracestate` header. It is empty if the header is missing or invalid.
    ///
    /// ```
    /// # use brubeck::Trace;
    /// let trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1").unwrap();
    /// assert_eq!(trace.tracestate(), "vendor=1");
    /// ```
    pub fn tracestate(&self) -> &str {
        &self.state
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({})", self.traceparent())
    }
}

/// Returns the list of vendors, without its empty members and shortened to 512 bytes. Returns an empty text if the list is invalid.
fn valid_tracestate(text: &str) -> String {
    let members: Vec<&str> = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .collect();
    let mut keys = HashSet::new();
    let is_valid = members.len() <= MAX_MEMBERS
        && members.iter().all(|member| {
            member
                .split_once('=')
                .is_some_and(|(key, value)| is_key(key) && is_value(value) && keys.insert(key))
        });
    if !is_valid {
        return String::new();
    }
    let mut kept = members.join(",");
    if kept.len() > MAX_TRACESTATE {
        let short = members.into_iter().filter(|member| member.len() <= LONG_MEMBER);
        kept = short.collect::<Vec<_>>().join(",");
    }
    while kept.len() > MAX_TRACESTATE {
        kept.truncate(kept.rfind(',').unwrap_or(0));
    }
    kept
}

/// Returns `true` for a key of Trace Context Level 2, which includes the keys with `@` of Level 1.
fn is_key(key: &str) -> bool {
    let is_start = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_rest = |byte: u8| is_start(&byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= 256 && key.as_bytes().first().is_some_and(is_start) && key.bytes().all(is_rest)
}

/// Returns `true` for visible ASCII characters and spaces, but no `=`. A `,` separates members, and spaces at the end are removed before.
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

/// Parses exactly `2 * N` hexadecimal digits. The standard allows lower case only.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Builds a string of hexadecimal fields.
///
/// Every call writes a trace context, and `std::fmt` takes several times as long.
fn hex_string(write: impl FnOnce(&mut Vec<u8>)) -> String {
    // The length of a `traceparent`, the longest of these strings.
    let mut text = Vec::with_capacity(55);
    write(&mut text);
    // Digits and dashes are valid UTF-8.
    String::from_utf8(text).unwrap_or_default()
}

fn push_hex<const N: usize>(text: &mut Vec<u8>, bytes: [u8; N]) {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    let digits = bytes.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    text.extend_from_slice(digits.as_flattened());
}

/// Returns an ID that another process is unlikely to use. It may be predictable, because IDs of traces protect nothing.
fn random_id() -> NonZeroU64 {
    static START: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    // Without random numbers two processes may use the same IDs, which is no reason to fail a request.
    let start = *START.get_or_init(|| getrandom::u64().unwrap_or(STEP));
    // This is splitmix64: it returns each number once in 2^64 calls.
    let mut n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(STEP));
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    NonZeroU64::new(n ^ (n >> 31)).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn round_trips_traceparent() {
        let trace = Trace::parse(PARENT, "a=b").unwrap();
        assert_eq!(
            (trace.traceparent().as_str(), trace.tracestate()),
            (PARENT, "a=b")
        );
        for is_sampled in [false, true] {
            let root = Trace::new_root(is_sampled);
            assert_eq!(root.traceparent().ends_with("-01"), is_sampled);
            assert_eq!(Trace::parse(&root.traceparent(), ""), Some(root));
        }
    }

    #[test]
    fn rejects_invalid_traceparent() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Trace::parse(text, ""), None, "{text}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(Trace::parse(later, "").unwrap().traceparent(), PARENT);
    }

    #[test]
    fn unknown_flags_are_not_propagated() {
        for (version, flags, expected) in [
            ("00", "00", "00"),
            ("00", "01", "01"),
            ("00", "ff", "03"),
            ("00", "fe", "02"),
            ("cc", "09", "01"),
        ] {
            let text = format!("{version}-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            let parent = Trace::parse(&text, "").unwrap().traceparent();
            assert_eq!(parent, format!("00{}-{expected}", &text[2..52]), "{text}");
        }
    }

    #[test]
    fn tracestate_is_a_valid_list_or_nothing() {
        let long_key = "a".repeat(257);
        let many = |count: usize| {
            (0..count)
                .map(|n| format!("a{n}=1"))
                .collect::<Vec<_>>()
                .join(",")
        };
        for (state, expected) in [
            ("a=1", "a=1"),
            (" a=1 ,\tb=2,, ", "a=1,b=2"),
            ("a= 1", "a= 1"),
            ("0tenant@v-e_n*d/or=x!~", "0tenant@v-e_n*d/or=x!~"),
            (&many(32), &many(32)),
            ("", ""),
            ("foo", ""),
            ("foo=", ""),
            ("=1", ""),
            ("A=1", ""),
            ("@a=1", ""),
            ("a =1", ""),
            ("a=1,a=2", ""),
            ("a=1=2", ""),
            ("a=\u{7f}", ""),
            ("a=é", ""),
            ("a=1,foo", ""),
            (&format!("{long_key}=1"), ""),
            (&format!("a={long_key}"), ""),
            (&many(33), ""),
        ] {
            let trace = Trace::parse(PARENT, state).unwrap();
            assert_eq!(trace.tracestate(), expected, "{state}");
        }
    }

    #[test]
    fn long_tracestate_loses_long_members_and_then_the_last() {
        let member = |key: &str, length: usize| format!("{key}={}", "x".repeat(length - 2));
        let state = |members: &[String]| {
            let trace = Trace::parse(PARENT, &members.join(",")).unwrap();
            trace.tracestate().to_owned()
        };
        let fits = [member("a", 200), member("b", 200), member("c", 110)];
        assert_eq!(state(&fits), fits.join(","));
        let long = [member("a", 129), member("b", 128), member("c", 256)];
        assert_eq!(state(&long), long[1]);
        let short = ["a", "b", "c", "d", "e"].map(|key| member(key, 128));
        assert_eq!(state(&short), short[..3].join(","));
    }

    #[test]
    fn headers_are_combined() {
        let trace = |lines: &[(&'static str, &str)]| {
            let lines = lines
                .iter()
                .map(|(name, value)| ((*name).try_into().unwrap(), value.parse().unwrap()));
            Trace::from_headers(&lines.collect::<HeaderMap>()).map(|trace| trace.tracestate().to_owned())
        };
        let parent = ("traceparent", PARENT);
        assert_eq!(trace(&[parent]), Some(String::new()));
        assert_eq!(trace(&[parent, parent]), None);
        assert_eq!(trace(&[("tracestate", "a=1")]), None);
        let both = trace(&[parent, ("tracestate", "a=1"), ("tracestate", "b=2")]);
        assert_eq!(both, Some("a=1,b=2".to_owned()));
        let doubled = trace(&[parent, ("tracestate", "a=1"), ("tracestate", "a=2")]);
        assert_eq!(doubled, Some(String::new()));
    }

    #[test]
    fn child_has_same_trace_and_new_span() {
        let (parent, child) = (Trace::new_root(true), Trace::new_root(true).child());
        assert_ne!(parent.id(), child.id());
        let child = parent.child();
        assert_eq!(parent.id(), child.id());
        assert_ne!(parent.span(), child.span());
    }
}

//! The trace context of a message, in the format of W3C Trace Context.

use crate::message::Message;
use http::HeaderMap;
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum length, in bytes, of a `tracestate` that is propagated. The standard permits dropping a longer one.
const MAX_TRACESTATE: usize = 512;

/// The trace context of a message, as a handler argument: its `traceparent` and `tracestate` of [W3C Trace Context].
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::Trace;
///
/// #[get("^/$")]
/// async fn index(trace: Trace) -> String {
///     format!("trace ID for support: {}", trace.id())
/// }
/// ```
///
/// If a browser, a proxy or a caller sends a valid trace context, the message belongs to that trace; otherwise the
/// application starts a new trace. Calls that a handler makes in brubeck's protocol propagate the trace, each with a span of
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
    /// A `tracestate` of more than 512 bytes is dropped.
    ///
    /// ```
    /// use brubeck::Trace;
    ///
    /// let trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "").unwrap();
    /// assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    /// assert_eq!(trace.span(), "00f067aa0ba902b7");
    /// ```
    pub fn parse(traceparent: &str, tracestate: &str) -> Option<Trace> {
        let mut parts = traceparent.split('-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = parse_hex(version)?;
        // Version ff is invalid. Version 00 has exactly four fields; later versions may append others.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let [flags] = parse_hex(flags)?;
        let state = if tracestate.len() <= MAX_TRACESTATE {
            tracestate
        } else {
            ""
        };
        Some(Trace {
            id: NonZeroU128::new(u128::from_be_bytes(parse_hex(id)?))?,
            span: NonZeroU64::new(u64::from_be_bytes(parse_hex(span)?))?,
            flags,
            state: state.into(),
        })
    }

    /// Starts a new trace, which is marked as sampled.
    pub(crate) fn new_root() -> Trace {
        let high = u128::from(random_id().get()) << 64;
        Trace {
            id: NonZeroU128::from(random_id()) | high,
            span: random_id(),
            flags: 1,
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

    /// Returns the trace context of a message, or a new trace if the message has no valid one.
    pub(crate) fn from_message(message: &Message) -> Trace {
        let call = message.call_meta();
        call.and_then(|call| Trace::parse(&call.traceparent, &call.tracestate))
            .or_else(|| Trace::from_headers(message.headers()))
            .unwrap_or_else(Trace::new_root)
    }

    fn from_headers(headers: &HeaderMap) -> Option<Trace> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Trace::parse(text("traceparent")?, text("tracestate").unwrap_or_default())
    }

    /// Returns the trace ID as 32 hexadecimal digits.
    pub fn id(&self) -> String {
        hex_string(|text| push_hex(text, self.id.get().to_be_bytes()))
    }

    /// Returns the span ID as 16 hexadecimal digits.
    pub fn span(&self) -> String {
        hex_string(|text| push_hex(text, self.span.get().to_be_bytes()))
    }

    /// Returns the value of the `traceparent` header.
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

    /// Returns the value of the `tracestate` header, which is empty if the header is missing or longer than 512 bytes.
    pub fn tracestate(&self) -> &str {
        &self.state
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({})", self.traceparent())
    }
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
        let root = Trace::new_root();
        assert_eq!(Trace::parse(&root.traceparent(), ""), Some(root));
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
    fn drops_long_tracestate() {
        let long = "a".repeat(MAX_TRACESTATE + 1);
        assert_eq!(Trace::parse(PARENT, &long).unwrap().tracestate(), "");
    }

    #[test]
    fn child_has_same_trace_and_new_span() {
        let (parent, child) = (Trace::new_root(), Trace::new_root().child());
        assert_ne!(parent.id(), child.id());
        let child = parent.child();
        assert_eq!(parent.id(), child.id());
        assert_ne!(parent.span(), child.span());
    }
}

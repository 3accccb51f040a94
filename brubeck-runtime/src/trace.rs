//! Which trace a message belongs to, as W3C Trace Context says it.

use crate::message::Message;
use http::HeaderMap;
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest `tracestate` that is passed on, in bytes; a longer one is left out, as the standard allows.
const MAX_STATE: usize = 512;

/// Where a message stands in a trace: its `traceparent` and `tracestate`, as [W3C Trace Context] defines them.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::Trace;
///
/// #[get("^/$")]
/// async fn index(trace: Trace) -> String {
///     format!("the log has more under {}", trace.id())
/// }
/// ```
///
/// A browser or proxy may send one; otherwise the application begins a trace. Calls to services pass it on, each as
/// a span of its own, so what happens in other processes belongs to the same trace.
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
    /// Reads the two headers; `None` where the first is not valid.
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
        let [version] = hexadecimal(version)?;
        // Later versions may say more behind what this one says.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let [flags] = hexadecimal(flags)?;
        let state = if tracestate.len() <= MAX_STATE {
            tracestate
        } else {
            ""
        };
        Some(Trace {
            id: NonZeroU128::new(u128::from_be_bytes(hexadecimal(id)?))?,
            span: NonZeroU64::new(u64::from_be_bytes(hexadecimal(span)?))?,
            flags,
            state: state.into(),
        })
    }

    /// Begins a trace.
    pub(crate) fn new_root() -> Trace {
        let high = u128::from(number().get()) << 64;
        Trace {
            id: NonZeroU128::from(number()) | high,
            span: number(),
            flags: 1,
            state: "".into(),
        }
    }

    /// A span below this one.
    pub(crate) fn child(&self) -> Trace {
        Trace {
            span: number(),
            ..self.clone()
        }
    }

    /// The one a message says it belongs to, or else a new one.
    pub(crate) fn from_message(message: &Message) -> Trace {
        let call = message.call();
        call.and_then(|call| Trace::parse(&call.traceparent, &call.tracestate))
            .or_else(|| Trace::said(message.headers()))
            .unwrap_or_else(Trace::new_root)
    }

    fn said(headers: &HeaderMap) -> Option<Trace> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Trace::parse(text("traceparent")?, text("tracestate").unwrap_or_default())
    }

    /// The trace, in 32 hexadecimal digits.
    pub fn id(&self) -> String {
        hexadecimal_text(|text| push_hexadecimal(text, self.id.get().to_be_bytes()))
    }

    /// The span within it, in 16 hexadecimal digits.
    pub fn span(&self) -> String {
        hexadecimal_text(|text| push_hexadecimal(text, self.span.get().to_be_bytes()))
    }

    /// The value of the header `traceparent`.
    pub fn traceparent(&self) -> String {
        hexadecimal_text(|text| {
            text.extend_from_slice(b"00-");
            push_hexadecimal(text, self.id.get().to_be_bytes());
            text.push(b'-');
            push_hexadecimal(text, self.span.get().to_be_bytes());
            text.push(b'-');
            push_hexadecimal(text, [self.flags]);
        })
    }

    /// The value of the header `tracestate`; may be empty.
    pub fn tracestate(&self) -> &str {
        &self.state
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({})", self.traceparent())
    }
}

/// The bytes that exactly so many digits stand for; lower case only, as the standard wants it.
fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
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

/// Appends two digits for each byte: every call writes a trace, and the formatter takes much longer.
fn hexadecimal_text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    // As long as the longest, a `traceparent`.
    let mut text = Vec::with_capacity(55);
    write(&mut text);
    // Digits and dashes are text.
    String::from_utf8(text).unwrap_or_default()
}

fn push_hexadecimal<const N: usize>(text: &mut Vec<u8>, bytes: [u8; N]) {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    let digits = bytes.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    text.extend_from_slice(digits.as_flattened());
}

/// A number that no other process is likely to choose. It names spans; it guards nothing.
fn number() -> NonZeroU64 {
    static START: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    // Without random numbers spans of two processes may have one name, which is not worth failing for.
    let start = *START.get_or_init(|| getrandom::u64().unwrap_or(STEP));
    // The generator splitmix64: each number comes once in 2^64.
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
    fn reads_what_it_writes() {
        let trace = Trace::parse(PARENT, "a=b").unwrap();
        assert_eq!(
            (trace.traceparent().as_str(), trace.tracestate()),
            (PARENT, "a=b")
        );
        let begun = Trace::new_root();
        assert_eq!(Trace::parse(&begun.traceparent(), ""), Some(begun));
    }

    #[test]
    fn what_is_not_valid_begins_no_trace() {
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
    fn a_state_that_is_too_long_is_left_out() {
        let long = "a".repeat(MAX_STATE + 1);
        assert_eq!(Trace::parse(PARENT, &long).unwrap().tracestate(), "");
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let (parent, child) = (Trace::new_root(), Trace::new_root().child());
        assert_ne!(parent.id(), child.id());
        let child = parent.child();
        assert_eq!(parent.id(), child.id());
        assert_ne!(parent.span(), child.span());
    }
}

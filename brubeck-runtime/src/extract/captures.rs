//! The captures of a path, and the types that can be parsed from them.

use super::text_value::boolean;
use std::ops::Range;
use std::str::FromStr;

/// The number of captures that are stored without an allocation. Most routes have at most one, and a larger number would make
/// every request larger.
const INLINE_CAPTURES: usize = 1;

/// The positions of the captures of a route in the path.
#[derive(Clone, Debug)]
pub(crate) enum Captures {
    Inline([Span; INLINE_CAPTURES]),
    Heap(Box<[Span]>),
}

/// The byte range of one capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// [`ABSENT`] if the group did not participate in the match.
    end: u32,
}

const ABSENT: u32 = u32::MAX;

impl Span {
    const NONE: Span = Span {
        start: ABSENT,
        end: ABSENT,
    };
}

impl Default for Captures {
    fn default() -> Captures {
        Captures::Inline([Span::NONE; INLINE_CAPTURES])
    }
}

impl Captures {
    /// Returns `count` captures, all of them absent.
    pub(crate) fn absent(count: usize) -> Captures {
        if count <= INLINE_CAPTURES {
            Captures::default()
        } else {
            Captures::Heap(vec![Span::NONE; count].into())
        }
    }

    /// Returns the byte range of a capture. Returns `None` if its group did not participate in the match.
    pub(crate) fn get(&self, index: usize) -> Option<Range<usize>> {
        let span = self.spans().get(index)?;
        (span.end != ABSENT).then_some(span.start as usize..span.end as usize)
    }

    pub(crate) fn set_start(&mut self, index: usize, at: usize) {
        if let Some(span) = self.span_mut(index) {
            span.start = to_offset(at);
        }
    }

    pub(crate) fn set_end(&mut self, index: usize, at: usize) {
        if let Some(span) = self.span_mut(index) {
            span.end = to_offset(at);
        }
    }

    /// Moves the captures that are present by this number of bytes.
    pub(crate) fn moved_by(mut self, bytes: usize) -> Captures {
        let spans: &mut [Span] = match &mut self {
            Captures::Inline(spans) => spans,
            Captures::Heap(spans) => spans,
        };
        for span in spans.iter_mut().filter(|span| span.end != ABSENT) {
            span.start = to_offset(span.start as usize + bytes);
            span.end = to_offset(span.end as usize + bytes);
        }
        self
    }

    fn spans(&self) -> &[Span] {
        match self {
            Captures::Inline(spans) => spans,
            Captures::Heap(spans) => spans,
        }
    }

    fn span_mut(&mut self, index: usize) -> Option<&mut Span> {
        match self {
            Captures::Inline(spans) => spans.get_mut(index),
            Captures::Heap(spans) => spans.get_mut(index),
        }
    }
}

/// Converts a position. A path of 4 GiB or more is never accepted; its captures would be absent.
fn to_offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(ABSENT)
}

/// Types that can be parsed from a capture of the route pattern.
///
/// An argument is bound to the capture of the same name.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get(r"^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$")]
/// async fn user(id: u64, tab: Option<String>) -> String {
///     format!("user {id}, {}", tab.unwrap_or_default())
/// }
/// ```
///
/// Implemented for every type that implements [`FromStr`]. The text is percent-decoded, and it is the text that the group of the
/// pattern has matched. It becomes a value by the same [rule](crate::Query#how-text-becomes-a-value) as in a query, so a `bool` can
/// also be `on`, `off`, `1` or `0`. A capture that may be absent from a matching path requires an `Option`.
///
/// Rejects with 404 if the text cannot be parsed, for example `99999999999999999999` as a `u64`, because no
/// resource exists at such a path.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a path capture",
    label = "this argument is named like a capture of the route pattern",
    note = "implement `FromStr` for `{Self}`, or rename the argument if it should not come from the path"
)]
pub trait FromCapture: Sized {
    /// Parses the text of the capture. Returns `None` if the text is not valid for this type.
    fn from_capture(text: &str) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr> FromCapture for T {
    fn from_capture(text: &str) -> Option<T> {
        // `bool` parses `true` and `false` only.
        let other_form = || match boolean(text)? {
            true => "true".parse().ok(),
            false => "false".parse().ok(),
        };
        text.parse().ok().or_else(other_form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_is_absent_until_its_end_is_set() {
        for count in 1..5 {
            let mut captures = Captures::absent(count);
            assert_eq!(captures.get(count - 1), None);
            captures.set_start(count - 1, 3);
            assert_eq!(captures.get(count - 1), None);
            captures.set_end(count - 1, 3);
            assert_eq!(captures.get(count - 1), Some(3..3));
            assert_eq!(captures.get(count), None);
        }
    }
}

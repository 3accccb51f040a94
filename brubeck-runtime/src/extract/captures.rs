//! The captures of a path, and the types that they are read as.

use std::ops::Range;
use std::str::FromStr;

/// So many captures, as many as most routes have at most, need no memory of their own; more would make room for them in
/// every request.
const FEW: usize = 1;

/// Where the captures of a route lie in the path.
#[derive(Clone, Debug)]
pub(crate) enum Captures {
    /// Those that are not there are absent.
    Few([Span; FEW]),
    /// One for each capture of the route.
    Many(Box<[Span]>),
}

/// Where one capture lies; it may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// `ABSENT` where the group took no part in the match.
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
        Captures::Few([Span::NONE; FEW])
    }
}

impl Captures {
    /// So many captures, all of them absent.
    pub(crate) fn absent(count: usize) -> Captures {
        match count <= FEW {
            true => Captures::default(),
            false => Captures::Many(vec![Span::NONE; count].into()),
        }
    }

    /// The bytes of the capture with this index; `None` where its group took no part in the match.
    pub(crate) fn get(&self, index: usize) -> Option<Range<usize>> {
        let span = self.spans().get(index)?;
        (span.end != ABSENT).then_some(span.start as usize..span.end as usize)
    }

    pub(crate) fn set_start(&mut self, index: usize, at: usize) {
        if let Some(span) = self.span(index) {
            span.start = place(at);
        }
    }

    pub(crate) fn set_end(&mut self, index: usize, at: usize) {
        if let Some(span) = self.span(index) {
            span.end = place(at);
        }
    }

    fn spans(&self) -> &[Span] {
        match self {
            Captures::Few(spans) => spans,
            Captures::Many(spans) => spans,
        }
    }

    fn span(&mut self, index: usize) -> Option<&mut Span> {
        match self {
            Captures::Few(spans) => spans.get_mut(index),
            Captures::Many(spans) => spans.get_mut(index),
        }
    }
}

/// No path of so many bytes is ever taken in; of one that were, nothing would be captured.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(ABSENT)
}

/// A handler argument that comes from a capture of the route pattern, by its name.
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
/// Implemented for everything that is [`FromStr`]. The text is percent-decoded. A capture that does not parse
/// (`99999999999999999999` is no `u64`) is answered with 404: there is nothing at such a path. A capture that
/// may be absent from a matching path is an `Option`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a path capture",
    label = "this argument is named like a capture of the route pattern",
    note = "implement `FromStr` for `{Self}`, or rename the argument if it should not come from the path"
)]
pub trait FromCapture: Sized {
    /// Reads the text of the capture; `None` where it is none of these values.
    fn from_capture(text: &str) -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: FromStr> FromCapture for T {
    fn from_capture(text: &str) -> Option<T> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_there_once_it_has_ended() {
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

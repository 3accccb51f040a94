//! How a WebSocket ends.

use std::borrow::Cow;
use std::fmt;

/// Why a WebSocket was closed, as one end tells the other (RFC 6455, 7.4).
///
/// ```
/// use brubeck::Close;
///
/// let close = Close::new(4001, "the game is over");
/// assert_eq!(close.to_string(), "4001 the game is over");
/// assert_eq!(Close::NORMAL.code(), 1000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    code: u16,
    reason: Cow<'static, str>,
}

/// The longest reason: a close is a control frame of at most 125 bytes, of which the code takes two.
const LONGEST: usize = 123;

impl Close {
    /// 1000: all was said.
    pub const NORMAL: Close = Close::of(1000);
    /// 1001: the server stops, or the page was left.
    pub const AWAY: Close = Close::of(1001);
    /// 1002: the peer does not keep to the protocol.
    pub const PROTOCOL: Close = Close::of(1002);
    /// 1005: the peer gave no code. Never sent.
    pub const NONE: Close = Close::of(1005);
    /// 1006: the connection broke without a close. Never sent.
    pub const BROKEN: Close = Close::of(1006);
    /// 1007: a text that is not UTF-8, or a message that cannot be inflated.
    pub const NOT_UTF8: Close = Close::of(1007);
    /// 1008: a message came that is not allowed here, or too many at once.
    pub const POLICY: Close = Close::of(1008);
    /// 1009: the message is too large.
    pub const TOO_LARGE: Close = Close::of(1009);
    /// 1011: the handler failed.
    pub const FAILED: Close = Close::of(1011);

    const fn of(code: u16) -> Close {
        Close {
            code,
            reason: Cow::Borrowed(""),
        }
    }

    /// A code and a reason. Codes of one's own are 4000 to 4999; one that may not be sent becomes 1000.
    /// The reason is cut to 123 bytes.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Close {
        let mut reason = reason.into();
        if reason.len() > LONGEST {
            let end = (0..=LONGEST)
                .rev()
                .find(|end| reason.is_char_boundary(*end))
                .unwrap_or(0);
            reason.to_mut().truncate(end);
        }
        Close {
            code: if is_sent(code) { code } else { 1000 },
            reason,
        }
    }

    /// The code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason in words, often empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Whether a code may stand in a close frame.
pub(crate) const fn is_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.reason)
    }
}

/// A WebSocket that is closed takes no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the WebSocket is closed")
    }
}

impl std::error::Error for Closed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_sent_is_not() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(Close::new(code, "").code(), 1000, "{code}");
        }
        assert_eq!(Close::new(4000, "").code(), 4000);
        let long = Close::new(1000, "ü".repeat(100));
        assert_eq!(long.reason().len(), 122);
    }
}

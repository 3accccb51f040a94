//! The close codes of WebSockets, and the error of a closed WebSocket.

use std::borrow::Cow;
use std::fmt;

/// The status code and reason of a closed WebSocket (RFC 6455, section 7.4).
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

/// The limit for the reason: the payload of a control frame has at most 125 bytes, and the code takes two of them.
const MAX_REASON_BYTES: usize = 123;

impl Close {
    /// 1000: the connection has served its purpose.
    pub const NORMAL: Close = Close::of(1000);
    /// 1001: the server shuts down, or the browser has left the page.
    pub const AWAY: Close = Close::of(1001);
    /// 1002: the peer has violated the protocol.
    pub const PROTOCOL: Close = Close::of(1002);
    /// 1005: the peer closed without a code. Never sent.
    pub const NONE: Close = Close::of(1005);
    /// 1006: the connection was lost, or the client did not respond, so there was no closing handshake. Never sent.
    pub const BROKEN: Close = Close::of(1006);
    /// 1007: a text message is not UTF-8, or a compressed message cannot be decompressed.
    pub const NOT_UTF8: Close = Close::of(1007);
    /// 1008: a message is not allowed here.
    ///
    /// brubeck itself uses it if the client does not read the messages of a [`Broadcast`](crate::Broadcast), or sends more messages than the
    /// handler receives (Mongrel2). The reason says which.
    pub const POLICY: Close = Close::of(1008);
    /// 1009: a message exceeds the limit.
    pub const TOO_LARGE: Close = Close::of(1009);
    /// 1011: the handler returned an error or panicked.
    pub const FAILED: Close = Close::of(1011);

    const fn of(code: u16) -> Close {
        Close::with_reason(code, "")
    }

    /// Creates a close with a valid code and a reason of at most 123 bytes.
    pub(crate) const fn with_reason(code: u16, reason: &'static str) -> Close {
        Close {
            code,
            reason: Cow::Borrowed(reason),
        }
    }

    /// Creates a close with a code and a reason.
    ///
    /// ```
    /// use brubeck::Close;
    ///
    /// let close = Close::new(4001, "the game is over");
    /// assert_eq!((close.code(), close.reason()), (4001, "the game is over"));
    /// ```
    ///
    /// Applications can use the codes 4000 to 4999. A code that must not be sent, such as 1005, is replaced by 1000. The reason is truncated
    /// to at most 123 bytes, between two characters.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Close {
        let mut reason = reason.into();
        if reason.len() > MAX_REASON_BYTES {
            let end = (0..=MAX_REASON_BYTES)
                .rev()
                .find(|end| reason.is_char_boundary(*end))
                .unwrap_or(0);
            reason.to_mut().truncate(end);
        }
        Close {
            code: if is_sendable(code) { code } else { 1000 },
            reason,
        }
    }

    /// Returns the code.
    ///
    /// ```
    /// assert_eq!(brubeck::Close::NORMAL.code(), 1000);
    /// ```
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the reason, which is often empty.
    ///
    /// ```
    /// assert_eq!(brubeck::Close::new(4000, "see you later").reason(), "see you later");
    /// ```
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Returns `true` if a close frame may contain the code (RFC 6455, section 7.4.2, and the IANA registry).
pub(crate) const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.reason)
    }
}

/// The error of sending to a WebSocket that is closed.
///
/// ```
/// use brubeck::prelude::*;
///
/// async fn notify(sender: SocketSender) {
///     if let Err(closed) = sender.send("news").await {
///         println!("not sent: {closed}"); // not sent: the WebSocket is closed
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    fn replaces_codes_that_must_not_be_sent_and_truncates_reason() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(Close::new(code, "").code(), 1000, "{code}");
        }
        assert_eq!(Close::new(4000, "").code(), 4000);
        let long = Close::new(1000, "ü".repeat(100));
        assert_eq!(long.reason().len(), 122);
    }
}

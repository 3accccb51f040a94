//! A point in time as the peer wrote it.

use bytes::Bytes;

/// Milliseconds since 1970 as text, kept as it came.
///
/// Peers write what they like here, some of them seconds; a text that is no number counts as absent.
///
/// ```
/// use brubeck_runtime::wire::service::Timestamp;
///
/// assert_eq!(Timestamp::from_millis(1_795_470_575_047).millis(), Some(1_795_470_575_047));
/// assert_eq!(Timestamp::from_text("None").millis(), None);
/// assert_eq!(Timestamp::default().millis(), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timestamp(Bytes);

impl Timestamp {
    /// A timestamp of so many milliseconds since 1970.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.to_string().into())
    }

    /// A timestamp as a peer wrote it.
    #[must_use]
    pub fn from_text(text: impl Into<Bytes>) -> Self {
        Self(text.into())
    }

    /// Milliseconds since 1970; `None` if the text is no number, or `0`, which stands for "absent" where a peer needs a
    /// number.
    #[must_use]
    pub fn millis(&self) -> Option<u64> {
        if !self.0.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(&self.0)
            .ok()?
            .parse()
            .ok()
            .filter(|&millis| millis != 0)
    }

    /// The text on the wire.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

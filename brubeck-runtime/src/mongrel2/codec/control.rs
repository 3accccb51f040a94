//! Replies to Mongrel2 itself: the extended reply `ctl`.

use std::borrow::Cow;

use bytes::BytesMut;

use super::reply::{MAX_TARGETS, Replies, addressed};
use crate::codec::EncodeError;
use crate::codec::tnetstring::{self, Value};

/// What Mongrel2 shall do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Reset the idle timer; without it a quiet connection is dropped after about two minutes.
    KeepAlive,
    /// Allow so many more bytes of a streamed upload.
    Credits(u32),
    /// Drop the client now. No notice follows.
    Cancel,
}

/// Tells Mongrel2 what to do with the connections `ids` of the server `ident`.
///
/// ```
/// use brubeck_runtime::wire::mongrel2::{Control, control};
///
/// let mut frames = control(b"m2-1", &["5"], Control::Credits(10_000))?;
/// assert_eq!(frames.next().unwrap(), "m2-1 3:X 5, 28:3:ctl,18:7:credits,5:10000#}]");
/// # Ok::<(), brubeck_runtime::wire::EncodeError>(())
/// ```
///
/// # Errors
/// As [`reply`](super::reply).
pub fn control<'a, I: AsRef<[u8]>>(
    ident: &'a [u8],
    ids: &'a [I],
    command: Control,
) -> Result<Replies<'a, I>, EncodeError> {
    let (key, value) = match command {
        Control::KeepAlive => ("keep-alive", 1),
        Control::Credits(bytes) => ("credits", i64::from(bytes)),
        Control::Cancel => ("cancel", 1),
    };
    let argument = Value::Dictionary(vec![(key.into(), Value::Integer(value))]);
    let mut payload = BytesMut::new();
    tnetstring::encode(
        &mut payload,
        &Value::List(vec![Value::String("ctl".into()), argument]),
    );
    // The `X` may count as a target, and one too many would have the whole frame refused.
    addressed(ident, ids, true, MAX_TARGETS - 1, Cow::Owned(payload.into()))
}

//! The reading half of a connection.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::input::Input;
use crate::codec::frames::{FrameLimits, Said};

pub const CLOSED: &str = "the peer closed the connection";

/// What a peer says.
pub struct Incoming<R> {
    reader: R,
    input: Input,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    pub fn new(reader: R, limits: FrameLimits) -> Self {
        Self {
            reader,
            input: Input::new(limits),
        }
    }

    /// From now on as much is read at once as can be, though the peer may be idle for a while.
    pub fn expects_much(&mut self) {
        self.input.expects_much();
    }

    /// What the peer says next; fails, with the reason, where the connection has ended. Nothing is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Result<Said, String> {
        loop {
            if let Some(said) = self.here()? {
                return Ok(said);
            }
            match self.reader.read_buf(self.input.room()).await {
                Ok(0) => return Err(CLOSED.to_owned()),
                Ok(count) => self.input.came(count),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The same if it is here already.
    pub fn here(&mut self) -> Result<Option<Said>, String> {
        self.input.next().map_err(|violation| violation.to_string())
    }

    /// See [`discard`].
    pub async fn discard(&mut self, until: Instant) {
        discard(&mut self.reader, until).await;
    }
}

/// Reads on until the peer has closed, too: closing while its bytes wait unread would reset the connection and destroy the
/// last messages to it. A peer that goes on sending is closed on.
pub async fn discard(reader: &mut (impl AsyncRead + Unpin), until: Instant) {
    let mut unread = BytesMut::with_capacity(4 << 10);
    let drained = async {
        while reader.read_buf(&mut unread).await.is_ok_and(|count| count > 0) {
            unread.clear();
        }
    };
    let _ = timeout_at(until, drained).await;
}

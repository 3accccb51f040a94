//! The end of a connection.

use std::fmt;

use super::peers::RegisterError;
use crate::codec::HandshakeError;
use crate::connection::ConnectionError;

/// The reason why the connection of a peer was closed.
#[derive(Debug)]
pub(crate) enum PeerError {
    HandshakeTimeout,
    Evicted,
    NotRegistered(RegisterError),
    Connection(ConnectionError),
}

impl PeerError {
    /// Returns whether the peer was refused for a reason that lasts: its version, its mechanism, its socket type or its identity.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::NotRegistered(RegisterError::IdentityInUse) => true,
            Self::Connection(ConnectionError::Io(error)) => {
                error.get_ref().is_some_and(|error| error.is::<HandshakeError>())
            }
            _ => false,
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandshakeTimeout => {
                f.write_str("the handshake did not complete within `handshake_timeout`")
            }
            Self::Evicted => f.write_str("the place of the handshake was given to another connection"),
            Self::NotRegistered(RegisterError::IdentityInUse) => f.write_str(
                "another peer with the same identity is connected; give each peer its own identity, or none",
            ),
            Self::NotRegistered(RegisterError::ServerClosed) => f.write_str("the server is closing"),
            Self::Connection(error) => error.fmt(f),
        }
    }
}

impl<E: Into<ConnectionError>> From<E> for PeerError {
    fn from(error: E) -> Self {
        Self::Connection(error.into())
    }
}

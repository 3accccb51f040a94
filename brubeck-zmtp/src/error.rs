//! What can go wrong when a link is opened, and when something is sent.

use std::fmt;
use std::io;

use crate::{Endpoint, EndpointError};

/// Why a link could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The endpoint cannot be used for this.
    Endpoint(EndpointError),
    /// Somebody else serves this endpoint.
    InUse(Endpoint),
    /// The endpoint could not be bound.
    Bind {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// The thread of sockets could not be started: the process is out of threads or file descriptors.
    Io(io::Error),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => error.fmt(f),
            Self::InUse(endpoint) => write!(
                f,
                "cannot bind {endpoint}: another process is already serving it; stop that one or choose another endpoint"
            ),
            Self::Bind { endpoint, source } => write!(f, "cannot bind {endpoint}: {source}"),
            Self::Io(source) => write!(f, "cannot start the thread of sockets: {source}"),
        }
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Io(source) => Some(source),
            Self::Endpoint(_) | Self::InUse(_) => None,
        }
    }
}

impl From<EndpointError> for TransportError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a message was not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// A message has at least one frame.
    Empty,
    /// As many messages wait for the socket as may.
    Full,
    /// There is no connection now, or the one the message was meant for is gone.
    LinkDown,
    /// The deadline came before there was a connection with room for the message.
    Deadline,
    /// The link was shut down.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a message needs at least one frame",
            Self::Full => "too many messages are waiting to be sent",
            Self::LinkDown => "the connection is down",
            Self::Deadline => "there was no connection before the deadline",
            Self::Closed => "the link was shut down",
        })
    }
}

impl std::error::Error for SendError {}

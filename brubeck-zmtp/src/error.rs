//! Errors of opening a socket and of sending.

use std::fmt;
use std::io;

use crate::{Endpoint, EndpointError};

/// An error of opening a socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The endpoint is malformed, or cannot be used for this.
    Endpoint(EndpointError),
    /// Another socket is bound to the endpoint.
    InUse(Endpoint),
    /// The endpoint could not be bound.
    Bind {
        /// The endpoint.
        endpoint: Endpoint,
        /// The error of the system.
        source: io::Error,
    },
    /// The system has too few resources, such as file descriptors or threads; or there is no tokio runtime.
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
            Self::Io(source) => write!(f, "cannot open a socket: {source}"),
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

/// A reason for not sending a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The message has no frames.
    Empty,
    /// The queue to the socket is full.
    Full,
    /// There is no connection, or the one that the message was meant for is lost.
    LinkDown,
    /// The deadline passed before there was a connection with space for the message.
    Deadline,
    /// The socket was shut down.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a message needs at least one frame",
            Self::Full => "too many messages are waiting to be sent",
            Self::LinkDown => "the connection is down",
            Self::Deadline => "there was no connection before the deadline",
            Self::Closed => "the socket was shut down",
        })
    }
}

impl std::error::Error for SendError {}

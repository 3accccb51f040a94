//! The errors that opening a socket and sending a message return.

use std::fmt;
use std::io;

use brubeck_sockets::Holder;

use crate::{Endpoint, EndpointError};

/// An error that occurred while opening a socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The endpoint is malformed, or the operation does not support it.
    Endpoint(EndpointError),
    /// Another socket is bound to the endpoint.
    InUse {
        /// The endpoint.
        endpoint: Endpoint,
        /// The process that has bound it.
        holder: Holder,
    },
    /// The endpoint could not be bound.
    Bind {
        /// The endpoint.
        endpoint: Endpoint,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A socket could not be opened, for example because there is no tokio runtime or the process has no threads left.
    Io(io::Error),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => error.fmt(f),
            Self::InUse { endpoint, holder } => write!(f, "cannot bind {endpoint}: {holder}"),
            Self::Bind { endpoint, source } => match bind_advice(source) {
                Some(advice) => write!(f, "cannot bind {endpoint}: {source}; {advice}"),
                None => write!(f, "cannot bind {endpoint}: {source}"),
            },
            Self::Io(source) => write!(f, "cannot open a socket: {source}"),
        }
    }
}

/// Returns how to mend the usual errors of binding an address.
fn bind_advice(error: &io::Error) -> Option<&'static str> {
    // An error with a text of its own has its advice in it.
    error.raw_os_error()?;
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "choose a port from 1024 on, or a path in a folder that this process may write to, or give it the permission",
        ),
        io::ErrorKind::AddrNotAvailable => {
            Some("this machine does not have the address; use 127.0.0.1 for local peers, or 0.0.0.0 for all")
        }
        _ => None,
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Io(source) => Some(source),
            Self::Endpoint(_) | Self::InUse { .. } => None,
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

/// The reason why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The message has no frames.
    Empty,
    /// The send queue is full.
    Full,
    /// There is no connection, or the connection that the message was meant for is lost.
    LinkDown,
    /// The deadline passed before a connection had space for the message.
    Deadline,
    /// The socket was shut down, or is shutting down.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the message is empty; a message needs at least one frame",
            Self::Full => "the send queue is full; retry later, or raise the limit of the queue",
            Self::LinkDown => "the connection is down",
            Self::Deadline => "no connection had space for the message before the deadline",
            Self::Closed => "the socket was shut down",
        })
    }
}

impl std::error::Error for SendError {}

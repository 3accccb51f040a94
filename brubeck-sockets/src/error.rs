//! The reasons why a name cannot be bound.

use std::fmt;
use std::io;

/// The reason why a name could not be bound.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// A process listens at the name.
    InUse(Holder),
    /// There is a socket file, and it cannot be found out whether a process listens there. The file is kept.
    Uncertain(io::Error),
    /// There is a file that is not a socket. The file is kept.
    NotASocket,
    /// Another program holds the lock of the folder for several seconds.
    Locked,
    /// There is the socket file of a dead process, and it cannot be replaced because the folder cannot be locked. The file is
    /// kept.
    Unlockable(io::Error),
    /// The operating system reported another error.
    Io(io::Error),
}

/// The process that listens at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// This process.
    ThisProcess,
    /// The process with this id.
    Process(u32),
    /// Another process, whose id is not known.
    AnotherProcess,
    /// Another process, or a socket of this process that does not belong to this crate.
    Unknown,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(holder) => holder.fmt(f),
            Self::Uncertain(error) => write!(
                f,
                "cannot tell whether the socket file is in use: {error}; remove the file if no process serves it, or choose another path"
            ),
            Self::NotASocket => {
                f.write_str("the path is not a socket file; remove the file or choose another path")
            }
            Self::Locked => {
                f.write_str("another program holds the lock of the folder; stop it, or choose another folder")
            }
            Self::Unlockable(error) => write!(
                f,
                "a dead process left the socket file, and it is not replaced because the folder cannot be locked: {error}; remove the \
                 file, or allow this process to read the folder"
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Holder {
    /// Writes the holder and the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThisProcess => f.write_str(
                "it is already in use by this process; stop the application that uses it first, or choose another address",
            ),
            Self::Process(id) => write!(
                f,
                "it is already in use by process {id}; stop that process, or choose another address"
            ),
            Self::Unknown => f.write_str(
                "it is already in use by another process, or by another socket of this one; stop it, or choose another address",
            ),
            Self::AnotherProcess => f.write_str(
                "it is already in use by another process; stop that process, or choose another address",
            ),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Uncertain(error) | Self::Unlockable(error) | Self::Io(error) => Some(error),
            Self::InUse(_) | Self::NotASocket | Self::Locked => None,
        }
    }
}

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        let kind = match error {
            BindError::Io(error) => return error,
            BindError::InUse(_) => io::ErrorKind::AddrInUse,
            BindError::NotASocket => io::ErrorKind::AlreadyExists,
            BindError::Locked => io::ErrorKind::WouldBlock,
            BindError::Uncertain(ref error) | BindError::Unlockable(ref error) => error.kind(),
        };
        io::Error::new(kind, error)
    }
}

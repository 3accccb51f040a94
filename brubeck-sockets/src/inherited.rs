//! Sockets that the parent process passes (`LISTEN_FDS`).

use crate::Listener;
use std::fmt;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A socket that was passed to this process. It stays open, so that it can be used again after a failed start.
enum InheritedSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
    /// A socket of another type.
    Unsuitable(io::Error),
}

struct InheritedSockets {
    /// Each socket with its name.
    sockets: Vec<(Option<String>, InheritedSocket)>,
}

/// The reason why there is no inherited socket to use.
#[derive(Debug)]
#[non_exhaustive]
pub enum InheritedError {
    /// No socket was passed.
    None,
    /// No socket with this name was passed. The names of the others follow.
    NoSuchName(String, Vec<String>),
    /// The socket is not a TCP or Unix stream socket, or cannot be used.
    Unsuitable(io::Error),
}

/// Uses a socket that systemd or `systemfd` passed to this process: that with this name, or the first one.
///
/// The names are those of `LISTEN_FDNAMES`, which systemd sets to the `FileDescriptorName=` of the `.socket` unit. A socket can be
/// used again once its listener is closed.
///
/// ```no_run
/// # fn serve() -> Result<(), brubeck_sockets::InheritedError> {
/// let web = brubeck_sockets::inherit(Some("web"))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns an error if there is no such socket, or if it is of another type.
///
/// # Panics
/// Panics if it is called outside of a tokio runtime.
pub fn inherit(name: Option<&str>) -> Result<Listener, InheritedError> {
    static SOCKETS: OnceLock<Mutex<InheritedSockets>> = OnceLock::new();
    let sockets = SOCKETS.get_or_init(|| Mutex::new(InheritedSockets::from_environment()));
    let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = sockets.sockets.iter();
    let socket = match name {
        None => all.next().ok_or(InheritedError::None)?,
        Some(name) => all
            .find(|(known, _)| known.as_deref() == Some(name))
            .ok_or_else(|| sockets.no_such_name(name))?,
    };
    let listener = match &socket.1 {
        InheritedSocket::Tcp(socket) => socket.try_clone().and_then(Listener::from_tcp),
        InheritedSocket::Unix(socket) => socket.try_clone().and_then(Listener::from_unix),
        InheritedSocket::Unsuitable(error) => Err(io::Error::new(error.kind(), error.to_string())),
    };
    listener.map_err(InheritedError::Unsuitable)
}

impl InheritedSockets {
    fn from_environment() -> InheritedSockets {
        // Read first: the other variables are removed from the environment with the sockets.
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut passed = listenfd::ListenFd::from_env();
        let sockets = (0..passed.len())
            .map(|index| (names.next().map(str::to_owned), take(&mut passed, index)))
            .collect();
        InheritedSockets { sockets }
    }

    fn no_such_name(&self, name: &str) -> InheritedError {
        if self.sockets.is_empty() {
            return InheritedError::None;
        }
        let known = self.sockets.iter().filter_map(|(known, _)| known.clone());
        InheritedError::NoSuchName(name.to_owned(), known.collect())
    }
}

fn take(passed: &mut listenfd::ListenFd, index: usize) -> InheritedSocket {
    if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
        return InheritedSocket::Tcp(socket);
    }
    // After an error the socket can still be taken.
    match passed.take_unix_listener(index) {
        Ok(Some(socket)) => InheritedSocket::Unix(socket),
        Ok(None) => InheritedSocket::Unsuitable(io::ErrorKind::NotFound.into()),
        Err(error) => InheritedSocket::Unsuitable(error),
    }
}

impl fmt::Display for InheritedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "no socket was inherited: start the program with a systemd `.socket` unit or with `systemfd`",
            ),
            Self::NoSuchName(name, known) => write!(
                f,
                "no inherited socket has the name `{name}`, but {}; set `FileDescriptorName=` in the `.socket` unit",
                match known.as_slice() {
                    [] => "there are others without names".to_owned(),
                    known => format!("there are: {}", known.join(", ")),
                }
            ),
            Self::Unsuitable(error) => write!(
                f,
                "cannot use the inherited socket, which must be a TCP or Unix stream socket: {error}"
            ),
        }
    }
}

impl std::error::Error for InheritedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unsuitable(error) => Some(error),
            Self::None | Self::NoSuchName(..) => None,
        }
    }
}

//! Finds out whether a process listens at a socket file.

use crate::Holder;
use crate::path::SocketPath;
use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::OwnedFd;

/// The result of connecting to a socket file.
#[derive(Debug)]
pub(crate) enum Probe {
    /// The connection was refused: no process listens there.
    Refused,
    /// There is no file any more.
    Gone,
    /// A process listens there.
    InUse(Holder),
    /// It cannot be found out whether a process listens there.
    Uncertain(io::Error),
}

/// Connects to the file. Does not block, even if the backlog of the process is full.
pub(crate) fn probe(path: &SocketPath) -> Probe {
    let probe = || -> io::Result<(Socket, io::Result<()>)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let connected = path.with_address(|address| socket.connect(address))?;
        Ok((socket, connected))
    };
    match probe() {
        Ok((socket, Ok(()))) => Probe::InUse(holder(socket)),
        Ok((_, Err(error))) => classify(error),
        // Without a socket or an address nothing was asked.
        Err(error) => Probe::Uncertain(error),
    }
}

/// Decides what an error of `connect` proves. Only a refusal proves that no process listens.
fn classify(error: io::Error) -> Probe {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Probe::Refused,
        Some(libc::ENOENT) => Probe::Gone,
        // The backlog is full, the connection is being made, or the socket is a datagram socket: it exists.
        Some(code)
            if code == libc::EAGAIN
                || code == libc::EWOULDBLOCK
                || code == libc::EINPROGRESS
                || code == libc::EALREADY
                || code == libc::EISCONN
                || code == libc::EPROTOTYPE =>
        {
            Probe::InUse(Holder::AnotherProcess)
        }
        _ => Probe::Uncertain(error),
    }
}

/// Returns the process at the other end of a connection.
fn holder(socket: Socket) -> Holder {
    // Reading the credentials of a peer needs no event of the runtime, but the stream of tokio does.
    let pid = tokio::runtime::Handle::try_current().ok().and_then(|_| {
        let stream = tokio::net::UnixStream::from_std(OwnedFd::from(socket).into()).ok()?;
        stream.peer_cred().ok()?.pid()
    });
    match pid.and_then(|pid| u32::try_from(pid).ok()) {
        Some(id) if id == std::process::id() => Holder::ThisProcess,
        // A process of another namespace has no id here.
        None | Some(0) => Holder::AnotherProcess,
        Some(id) => Holder::Process(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every error that `connect` of a Unix socket is documented to return, on Linux and on macOS.
    #[test]
    fn only_a_refusal_proves_that_a_process_is_dead() {
        let refused = [libc::ECONNREFUSED];
        let gone = [libc::ENOENT];
        let in_use = [
            libc::EAGAIN,
            libc::EWOULDBLOCK,
            libc::EINPROGRESS,
            libc::EALREADY,
            libc::EISCONN,
            libc::EPROTOTYPE,
        ];
        let uncertain = [
            libc::EACCES,
            libc::EPERM,
            libc::EADDRINUSE,
            libc::EADDRNOTAVAIL,
            libc::EAFNOSUPPORT,
            libc::EBADF,
            libc::ECONNABORTED,
            libc::ECONNRESET,
            libc::EFAULT,
            libc::EHOSTUNREACH,
            libc::EINTR,
            libc::EINVAL,
            libc::EIO,
            libc::ELOOP,
            libc::EMFILE,
            libc::ENAMETOOLONG,
            libc::ENETUNREACH,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::ENOTDIR,
            libc::ENOTSOCK,
            libc::EOPNOTSUPP,
            libc::EPROTONOSUPPORT,
            libc::EROFS,
            libc::ETIMEDOUT,
        ];
        let name = |code: i32| match classify(io::Error::from_raw_os_error(code)) {
            Probe::Refused => "refused",
            Probe::Gone => "gone",
            Probe::InUse(_) => "in use",
            Probe::Uncertain(_) => "uncertain",
        };
        for (codes, expected) in [
            (&refused[..], "refused"),
            (&gone[..], "gone"),
            (&in_use[..], "in use"),
            (&uncertain[..], "uncertain"),
        ] {
            for code in codes {
                assert_eq!(name(*code), expected, "{}", io::Error::from_raw_os_error(*code));
            }
        }
        // Any other error number, present or future.
        let known = [&refused[..], &gone[..], &in_use[..]].concat();
        for code in (1..200).filter(|code| !known.contains(code)) {
            assert_eq!(name(code), "uncertain", "{code}");
        }
    }
}

//! Binding endpoints.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::{Endpoint, TransportError};

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// TCP keepalive. An idle connection to a vanished peer is closed about 60 s after the last packet of the peer. On Linux, it is
/// closed after about 40 s, because [`USER_TIMEOUT`] applies as soon as the first probe is unanswered.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// `TCP_USER_TIMEOUT` (Linux only): a connection is closed if sent bytes stay unacknowledged for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A bound, non-blocking socket.
#[derive(Debug)]
pub(super) enum BoundSocket {
    Tcp(std::net::TcpListener),
    Ipc(std::os::unix::net::UnixListener),
}

/// Binds `endpoint`. Returns the socket, and the endpoint with the port that the operating system chose.
///
/// Blocks only while it resolves a host name.
pub(super) fn bind_blocking(endpoint: &Endpoint) -> Result<(BoundSocket, Endpoint), TransportError> {
    match endpoint {
        Endpoint::Ipc(path) => Ok((BoundSocket::Ipc(bind_ipc(path)?), endpoint.clone())),
        Endpoint::Tcp { host, port } => {
            let addresses = match wildcard_addresses(host, *port) {
                Some(addresses) => addresses,
                None => (host.as_str(), *port)
                    .to_socket_addrs()
                    .map_err(|source| bind_error(endpoint, source))?
                    .collect(),
            };
            bind_first(endpoint, &addresses)
        }
    }
}

/// Binds `endpoint` as [`bind_blocking`] does, but resolves a host name without blocking.
pub(super) async fn bind(endpoint: &Endpoint) -> Result<(BoundSocket, Endpoint), TransportError> {
    match endpoint {
        Endpoint::Tcp { host, port } if wildcard_addresses(host, *port).is_none() => {
            let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), *port))
                .await
                .map_err(|source| bind_error(endpoint, source))?
                .collect();
            bind_first(endpoint, &addresses)
        }
        _ => bind_blocking(endpoint),
    }
}

fn bind_error(endpoint: &Endpoint, source: io::Error) -> TransportError {
    match source.kind() {
        ErrorKind::AddrInUse => TransportError::InUse(endpoint.clone()),
        _ => TransportError::Bind {
            endpoint: endpoint.clone(),
            source,
        },
    }
}

/// Returns the wildcard addresses if `host` is `*`. IPv6 comes first, because it includes IPv4 on most systems.
fn wildcard_addresses(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let both = [
        IpAddr::from(Ipv6Addr::UNSPECIFIED),
        IpAddr::from(Ipv4Addr::UNSPECIFIED),
    ];
    (host == "*").then(|| both.map(|address| SocketAddr::new(address, port)).into())
}

/// Binds the first address that can be bound. Returns an error if an address before it is in use.
fn bind_first(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
) -> Result<(BoundSocket, Endpoint), TransportError> {
    let mut last_error = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match bind_tcp(*address) {
            Ok(listener) => {
                let address = listener
                    .local_addr()
                    .map_err(|source| bind_error(endpoint, source))?;
                let mut local = endpoint.clone();
                if let Endpoint::Tcp { port, .. } = &mut local {
                    *port = address.port();
                }
                return Ok((BoundSocket::Tcp(listener), local));
            }
            // The next address might succeed and hide that the port is taken.
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(bind_error(endpoint, error)),
            Err(error) => last_error = error,
        }
    }
    Err(bind_error(endpoint, last_error))
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // `[::]` also accepts IPv4; any other address does not. The default differs between systems.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    set_keepalive(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Enables the detection of dead peers. Accepted sockets inherit the options from their listener.
pub(crate) fn set_keepalive(socket: &SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// Binds a Unix socket that only the user of this process can connect to.
///
/// Creates the directory if it is missing. Replaces the socket file of a process that was killed, but not a file that is in
/// use.
fn bind_ipc(path: &Path) -> Result<std::os::unix::net::UnixListener, TransportError> {
    let endpoint = Endpoint::Ipc(path.to_owned());
    let fail = |source: io::Error| TransportError::Bind {
        endpoint: endpoint.clone(),
        source,
    };
    create_directory(path).map_err(fail)?;
    match bind_unix(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        bound => return bound.map_err(fail),
    }
    let metadata = std::fs::symlink_metadata(path).map_err(fail)?;
    if !metadata.file_type().is_socket() {
        return Err(fail(io::Error::new(
            ErrorKind::AlreadyExists,
            "the path is not a socket file; remove the file or choose another path",
        )));
    }
    if is_in_use(path).map_err(fail)? {
        return Err(TransportError::InUse(endpoint));
    }
    tracing::info!(path = %path.display(), "removing the socket file of a dead process");
    std::fs::remove_file(path).map_err(fail)?;
    bind_unix(path).map_err(fail)
}

/// Creates the directory of a socket file with mode 0700. An existing directory keeps its mode.
fn create_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => return Ok(()),
    };
    if directory.is_dir() {
        return Ok(());
    }
    let created = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    created.map_err(|error| {
        let text = format!("cannot create the directory {}: {error}", directory.display());
        io::Error::new(error.kind(), text)
    })
}

/// Returns `false` if a connection to this socket file is refused, because then no process listens there. Any other result of
/// connecting counts as in use, so that a file is not replaced in doubt. Does not block, even if the backlog of the process is
/// full.
fn is_in_use(path: &Path) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
        _ => Ok(true),
    }
}

/// Binds a Unix socket whose file has mode 0600.
fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let owner_only = || Permissions::from_mode(0o600);
    let socket = File::from(OwnedFd::from(Socket::new(Domain::UNIX, Type::STREAM, None)?));
    // On Linux, `bind` gives the file the mode of the socket, so other users cannot connect before the mode is set below.
    #[cfg(target_os = "linux")]
    socket.set_permissions(owner_only())?;
    let socket = Socket::from(OwnedFd::from(socket));
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, owner_only())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(OwnedFd::from(socket).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    async fn bind_tcp_at(host: &str, port: u16) -> Result<(std::net::TcpListener, Endpoint), TransportError> {
        let host = host.to_owned();
        match bind(&Endpoint::Tcp { host, port }).await? {
            (BoundSocket::Tcp(listener), local) => Ok((listener, local)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn replaces_a_stale_socket_file_but_not_one_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener leaves its file behind");

        let ours = bind_ipc(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = bind_ipc(&path).unwrap_err();
        assert!(matches!(error, TransportError::InUse(_)), "{error}");
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        drop(ours);
    }

    #[test]
    fn creates_a_missing_directory_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let parent = directory.path().join("run/of/service");
        let listener = bind_ipc(&parent.join("s")).unwrap();
        for created in ["run", "run/of", "run/of/service"] {
            let mode = directory
                .path()
                .join(created)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o700, "{created}");
        }
        drop(listener);

        std::fs::set_permissions(&parent, Permissions::from_mode(0o755)).unwrap();
        bind_ipc(&parent.join("t")).unwrap();
        let mode = parent.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "an existing directory keeps its mode");
    }

    #[test]
    fn error_names_the_directory_that_cannot_be_created() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "data").unwrap();
        let error = bind_ipc(&directory.path().join("file/run/s")).unwrap_err();
        assert!(error.to_string().contains("file/run"), "{error}");
    }

    #[test]
    fn refuses_to_replace_a_regular_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(
            bind_ipc(&path)
                .unwrap_err()
                .to_string()
                .contains("not a socket file")
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn accepted_sockets_inherit_keepalive() {
        let (listener, local) = bind_tcp_at("127.0.0.1", 0).await.unwrap();
        let Endpoint::Tcp { port, .. } = local else {
            panic!("{local}")
        };
        let _peer = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        #[cfg(target_os = "linux")]
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    #[tokio::test]
    async fn refuses_a_port_in_use() {
        let (_listener, local) = bind_tcp_at("127.0.0.1", 0).await.unwrap();
        let Endpoint::Tcp { port, .. } = local else {
            panic!("{local}")
        };
        assert!(matches!(
            bind_tcp_at("127.0.0.1", port).await,
            Err(TransportError::InUse(_))
        ));
    }

    #[tokio::test]
    async fn wildcard_host_accepts_ipv4() {
        let (listener, local) = bind_tcp_at("*", 0).await.unwrap();
        let Endpoint::Tcp { port, .. } = local else {
            panic!("{local}")
        };
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(listener);
    }
}

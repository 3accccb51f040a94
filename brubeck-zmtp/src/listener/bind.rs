//! Listeners that are bound here and handed to the socket, because the crate sets neither keepalive nor file modes.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::{Endpoint, TransportError};

const BACKLOG: i32 = 1024;

/// A dead peer is given up about 60 s after its last sign of life.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// A peer that acknowledges nothing we send is given up after this.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    Tcp(std::net::TcpListener),
    Ipc(std::os::unix::net::UnixListener),
}

/// Binds an endpoint without waiting, unless its host is a name that the system has to look up. Tells it with the real
/// port.
pub fn now(endpoint: &Endpoint) -> Result<(Listener, Endpoint), TransportError> {
    match endpoint {
        Endpoint::Ipc(path) => Ok((Listener::Ipc(ipc(path)?), endpoint.clone())),
        Endpoint::Tcp { host, port } => {
            let addresses = match every_address(host, *port) {
                Some(addresses) => addresses,
                None => (host.as_str(), *port)
                    .to_socket_addrs()
                    .map_err(|source| TransportError::Bind {
                        endpoint: endpoint.clone(),
                        source,
                    })?
                    .collect(),
            };
            let (listener, local) = first_of(endpoint, &addresses)?;
            Ok((Listener::Tcp(listener), local))
        }
    }
}

/// Binds a TCP endpoint, and tells it with the real port.
pub async fn tcp(host: &str, port: u16) -> Result<(std::net::TcpListener, Endpoint), TransportError> {
    let asked = Endpoint::Tcp {
        host: host.to_owned(),
        port,
    };
    let addresses = match every_address(host, port) {
        Some(addresses) => addresses,
        None => tokio::net::lookup_host((host, port))
            .await
            .map_err(|source| TransportError::Bind {
                endpoint: asked.clone(),
                source,
            })?
            .collect(),
    };
    first_of(&asked, &addresses)
}

/// What `*` stands for.
fn every_address(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let both = [
        IpAddr::from(Ipv6Addr::UNSPECIFIED),
        IpAddr::from(Ipv4Addr::UNSPECIFIED),
    ];
    (host == "*").then(|| both.map(|address| SocketAddr::new(address, port)).into())
}

/// Binds the first address that can be.
fn first_of(
    asked: &Endpoint,
    addresses: &[SocketAddr],
) -> Result<(std::net::TcpListener, Endpoint), TransportError> {
    let fail = |source: io::Error| match source.kind() {
        ErrorKind::AddrInUse => TransportError::InUse(asked.clone()),
        _ => TransportError::Bind {
            endpoint: asked.clone(),
            source,
        },
    };
    let mut failed = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match bind_tcp(*address) {
            Ok(listener) => {
                let bound = listener.local_addr().map_err(fail)?.port();
                let mut local = asked.clone();
                if let Endpoint::Tcp { port, .. } = &mut local {
                    *port = bound;
                }
                return Ok((listener, local));
            }
            // Trying IPv4 next would hide that the port is taken.
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(fail(error)),
            Err(error) => failed = error,
        }
    }
    Err(fail(failed))
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // Decided here, because the system's default differs between machines.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    keep_alive(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Lets the system notice dead peers. Accepted sockets inherit it from their listener.
pub fn keep_alive(socket: &SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// Binds an ipc endpoint: creates its folder if there is none, takes over the file a killed process left, refuses one that
/// is served, and lets only the user of this process connect.
pub fn ipc(path: &Path) -> Result<std::os::unix::net::UnixListener, TransportError> {
    let endpoint = || Endpoint::Ipc(path.to_owned());
    let fail = |source: io::Error| TransportError::Bind {
        endpoint: endpoint(),
        source,
    };
    create_folder(path).map_err(fail)?;
    match bind_unix(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        bound => return bound.map_err(fail),
    }
    let meta = std::fs::symlink_metadata(path).map_err(fail)?;
    if !meta.file_type().is_socket() {
        return Err(fail(io::Error::new(
            ErrorKind::AlreadyExists,
            "a file that is no socket has this name; remove it or choose another path",
        )));
    }
    if is_served(path).map_err(fail)? {
        return Err(TransportError::InUse(endpoint()));
    }
    tracing::info!(path = %path.display(), "removing the socket file of a process that is gone");
    std::fs::remove_file(path).map_err(fail)?;
    bind_unix(path).map_err(fail)
}

/// Creates the folder of a socket file, open to the user of this process only. A folder that exists keeps its mode.
fn create_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => return Ok(()),
    };
    if folder.is_dir() {
        return Ok(());
    }
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(|error| {
        let what = format!("its folder {} cannot be created: {error}", folder.display());
        io::Error::new(error.kind(), what)
    })
}

/// Whether somebody listens at this socket file. Never waits, not even for one whose backlog is full.
pub fn is_served(path: &Path) -> io::Result<bool> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
        _ => Ok(true),
    }
}

pub fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let owner_only = || Permissions::from_mode(0o600);
    let socket = File::from(OwnedFd::from(Socket::new(Domain::UNIX, Type::STREAM, None)?));
    // On Linux the file takes its mode from the socket, so it is never open to others, not even for an instant.
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

    #[test]
    fn a_stale_file_is_taken_over_and_a_live_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener leaves its file behind");

        let ours = ipc(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = ipc(&path).unwrap_err();
        assert!(matches!(error, TransportError::InUse(_)), "{error}");
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        drop(ours);
    }

    #[test]
    fn a_missing_folder_is_created_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let parent = folder.path().join("run/of/service");
        let listener = ipc(&parent.join("s")).unwrap();
        for created in ["run", "run/of", "run/of/service"] {
            let mode = folder
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
        ipc(&parent.join("t")).unwrap();
        let mode = parent.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "an existing folder keeps its mode");
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "data").unwrap();
        let error = ipc(&folder.path().join("file/run/s")).unwrap_err();
        assert!(
            error.to_string().contains("file/run cannot be created"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(ipc(&path).unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn tcp_listeners_watch_over_their_peers() {
        let (listener, local) = tcp("127.0.0.1", 0).await.unwrap();
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
        assert!(matches!(
            tcp("127.0.0.1", port).await,
            Err(TransportError::InUse(_))
        ));
    }

    #[tokio::test]
    async fn the_star_takes_every_address() {
        let (listener, local) = tcp("*", 0).await.unwrap();
        let Endpoint::Tcp { port, .. } = local else {
            panic!("{local}")
        };
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        drop(listener);
    }
}

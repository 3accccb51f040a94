//! Binding endpoints.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use brubeck_sockets::{BindError, Listener, TcpOptions, UnixOptions, lookup, lookup_blocking};
use socket2::{SockRef, TcpKeepalive};

use crate::{Endpoint, TransportError};

/// TCP keepalive. An idle connection to a vanished peer is closed about 60 s after the last packet of the peer. On Linux, it is
/// closed after about 40 s, because [`USER_TIMEOUT`] applies as soon as the first probe is unanswered.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// `TCP_USER_TIMEOUT` (Linux only): a connection is closed if sent bytes stay unacknowledged for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Binds `endpoint`. Returns the socket, and the endpoint with the port that the operating system chose.
///
/// Blocks only while it resolves a host name, or while another process binds a socket in the same folder.
pub(super) fn bind_blocking(endpoint: &Endpoint, mode: u32) -> Result<(Listener, Endpoint), TransportError> {
    let bound = match endpoint {
        Endpoint::Ipc(path) => Listener::bind_unix_blocking(path, unix_options(mode)),
        Endpoint::Tcp { host, port } => match wildcard_addresses(host, *port) {
            Some(addresses) => bind_tcp(&addresses, true),
            None => lookup_blocking(host, *port)
                .map_err(BindError::Io)
                .and_then(|addresses: Vec<SocketAddr>| bind_tcp(&addresses, false)),
        },
    };
    finish(endpoint, bound)
}

/// Binds `endpoint` as [`bind_blocking`] does, without blocking.
pub(super) async fn bind(endpoint: &Endpoint, mode: u32) -> Result<(Listener, Endpoint), TransportError> {
    let bound = match endpoint {
        Endpoint::Ipc(path) => Listener::bind_unix(path, unix_options(mode)).await,
        Endpoint::Tcp { host, port } => match wildcard_addresses(host, *port) {
            Some(addresses) => bind_tcp(&addresses, true),
            None => lookup(host, *port)
                .await
                .map_err(BindError::Io)
                .and_then(|addresses: Vec<SocketAddr>| bind_tcp(&addresses, false)),
        },
    };
    finish(endpoint, bound)
}

fn unix_options(mode: u32) -> UnixOptions {
    UnixOptions {
        mode: Some(mode),
        create_folder: true,
    }
}

fn bind_tcp(addresses: &[SocketAddr], first_only: bool) -> Result<Listener, BindError> {
    let options = TcpOptions {
        configure: Some(set_keepalive),
        first_only,
    };
    Listener::bind_tcp(addresses, options)
}

fn finish(
    endpoint: &Endpoint,
    bound: Result<Listener, BindError>,
) -> Result<(Listener, Endpoint), TransportError> {
    let listener = bound.map_err(|error| match error {
        BindError::InUse(holder) => TransportError::InUse {
            endpoint: endpoint.clone(),
            holder,
        },
        error => TransportError::Bind {
            endpoint: endpoint.clone(),
            source: error.into(),
        },
    })?;
    let mut local = endpoint.clone();
    if let (Endpoint::Tcp { host, port }, Some(first)) = (&mut local, listener.addresses().first()) {
        *port = first.port();
        if host.parse::<IpAddr>().is_err() {
            let addresses = listener.addresses();
            tracing::info!(%endpoint, ?addresses, "bound the addresses of the host");
        }
    }
    Ok((listener, local))
}

/// Returns the wildcard addresses if `host` is `*`. IPv6 comes first, because it includes IPv4 on most systems.
fn wildcard_addresses(host: &str, port: u16) -> Option<[SocketAddr; 2]> {
    let both = [
        IpAddr::from(Ipv6Addr::UNSPECIFIED),
        IpAddr::from(Ipv4Addr::UNSPECIFIED),
    ];
    (host == "*").then(|| both.map(|address| SocketAddr::new(address, port)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use brubeck_sockets::{Holder, PeerSocket};

    const PRIVATE: u32 = 0o600;

    async fn bind_tcp_at(host: &str, port: u16) -> Result<(Listener, u16), TransportError> {
        let host = host.to_owned();
        match bind(&Endpoint::Tcp { host, port }, PRIVATE).await? {
            (listener, Endpoint::Tcp { port, .. }) => Ok((listener, port)),
            other => panic!("{other:?}"),
        }
    }

    async fn bind_ipc(path: &Path) -> Result<Listener, TransportError> {
        Ok(bind(&Endpoint::Ipc(path.to_owned()), PRIVATE).await?.0)
    }

    #[tokio::test]
    async fn replaces_a_stale_socket_file_but_not_one_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener leaves its file behind");

        let ours = bind_ipc(&path).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = bind_ipc(&path).await.unwrap_err();
        assert!(
            matches!(
                error,
                TransportError::InUse {
                    holder: Holder::ThisProcess,
                    ..
                }
            ),
            "{error}"
        );
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        drop(ours);
    }

    #[tokio::test]
    async fn creates_a_missing_directory_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let parent = directory.path().join("run/of/service");
        let listener = bind_ipc(&parent.join("s")).await.unwrap();
        for created in ["run", "run/of", "run/of/service"] {
            let metadata = directory.path().join(created).metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{created}");
        }
        drop(listener);

        std::fs::set_permissions(&parent, Permissions::from_mode(0o755)).unwrap();
        bind_ipc(&parent.join("t")).await.unwrap();
        let mode = parent.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "an existing directory keeps its mode");
    }

    #[tokio::test]
    async fn error_names_the_directory_that_cannot_be_created() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "data").unwrap();
        let error = bind_ipc(&directory.path().join("file/run/s")).await.unwrap_err();
        assert!(error.to_string().contains("file/run"), "{error}");
    }

    #[tokio::test]
    async fn refuses_to_replace_a_regular_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        let error = bind_ipc(&path).await.unwrap_err();
        assert!(error.to_string().contains("not a socket file"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn accepted_sockets_inherit_keepalive() {
        let (listener, port) = bind_tcp_at("127.0.0.1", 0).await.unwrap();
        let _peer = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let PeerSocket::Tcp(accepted, _) = listener.accept().await.unwrap() else {
            panic!("a TCP connection")
        };
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        #[cfg(target_os = "linux")]
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    #[tokio::test]
    async fn refuses_a_port_in_use() {
        let (_listener, port) = bind_tcp_at("127.0.0.1", 0).await.unwrap();
        let error = bind_tcp_at("127.0.0.1", port).await.unwrap_err();
        assert!(error.to_string().contains("in use by this process"), "{error}");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind_tcp_at("127.0.0.1", port).await.unwrap_err();
        assert!(
            error.to_string().contains("in use by another process, or"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn wildcard_host_accepts_ipv4() {
        let (_listener, port) = bind_tcp_at("*", 0).await.unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    #[tokio::test]
    async fn localhost_is_bound_at_every_address_it_has() {
        let (listener, port) = bind_tcp_at("localhost", 0).await.unwrap();
        assert!(!listener.addresses().is_empty());
        for address in lookup("localhost", port).await.unwrap() {
            let is_bound = listener.addresses().contains(&address);
            assert_eq!(
                std::net::TcpStream::connect(address).is_ok(),
                is_bound,
                "{address}"
            );
        }
        assert!(
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(),
            "libzmq connects with IPv4"
        );
    }
}

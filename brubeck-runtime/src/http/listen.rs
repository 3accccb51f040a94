//! Listening sockets, accepted streams, and the limit for HTTP connections from one IP address.

use super::ListenAddress;
use crate::error::Error;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::net::{UnixListener, UnixStream};

/// A TCP or Unix socket that accepts connections.
pub(super) enum HttpListener {
    Tcp(TcpListener),
    Unix {
        /// `None` for an inherited socket, whose file belongs to the parent process.
        // Declared before `listener`, so that the file is removed before the socket is closed. In the other order, another
        // process could bind the path in between, and its file would be removed.
        _file: Option<UnixSocketFile>,
        listener: UnixListener,
    },
}

/// The file of a Unix socket, which is removed on drop.
pub(super) struct UnixSocketFile(PathBuf);

impl Drop for UnixSocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(file = %self.0.display(), %error, "cannot remove the socket file");
        }
    }
}

impl HttpListener {
    /// Binds the socket, or takes the inherited one. Also returns what follows `http` or `https` in its URL:
    /// `://127.0.0.1:6767`, `+unix:///run/web.sock`, or `+unix://inherited`.
    pub(super) async fn open(address: &ListenAddress) -> crate::Result<(HttpListener, String)> {
        match address {
            ListenAddress::Tcp(address) => {
                let bind_error = |error| tcp_error(address, error);
                let listener = TcpListener::bind(address).await.map_err(bind_error)?;
                let url = format!("://{}", listener.local_addr().map_err(bind_error)?);
                Ok((HttpListener::Tcp(listener), url))
            }
            ListenAddress::Unix(path) => bind_unix(path).await,
            #[cfg(feature = "systemd")]
            ListenAddress::Inherited => inherit_socket(),
        }
    }

    /// Accepts a connection. Also returns the IP address of the peer, or `None` for a Unix socket.
    pub(super) async fn accept(&self) -> io::Result<(AcceptedStream, Option<IpAddr>)> {
        match self {
            HttpListener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Nagle's algorithm would delay small responses until the peer acknowledges earlier ones. If the option cannot
                // be set, the connection still works.
                let _ = stream.set_nodelay(true);
                Ok((AcceptedStream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            HttpListener::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((AcceptedStream::Unix(stream), None))
            }
        }
    }
}

/// Creates the error of binding a TCP address, with a way to mend it.
fn tcp_error(address: &str, error: io::Error) -> Error {
    let has_port = match address.rsplit_once(':') {
        Some((host, port)) => !port.is_empty() && (host.ends_with(']') || !host.contains(':')),
        None => false,
    };
    let port = address.rsplit(':').next().unwrap_or_default();
    let advice = match error.kind() {
        _ if !has_port => match address.parse() {
            Ok(IpAddr::V6(_)) => format!("the port is missing; write the address as `[{address}]:8080`"),
            _ if address.is_empty() => "the address is empty; write a host and a port, such as `127.0.0.1:8080`".to_owned(),
            _ => format!("the port is missing; add one, such as `{}:8080`", address.trim_end_matches(':')),
        },
        _ if port.parse::<u16>().is_err() => {
            format!("`{port}` is not a port; write a number up to 65535, such as `127.0.0.1:8080`")
        }
        io::ErrorKind::AddrInUse => {
            "the port is in use; stop the program that uses it, or choose another port (0 stands for any free one)".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "this process may not use the port; choose one from 1024 on, or give it the permission".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have the address; use 127.0.0.1 for local clients, or 0.0.0.0 for all".to_owned()
        }
        _ => "use the name or the IP address of this machine, such as 127.0.0.1, and a port".to_owned(),
    };
    Error::because(format!("cannot listen at {address}: {advice}"), error)
}

async fn bind_unix(path: &Path) -> crate::Result<(HttpListener, String)> {
    let bind_error = |error| Error::because(format!("cannot listen at {}", path.display()), error);
    match UnixStream::connect(path).await {
        Ok(_) => {
            return Err(Error::new(format!(
                "cannot listen at {}: the socket is in use; stop the program that uses it, or choose another path",
                path.display()
            )));
        }
        // Nothing listens: the file was left behind by a process that is gone. Any other error, such as a full backlog or a
        // missing permission, does not show this. The file is kept then, and binding fails.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket_file(path) => {
            std::fs::remove_file(path).map_err(bind_error)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(bind_error)?;
    let listener = HttpListener::Unix {
        _file: Some(UnixSocketFile(path.to_owned())),
        listener,
    };
    Ok((listener, format!("+unix://{}", path.display())))
}

/// Returns `true` for a socket. Connecting to a file of another type, which must be kept, is refused as well.
fn is_socket_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|file| std::os::unix::fs::FileTypeExt::is_socket(&file.file_type()))
}

/// Takes the first inherited socket, which must be a TCP or a Unix stream socket.
#[cfg(feature = "systemd")]
fn inherit_socket() -> crate::Result<(HttpListener, String)> {
    let unusable = |error| Error::because("cannot use the inherited socket", error);
    let mut sockets = listenfd::ListenFd::from_env();
    let unsuitable = match sockets.take_tcp_listener(0) {
        Ok(Some(listener)) => {
            listener.set_nonblocking(true).map_err(unusable)?;
            let url = format!("://{}", listener.local_addr().map_err(unusable)?);
            let listener = TcpListener::from_std(listener).map_err(unusable)?;
            return Ok((HttpListener::Tcp(listener), url));
        }
        Ok(None) => {
            return Err(Error::new(
                "no socket was inherited: start the program with a systemd `.socket` unit or with `systemfd`",
            ));
        }
        Err(error) => error,
    };
    // After an error the socket can still be taken.
    let unsuitable = match sockets.take_unix_listener(0) {
        Ok(Some(listener)) => {
            listener.set_nonblocking(true).map_err(unusable)?;
            let listener = HttpListener::Unix {
                _file: None,
                listener: UnixListener::from_std(listener).map_err(unusable)?,
            };
            return Ok((listener, "+unix://inherited".to_owned()));
        }
        Ok(None) => unsuitable,
        Err(error) => error,
    };
    Err(Error::because(
        "cannot use the inherited socket, which must be a TCP or Unix stream socket",
        unsuitable,
    ))
}

/// Limits the open HTTP connections from each IP address. WebSockets are not counted.
#[derive(Clone, Debug)]
pub(super) struct PerAddressLimit {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limit: usize,
}

/// A permit for one connection, released when dropped. `None` for a connection without an IP address, which is not counted.
#[derive(Debug)]
pub(super) struct AddressPermit(Option<(PerAddressLimit, IpAddr)>);

impl PerAddressLimit {
    pub(super) fn new(limit: usize) -> PerAddressLimit {
        PerAddressLimit {
            open: Arc::default(),
            limit,
        }
    }

    /// Acquires a permit. Returns `None` if the address has reached the limit; without an address there is no limit.
    pub(super) fn acquire(&self, address: Option<IpAddr>) -> Option<AddressPermit> {
        let Some(address) = address else {
            return Some(AddressPermit(None));
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(AddressPermit(Some((self.clone(), address))))
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let Some((limit, address)) = &self.0 else { return };
        let mut open = limit.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(address);
            }
        }
    }
}

/// An accepted TCP or Unix connection.
pub(super) enum AcceptedStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls a method on the inner stream.
macro_rules! delegate {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            AcceptedStream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            AcceptedStream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for AcceptedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for AcceptedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write_vectored(cx, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            AcceptedStream::Tcp(stream) => stream.is_write_vectored(),
            AcceptedStream::Unix(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    async fn open(path: &Path) -> crate::Result<(HttpListener, String)> {
        HttpListener::open(&ListenAddress::Unix(path.to_owned())).await
    }

    #[tokio::test]
    async fn errors_of_tcp_addresses_say_how_to_mend_them() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = taken
            .local_addr()
            .map(|address| (taken, address.to_string()))
            .unwrap();
        for (address, advice) in [
            (&*taken.1, "the port is in use"),
            ("localhost", "such as `localhost:8080`"),
            ("localhost:", "such as `localhost:8080`"),
            ("127.0.0.1", "such as `127.0.0.1:8080`"),
            ("::1", "as `[::1]:8080`"),
            ("[::1]", "the port is missing"),
            ("", "the address is empty"),
            ("localhost:http", "`http` is not a port"),
            ("127.0.0.1:65536", "`65536` is not a port"),
            ("192.0.2.1:0", "this machine does not have the address"),
            ("no such host:80", "the name or the IP address of this machine"),
        ] {
            let error = HttpListener::open(&ListenAddress::Tcp(address.to_owned()))
                .await
                .err()
                .expect(address);
            let text = error.to_string();
            assert!(
                text.contains(address) && text.contains(advice),
                "{address}: {text}"
            );
        }
    }

    #[tokio::test]
    async fn replaces_an_abandoned_socket_file_and_removes_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener leaves its file behind");

        let (listener, url) = open(&path).await.unwrap();
        assert_eq!(url, format!("+unix://{}", path.display()));
        let error = open(&path).await.err().expect("an error");
        assert!(error.to_string().contains("in use"), "{error}");
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(listener);
        assert!(!path.exists());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn keeps_the_socket_file_of_a_listener_whose_backlog_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let socket = tokio::net::UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        let full = loop {
            match UnixStream::connect(&path).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);

        assert!(open(&path).await.is_err());
        listener.accept().await.unwrap();
        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn keeps_files_that_are_not_abandoned_stream_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "data").unwrap();
        assert!(open(&path).await.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");

        let path = folder.path().join("datagram.sock");
        let _datagram = UnixDatagram::bind(&path).unwrap();
        assert!(open(&path).await.is_err());
        assert!(path.exists());
    }
}

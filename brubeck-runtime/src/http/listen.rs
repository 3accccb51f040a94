//! Listening sockets, accepted streams, and the limit for connections of one address.

use super::ListenAddress;
use crate::error::Error;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// A TCP or Unix socket that accepts connections.
pub(super) enum HttpListener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        _file: UnixSocketFile,
    },
}

/// Removes the file of a Unix socket when dropped. `None` for an inherited socket, whose file belongs to the parent.
pub(super) struct UnixSocketFile(Option<PathBuf>);

impl Drop for UnixSocketFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // An error means that the file is gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl HttpListener {
    /// Binds the socket. Also returns the part of its URL that follows the scheme.
    pub(super) async fn open(address: &ListenAddress) -> crate::Result<(HttpListener, String)> {
        match address {
            ListenAddress::Tcp(address) => {
                let bind_error = |error| Error::because(format!("cannot listen at {address}"), error);
                let listener = TcpListener::bind(address).await.map_err(bind_error)?;
                let url = format!("://{}", listener.local_addr().map_err(bind_error)?);
                Ok((HttpListener::Tcp(listener), url))
            }
            #[cfg(unix)]
            ListenAddress::Unix(path) => bind_unix(path).await,
            #[cfg(not(unix))]
            ListenAddress::Unix(path) => Err(Error::new(format!(
                "cannot listen at {}: this platform has no Unix sockets; use `Http::bind`",
                path.display()
            ))),
            #[cfg(feature = "systemd")]
            ListenAddress::Inherited => inherit_socket(),
        }
    }

    /// Accepts a connection. Also returns the address of the peer, which Unix sockets do not have.
    pub(super) async fn accept(&self) -> io::Result<(AcceptedStream, Option<IpAddr>)> {
        match self {
            HttpListener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Nagle's algorithm would delay small responses until the peer acknowledges earlier ones. If the option cannot
                // be set, the connection still works.
                let _ = stream.set_nodelay(true);
                Ok((AcceptedStream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            #[cfg(unix)]
            HttpListener::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((AcceptedStream::Unix(stream), None))
            }
        }
    }
}

#[cfg(unix)]
async fn bind_unix(path: &std::path::Path) -> crate::Result<(HttpListener, String)> {
    let bind_error = |error| Error::because(format!("cannot listen at {}", path.display()), error);
    if UnixStream::connect(path).await.is_ok() {
        return Err(Error::new(format!(
            "cannot listen at {}: another process listens there",
            path.display()
        )));
    }
    // Nothing listens: the socket was left behind by a process that is gone. Anything but a socket is kept, and binding fails.
    let is_socket = std::fs::symlink_metadata(path)
        .is_ok_and(|file| std::os::unix::fs::FileTypeExt::is_socket(&file.file_type()));
    if is_socket {
        std::fs::remove_file(path).map_err(bind_error)?;
    }
    let listener = HttpListener::Unix {
        listener: UnixListener::bind(path).map_err(bind_error)?,
        _file: UnixSocketFile(Some(path.to_owned())),
    };
    Ok((listener, format!("+unix://{}", path.display())))
}

#[cfg(feature = "systemd")]
fn inherit_socket() -> crate::Result<(HttpListener, String)> {
    let unusable = |error| Error::because("cannot use the inherited socket", error);
    let mut sockets = listenfd::ListenFd::from_env();
    if let Ok(Some(listener)) = sockets.take_tcp_listener(0) {
        listener.set_nonblocking(true).map_err(unusable)?;
        let url = format!("://{}", listener.local_addr().map_err(unusable)?);
        let listener = TcpListener::from_std(listener).map_err(unusable)?;
        return Ok((HttpListener::Tcp(listener), url));
    }
    #[cfg(unix)]
    if let Ok(Some(listener)) = sockets.take_unix_listener(0) {
        listener.set_nonblocking(true).map_err(unusable)?;
        let listener = HttpListener::Unix {
            listener: UnixListener::from_std(listener).map_err(unusable)?,
            _file: UnixSocketFile(None),
        };
        return Ok((listener, "+unix://inherited".to_owned()));
    }
    Err(Error::new(
        "no socket was inherited: start the program with a systemd `.socket` unit or with `systemfd`",
    ))
}

/// Limits the open connections of each address.
#[derive(Clone, Debug)]
pub(super) struct PerAddressLimit {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limit: usize,
}

/// A permit for one connection, released when dropped. `None` for connections that are not counted.
#[derive(Debug)]
pub(super) struct AddressPermit(Option<(PerAddressLimit, IpAddr)>);

impl PerAddressLimit {
    pub(super) fn new(limit: usize) -> PerAddressLimit {
        PerAddressLimit {
            open: Arc::default(),
            limit,
        }
    }

    /// Returns `None` if the address has reached the limit. Connections without an address are not counted.
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
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Calls a method on the inner stream.
macro_rules! delegate {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            AcceptedStream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(unix)]
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
            #[cfg(unix)]
            AcceptedStream::Unix(stream) => stream.is_write_vectored(),
        }
    }
}

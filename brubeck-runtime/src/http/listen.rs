//! Where connections come from.

use super::At;
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

/// A socket that takes connections.
pub(super) enum HttpListener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        _file: UnixSocketFile,
    },
}

/// The name of a Unix socket, removed with it.
pub(super) struct UnixSocketFile(Option<PathBuf>);

impl Drop for UnixSocketFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Whoever took the name over meanwhile has removed it before.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl HttpListener {
    /// The listener and what to write after the scheme.
    pub(super) async fn open(at: &At) -> crate::Result<(HttpListener, String)> {
        match at {
            At::Address(address) => {
                let cannot = |error| Error::because(format!("cannot listen at {address}"), error);
                let listener = TcpListener::bind(address).await.map_err(cannot)?;
                let at = format!("://{}", listener.local_addr().map_err(cannot)?);
                Ok((HttpListener::Tcp(listener), at))
            }
            #[cfg(unix)]
            At::Unix(path) => {
                let cannot = |error| Error::because(format!("cannot listen at {}", path.display()), error);
                if UnixStream::connect(path).await.is_ok() {
                    return Err(Error::new(format!(
                        "somebody listens at {} already",
                        path.display()
                    )));
                }
                match std::fs::symlink_metadata(path) {
                    Ok(file) if is_socket(&file) => std::fs::remove_file(path).map_err(cannot)?,
                    _ => {}
                }
                let listener = UnixListener::bind(path).map_err(cannot)?;
                Ok((
                    HttpListener::Unix {
                        listener,
                        _file: UnixSocketFile(Some(path.clone())),
                    },
                    format!("+unix://{}", path.display()),
                ))
            }
            #[cfg(not(unix))]
            At::Unix(path) => Err(Error::new(format!(
                "{}: there are no Unix sockets here",
                path.display()
            ))),
            #[cfg(feature = "systemd")]
            At::Inherited => inherited(),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(AcceptedStream, Option<IpAddr>)> {
        match self {
            HttpListener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Without it small answers wait for an acknowledgement; a socket that refuses works all the same.
                let _ = stream.set_nodelay(true);
                Ok((AcceptedStream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            #[cfg(unix)]
            HttpListener::Unix { listener, .. } => {
                Ok((AcceptedStream::Unix(listener.accept().await?.0), None))
            }
        }
    }
}

#[cfg(unix)]
fn is_socket(file: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&file.file_type())
}

#[cfg(feature = "systemd")]
fn inherited() -> crate::Result<(HttpListener, String)> {
    let cannot = |error| Error::because("the socket that was handed over cannot be used", error);
    let mut handed = listenfd::ListenFd::from_env();
    if let Ok(Some(listener)) = handed.take_tcp_listener(0) {
        listener.set_nonblocking(true).map_err(cannot)?;
        let at = format!("://{}", listener.local_addr().map_err(cannot)?);
        return Ok((
            HttpListener::Tcp(TcpListener::from_std(listener).map_err(cannot)?),
            at,
        ));
    }
    #[cfg(unix)]
    if let Ok(Some(listener)) = handed.take_unix_listener(0) {
        listener.set_nonblocking(true).map_err(cannot)?;
        let listener = UnixListener::from_std(listener).map_err(cannot)?;
        return Ok((
            HttpListener::Unix {
                listener,
                _file: UnixSocketFile(None),
            },
            "+unix://inherited".to_owned(),
        ));
    }
    Err(Error::new(
        "no socket was handed over: start the program by a systemd `.socket` unit, or by `systemfd`",
    ))
}

/// How many connections each address has open.
#[derive(Clone, Debug)]
pub(super) struct PerAddressLimit {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limit: usize,
}

/// A place among the connections of an address, until this is dropped.
#[derive(Debug)]
pub(super) struct AddressPermit(Option<(PerAddressLimit, IpAddr)>);

impl PerAddressLimit {
    pub(super) fn new(limit: usize) -> PerAddressLimit {
        PerAddressLimit {
            open: Arc::default(),
            limit,
        }
    }

    /// `None` where the address has enough of them. Those of Unix sockets have no address and are not counted.
    pub(super) fn admit(&self, address: Option<IpAddr>) -> Option<AddressPermit> {
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
        let Some((peers, address)) = &self.0 else { return };
        let mut open = peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(address);
            }
        }
    }
}

/// A connection of either sort.
pub(super) enum AcceptedStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

macro_rules! either {
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
        either!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for AcceptedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored(cx, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            AcceptedStream::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            AcceptedStream::Unix(stream) => stream.is_write_vectored(),
        }
    }
}

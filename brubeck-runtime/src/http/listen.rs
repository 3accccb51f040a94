//! Listening sockets, accepted streams, and the limit for HTTP connections from one IP address.

use super::ListenAddress;
use crate::error::Error;
use brubeck_sockets::{
    BindError, CHECK_INTERVAL, Holder, Listener, ListenerGuard, PeerSocket, TcpOptions, UnixOptions, lookup,
};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

/// A TCP or Unix socket that accepts connections.
pub(super) struct HttpListener {
    sockets: Listener,
    /// The time at which the file of a Unix socket is looked at. An accept that is cancelled must not put it off.
    next_check: Mutex<Instant>,
}

impl HttpListener {
    /// Binds the socket, or takes the inherited one. Also returns what follows `http` or `https` in its URL:
    /// `://127.0.0.1:6767`, `+unix:///run/web.sock`, or `+unix://inherited`.
    pub(super) async fn open(address: &ListenAddress) -> crate::Result<(HttpListener, String)> {
        let (sockets, url) = match address {
            ListenAddress::Tcp(address) => bind_tcp(address).await?,
            ListenAddress::Unix {
                given: path,
                absolute,
            } => {
                let bound = Listener::bind_unix(absolute, UnixOptions::default()).await;
                let sockets = bound
                    .map_err(|error| Error::because(format!("cannot listen at {}", path.display()), error))?;
                (sockets, format!("+unix://{}", path.display()))
            }
            #[cfg(feature = "systemd")]
            ListenAddress::Inherited(name) => {
                let inherited = brubeck_sockets::inherit(name.as_deref());
                let sockets = inherited.map_err(|error| Error::because("cannot listen", error))?;
                let url = match sockets.addresses().first() {
                    Some(address) => format!("://{address}"),
                    None => "+unix://inherited".to_owned(),
                };
                (sockets, url)
            }
        };
        let listener = HttpListener {
            sockets,
            next_check: Mutex::new(Instant::now() + CHECK_INTERVAL),
        };
        Ok((listener, url))
    }

    /// Returns a guard that closes the listener.
    pub(super) fn guard(&self) -> ListenerGuard {
        self.sockets.handle().guard()
    }

    /// Accepts a connection. Also returns the IP address of the peer, or `None` for a Unix socket.
    pub(super) async fn accept(&self) -> io::Result<(AcceptedStream, Option<IpAddr>)> {
        match self.sockets.accept().await? {
            PeerSocket::Tcp(stream, peer) => {
                // Nagle's algorithm would delay small responses until the peer acknowledges earlier ones. If the option cannot
                // be set, the connection still works.
                let _ = stream.set_nodelay(true);
                Ok((AcceptedStream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            PeerSocket::Unix(stream) => Ok((AcceptedStream::Unix(stream), None)),
        }
    }

    /// Binds the path of a Unix socket again if its file is removed. Never returns.
    pub(super) async fn keep_name(&self) {
        if !self.sockets.has_name() {
            return std::future::pending().await;
        }
        loop {
            let next = *self.next_check.lock().unwrap_or_else(PoisonError::into_inner);
            tokio::time::sleep_until(next).await;
            self.sockets.check();
            *self.next_check.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + CHECK_INTERVAL;
        }
    }
}

async fn bind_tcp(address: &str) -> crate::Result<(Listener, String)> {
    let resolved = match address.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        // Brackets and malformed addresses are left to the parser of the standard library.
        Some((host, Ok(port))) if !host.is_empty() && !host.contains([':', '[']) => lookup(host, port).await,
        _ => tokio::net::lookup_host(address).await.map(Vec::from_iter),
    };
    let addresses = resolved.map_err(|error| tcp_error(address, error.into()))?;
    let sockets =
        Listener::bind_tcp(&addresses, TcpOptions::default()).map_err(|error| tcp_error(address, error))?;
    let url = sockets.addresses().first().map(|bound| format!("://{bound}"));
    if sockets.addresses().len() > 1 {
        tracing::info!(address, addresses = ?sockets.addresses(), "bound the addresses of the host");
    }
    Ok((sockets, url.unwrap_or_default()))
}

/// Creates the error of binding a TCP address, with a way to mend it.
fn tcp_error(address: &str, error: BindError) -> Error {
    let has_port = match address.rsplit_once(':') {
        Some((host, port)) => !port.is_empty() && (host.ends_with(']') || !host.contains(':')),
        None => false,
    };
    let port = address.rsplit(':').next().unwrap_or_default();
    let error = match error {
        BindError::InUse(Holder::ThisProcess) => {
            return Error::new(format!(
                "cannot listen at {address}: this process uses the port already; stop that application first, or choose another port (0 \
                 stands for any free one)"
            ));
        }
        error => io::Error::from(error),
    };
    let advice = match error.kind() {
        _ if !has_port => match address.parse() {
            Ok(IpAddr::V6(_)) => format!("the port is missing; write the address as `[{address}]:8080`"),
            _ if address.is_empty() => {
                "the address is empty; write a host and a port, such as `127.0.0.1:8080`".to_owned()
            }
            _ => format!(
                "the port is missing; add one, such as `{}:8080`",
                address.trim_end_matches(':')
            ),
        },
        _ if port.parse::<u16>().is_err() => {
            format!("`{port}` is not a port; write a number up to 65535, such as `127.0.0.1:8080`")
        }
        io::ErrorKind::AddrInUse => {
            return Error::new(format!(
                "cannot listen at {address}: the port is in use by another program; stop it, or choose another port (0 stands for any free \
                 one)"
            ));
        }
        io::ErrorKind::PermissionDenied => {
            "this process may not use the port; choose one from 1024 on, or give it the permission".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have the address; use 127.0.0.1 for local clients, or 0.0.0.0 for all"
                .to_owned()
        }
        _ => "use the name or the IP address of this machine, such as 127.0.0.1, and a port".to_owned(),
    };
    Error::because(format!("cannot listen at {address}: {advice}"), error)
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
    use std::path::Path;
    use tokio::net::TcpListener;

    async fn open(path: &Path) -> crate::Result<(HttpListener, String)> {
        HttpListener::open(&ListenAddress::Unix {
            given: path.to_owned(),
            absolute: path.to_owned(),
        })
        .await
    }

    #[tokio::test]
    async fn errors_of_tcp_addresses_say_how_to_mend_them() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = taken
            .local_addr()
            .map(|address| (taken, address.to_string()))
            .unwrap();
        for (address, advice) in [
            (&*taken.1, "the port is in use by another program"),
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
        assert!(error.to_string().contains("in use by this process"), "{error}");
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

//! A listener that owns what it has bound.

use crate::BindError;
use crate::path::SocketPath;
use crate::tcp::{self, OwnAddresses, TcpOptions};
use crate::unix::{self, OwnedName, UnixOptions};
use socket2::{SockAddr, SockRef, Socket};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The time between two calls of [`Listener::check`].
pub const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Accepts connections from one Unix socket, or from one or more TCP sockets.
///
/// Dropping it closes the sockets and removes the file of a Unix socket.
///
/// ```
/// use brubeck_sockets::{PeerSocket, Listener, TcpOptions, lookup};
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind_tcp(&lookup("localhost", 8080).await?, TcpOptions::default())?;
/// match listener.accept().await? {
///     PeerSocket::Tcp(_stream, address) => println!("connection from {address}"),
///     PeerSocket::Unix(_stream) => println!("local connection"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    shared: Arc<SharedListener>,
    addresses: Vec<SocketAddr>,
    path: Option<PathBuf>,
    has_name: bool,
}

/// Closes a [`Listener`], also while another task accepts. Cloning is cheap.
#[derive(Clone)]
pub struct ListenerHandle(Arc<dyn Fn() + Send + Sync>);

/// Closes a [`Listener`] when it is dropped, before the drop returns.
#[derive(Debug)]
#[must_use = "dropping a guard closes the listener"]
pub struct ListenerGuard(ListenerHandle);

/// An accepted connection.
#[derive(Debug)]
pub enum PeerSocket {
    /// A TCP connection, and the address of the peer.
    Tcp(TcpStream, SocketAddr),
    /// A connection over a Unix socket.
    Unix(UnixStream),
}

#[derive(Debug)]
struct SharedListener(Mutex<ListenerState>);

#[derive(Debug, Default)]
struct ListenerState {
    /// Declared before `sockets`, so that the file is removed before the socket is closed.
    name: Option<OwnedName>,
    sockets: Vec<ListeningSocket>,
    _addresses: OwnAddresses,
    /// The socket that is asked first, so that each one gets its turn.
    next: usize,
    /// Connections that waited at a socket whose file was removed.
    left_over: VecDeque<UnixStream>,
    /// Wakes the task that accepts if the sockets change.
    waker: Option<Waker>,
    /// The last reason why the name could not be bound again, which was logged.
    logged: Option<String>,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds the name of a Unix socket.
    ///
    /// A file that a dead process left is replaced; any other file is kept.
    ///
    /// # Errors
    /// Returns an error if the name is in use or cannot be bound.
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub async fn bind_unix(path: &Path, options: UnixOptions) -> Result<Listener, BindError> {
        let path = SocketPath::new(path)?;
        Listener::from_name(unix::bind(&path, options).await?)
    }

    /// Binds the name of a Unix socket as [`bind_unix`](Self::bind_unix) does. If another process binds a name in the same folder at the
    /// same time, blocks the thread for a moment.
    ///
    /// # Errors
    /// Returns the errors of [`bind_unix`](Self::bind_unix).
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub fn bind_unix_blocking(path: &Path, options: UnixOptions) -> Result<Listener, BindError> {
        let path = SocketPath::new(path)?;
        Listener::from_name(unix::bind_blocking(&path, options)?)
    }

    /// Binds all of these addresses, with the same port. Those that this machine does not have are skipped, if there is another one.
    ///
    /// # Errors
    /// Returns an error if one of the addresses is in use, or if none can be bound.
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub fn bind_tcp(addresses: &[SocketAddr], options: TcpOptions) -> Result<Listener, BindError> {
        let bound = tcp::bind(addresses, options)?;
        let addresses = bound
            .iter()
            .map(std::net::TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        let sockets = bound
            .into_iter()
            .map(|socket| TcpListener::from_std(socket).map(ListeningSocket::Tcp))
            .collect::<io::Result<Vec<_>>>()?;
        let state = ListenerState {
            sockets,
            _addresses: OwnAddresses::new(addresses.clone()),
            ..ListenerState::default()
        };
        Ok(Listener::new(state, addresses, None))
    }

    /// Uses a TCP socket that another process has bound.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub fn from_tcp(socket: std::net::TcpListener) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        let addresses = vec![socket.local_addr()?];
        let sockets = vec![ListeningSocket::Tcp(TcpListener::from_std(socket)?)];
        let state = ListenerState {
            sockets,
            ..ListenerState::default()
        };
        Ok(Listener::new(state, addresses, None))
    }

    /// Uses a Unix socket that another process has bound. Its file is not removed.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub fn from_unix(socket: std::os::unix::net::UnixListener) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
        let sockets = vec![ListeningSocket::Unix(UnixListener::from_std(socket)?)];
        let state = ListenerState {
            sockets,
            ..ListenerState::default()
        };
        Ok(Listener::new(state, Vec::new(), path))
    }

    fn from_name(
        (socket, name): (std::os::unix::net::UnixListener, OwnedName),
    ) -> Result<Listener, BindError> {
        let sockets = vec![ListeningSocket::Unix(UnixListener::from_std(socket)?)];
        let path = Some(name.path().as_path().to_owned());
        let state = ListenerState {
            name: Some(name),
            sockets,
            ..ListenerState::default()
        };
        Ok(Listener::new(state, Vec::new(), path))
    }

    fn new(state: ListenerState, addresses: Vec<SocketAddr>, path: Option<PathBuf>) -> Listener {
        Listener {
            has_name: state.name.is_some(),
            shared: Arc::new(SharedListener(Mutex::new(state))),
            addresses,
            path,
        }
    }

    /// Sets options of the TCP sockets. Accepted sockets inherit most of them.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn configure(&self, configure: fn(&SockRef<'_>) -> io::Result<()>) -> io::Result<()> {
        for socket in &self.shared.lock().sockets {
            if let ListeningSocket::Tcp(socket) = socket {
                configure(&SockRef::from(socket))?;
            }
        }
        Ok(())
    }

    /// Returns the bound TCP addresses. Empty for a Unix socket.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the path of a Unix socket. `None` for TCP, and for a Unix socket without a path.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns `true` if the listener owns a file, which [`check`](Self::check) should look at every [`CHECK_INTERVAL`].
    pub fn has_name(&self) -> bool {
        self.has_name
    }

    /// Returns a handle that closes the listener.
    pub fn handle(&self) -> ListenerHandle {
        let shared = self.shared.clone();
        ListenerHandle::new(move || shared.close())
    }

    /// Waits for a connection. Never completes once the listener is closed. This method is cancel safe.
    ///
    /// # Errors
    /// Returns the error of the operating system. The listener can still be used.
    pub async fn accept(&self) -> io::Result<PeerSocket> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Polls for a connection, as [`accept`](Self::accept) does.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<PeerSocket>> {
        let mut state = self.shared.lock();
        let accepted = state.poll(|socket| socket.poll_accept(cx));
        if accepted.is_pending() {
            state.waker = Some(cx.waker().clone());
        }
        accepted
    }

    /// Accepts a connection that waits, without an event of the runtime. Returns `WouldBlock` if no connection waits.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn try_accept(&self) -> io::Result<PeerSocket> {
        let accepted = self.shared.lock().poll(|socket| match socket.try_accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            accepted => Poll::Ready(accepted),
        });
        match accepted {
            Poll::Ready(accepted) => accepted,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Looks whether the file is still that of this listener, and binds the name again if it was removed.
    ///
    /// The file is also replaced if it belongs to a dead process. Anything else is kept and logged. Does nothing unless the listener
    /// [has a name](Self::has_name).
    pub fn check(&self) {
        self.shared.lock().check_name();
    }

    /// Closes the sockets, and removes the file of a Unix socket. Connections that were not accepted are closed.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

impl SharedListener {
    fn lock(&self) -> MutexGuard<'_, ListenerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        // Under the lock, so that a concurrent call returns only when the address is free, too.
        *self.lock() = ListenerState::default();
    }
}

impl ListenerState {
    /// Asks each socket once, beginning with the one after the last that accepted a connection.
    fn poll(
        &mut self,
        mut accept: impl FnMut(&ListeningSocket) -> Poll<io::Result<PeerSocket>>,
    ) -> Poll<io::Result<PeerSocket>> {
        if let Some(stream) = self.left_over.pop_front() {
            return Poll::Ready(Ok(PeerSocket::Unix(stream)));
        }
        let count = self.sockets.len();
        for offset in 0..count {
            let at = (self.next + offset) % count;
            let Some(socket) = self.sockets.get(at) else {
                continue;
            };
            if let Poll::Ready(accepted) = accept(socket) {
                self.next = at + 1;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }

    fn check_name(&mut self) {
        let Some(name) = &self.name else { return };
        let path = name.path().as_path();
        if name.is_own() {
            self.logged = None;
            return;
        }
        let bound = match name.bind_again() {
            // Another process binds a name in this folder.
            Err(BindError::Locked) => return,
            Err(error) => Err(error),
            Ok((socket, name)) => match UnixListener::from_std(socket) {
                Ok(socket) => Ok((socket, name)),
                Err(error) => Err(error.into()),
            },
        };
        let (socket, name) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                let reason = error.to_string();
                if self.logged.as_ref() != Some(&reason) {
                    tracing::warn!(
                        path = %path.display(),
                        reason,
                        "the socket file was removed or replaced, so new connections do not arrive; trying to bind the path again until it succeeds"
                    );
                    self.logged = Some(reason);
                }
                return;
            }
        };
        tracing::warn!(path = %path.display(), "the socket file was removed or replaced; bound the path again");
        self.logged = None;
        // The file of the old name is not its own, so dropping it removes nothing.
        self.name = Some(name);
        let old = std::mem::replace(&mut self.sockets, vec![ListeningSocket::Unix(socket)]);
        for socket in old {
            // At most as many as its backlog, because no new connection can arrive.
            while let Ok(PeerSocket::Unix(stream)) = socket.try_accept() {
                self.left_over.push_back(stream);
            }
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ListeningSocket {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<PeerSocket>> {
        match self {
            Self::Tcp(socket) => socket
                .poll_accept(cx)
                .map_ok(|(stream, address)| PeerSocket::Tcp(stream, address)),
            Self::Unix(socket) => socket
                .poll_accept(cx)
                .map_ok(|(stream, _)| PeerSocket::Unix(stream)),
        }
    }

    fn try_accept(&self) -> io::Result<PeerSocket> {
        let accept = |socket: SockRef<'_>| -> io::Result<(Socket, SockAddr)> {
            let (stream, address) = socket.accept()?;
            stream.set_nonblocking(true)?;
            Ok((stream, address))
        };
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = accept(SockRef::from(socket))?;
                let address = address.as_socket().ok_or(ErrorKind::InvalidData)?;
                Ok(PeerSocket::Tcp(TcpStream::from_std(stream.into())?, address))
            }
            Self::Unix(socket) => {
                let (stream, _) = accept(SockRef::from(socket))?;
                Ok(PeerSocket::Unix(UnixStream::from_std(stream.into())?))
            }
        }
    }
}

impl ListenerHandle {
    /// Creates a handle that calls `close`.
    pub fn new(close: impl Fn() + Send + Sync + 'static) -> ListenerHandle {
        ListenerHandle(Arc::new(close))
    }

    /// Closes the listener before it returns: its addresses are free, and the file of a Unix socket is removed. Connections that
    /// were accepted are not affected.
    pub fn close(&self) {
        (self.0)();
    }

    /// Returns a guard that closes the listener when it is dropped.
    pub fn guard(&self) -> ListenerGuard {
        ListenerGuard(self.clone())
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for ListenerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerHandle").finish_non_exhaustive()
    }
}

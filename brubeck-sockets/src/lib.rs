//! Listening sockets: bound names that are owned, and host names with several addresses.
//!
//! A [`Listener`] accepts connections from one Unix socket, from all addresses of a host name, or from a socket that the parent
//! process passed. It owns what it has bound, and releases it when it is closed or dropped.
//!
//! ```
//! use brubeck_sockets::{Listener, UnixOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("brubeck-sockets-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("socket");
//! let listener = Listener::bind_unix(&path, UnixOptions::default()).await?;
//! assert!(Listener::bind_unix(&path, UnixOptions::default()).await.is_err());
//! drop(listener);
//! assert!(!path.exists());
//! # std::fs::remove_dir(folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Names of Unix sockets
//!
//! A file is replaced only if a connection to it is refused, because only then no process listens there. Looking, removing and
//! binding happen under a lock of the folder (`flock`), so that of several processes that start at the same time exactly one
//! binds the name. The lock needs no file of its own. Each operation holds it for less than a millisecond.
//!
//! A file is removed only if its device and inode are those of the socket that was bound. A path that is relative refers to the
//! working directory at the time of binding.

#[cfg(not(unix))]
compile_error!("brubeck-sockets supports Linux, macOS and other Unix systems only");

mod error;
#[cfg(feature = "systemd")]
mod inherited;
mod listener;
mod lock;
mod path;
mod probe;
mod tcp;
mod unix;

pub use error::{BindError, Holder};
#[cfg(feature = "systemd")]
pub use inherited::{InheritedError, inherit};
pub use listener::{CHECK_INTERVAL, Listener, ListenerGuard, ListenerHandle, PeerSocket};
pub use path::SocketPath;
pub use tcp::{TcpOptions, is_localhost, lookup, lookup_blocking};
pub use unix::UnixOptions;

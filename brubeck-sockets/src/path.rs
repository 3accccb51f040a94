//! Paths of Unix sockets that do not depend on the working directory.

use socket2::SockAddr;
use std::io;
use std::path::{Path, PathBuf};

/// The absolute path of a Unix socket. Later changes of the working directory have no effect on it.
///
/// ```
/// use brubeck_sockets::SocketPath;
///
/// let path = SocketPath::new("run/service.sock".as_ref())?;
/// assert_eq!(path.as_path(), std::env::current_dir()?.join("run/service.sock"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SocketPath(PathBuf);

impl SocketPath {
    /// Resolves a path that is relative to the working directory.
    ///
    /// # Errors
    /// Returns an error if the path is empty, or if the working directory is not known.
    pub fn new(path: &Path) -> io::Result<SocketPath> {
        Ok(SocketPath(std::path::absolute(path)?))
    }

    /// Returns the absolute path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// Returns the folder of the socket.
    pub(crate) fn folder(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }

    /// Connects to the socket.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    ///
    /// # Panics
    /// Panics if it is called outside of a tokio runtime.
    pub async fn connect(&self) -> io::Result<tokio::net::UnixStream> {
        match self.short_alias() {
            None => tokio::net::UnixStream::connect(&self.0).await,
            Some(alias) => tokio::net::UnixStream::connect(&alias?.path).await,
        }
    }

    /// Calls `action` with the address of the socket.
    pub(crate) fn with_address<T>(&self, action: impl FnOnce(&SockAddr) -> T) -> io::Result<T> {
        match self.short_alias() {
            None => Ok(action(&SockAddr::unix(&self.0)?)),
            Some(alias) => {
                let alias = alias?;
                Ok(action(&SockAddr::unix(&alias.path)?))
            }
        }
    }

    /// Returns another path to the socket if the path is too long for an address. A relative path that is short enough may have an
    /// absolute path that is not.
    #[cfg(target_os = "linux")]
    fn short_alias(&self) -> Option<io::Result<ShortAlias>> {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::OpenOptionsExt;

        SockAddr::unix(&self.0).err()?;
        let name = self.0.file_name()?;
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(self.folder());
        Some(opened.map(|folder| {
            ShortAlias {
                path: Path::new("/proc/self/fd")
                    .join(folder.as_raw_fd().to_string())
                    .join(name),
                _folder: folder,
            }
        }))
    }

    #[cfg(not(target_os = "linux"))]
    fn short_alias(&self) -> Option<io::Result<ShortAlias>> {
        None
    }
}

/// A short path to a socket, valid as long as its folder is open.
struct ShortAlias {
    path: PathBuf,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    _folder: std::fs::File,
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn path_that_is_too_long_for_an_address_can_be_bound_and_connected() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(100)).join("y".repeat(100));
        std::fs::create_dir_all(&long).unwrap();
        let path = SocketPath::new(&long.join("socket")).unwrap();
        let listener = crate::Listener::bind_unix(path.as_path(), crate::UnixOptions::default())
            .await
            .unwrap();
        path.connect().await.unwrap();
        drop(listener);
        assert!(!path.as_path().exists());
    }
}

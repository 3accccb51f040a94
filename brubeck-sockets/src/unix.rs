//! Binding the name of a Unix socket, and owning the file.

use crate::lock::{FolderLock, LockAttempt};
use crate::path::SocketPath;
use crate::probe::{Probe, probe};
use crate::{BindError, Holder};
use socket2::{Domain, Socket, Type};
use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of connections that wait to be accepted.
pub(crate) const BACKLOG: i32 = 1024;

/// The longest wait for the lock of a folder when a name is bound.
const BIND_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait for the lock of a folder when a file is removed, which happens in destructors.
const REMOVE_LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// The time between two attempts to lock a folder.
const LOCK_RETRY: Duration = Duration::from_millis(1);

/// Maximum number of times that a name is looked at while other programs change it.
const MAX_LOOKS: usize = 16;

/// How the file of a Unix socket is created.
///
/// ```
/// use brubeck_sockets::UnixOptions;
///
/// let private = UnixOptions { mode: Some(0o600), create_folder: true };
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixOptions {
    /// The mode of the file. `None` applies the umask of the process.
    pub mode: Option<u32>,
    /// Creates the folder with mode 0700 if it is missing.
    pub create_folder: bool,
}

/// A file by its device and inode. The inode is not used again while the socket that was bound to it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    fn of(metadata: &Metadata) -> FileIdentity {
        FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// The files that this process has bound.
static OWN_FILES: Mutex<Vec<FileIdentity>> = Mutex::new(Vec::new());

fn own_files() -> MutexGuard<'static, Vec<FileIdentity>> {
    OWN_FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a bound socket. Dropping it removes the file if it is still that of the socket.
///
/// Drop it before the socket is closed: then the inode cannot belong to another file.
#[derive(Debug)]
pub(crate) struct OwnedName {
    path: SocketPath,
    options: UnixOptions,
    identity: FileIdentity,
}

/// Binds a name. Waits while another process binds a name in the same folder.
pub(crate) async fn bind(
    path: &SocketPath,
    options: UnixOptions,
) -> Result<(UnixListener, OwnedName), BindError> {
    let deadline = Instant::now() + BIND_LOCK_TIMEOUT;
    loop {
        match try_bind(path, options) {
            Err(BindError::Locked) if Instant::now() < deadline => tokio::time::sleep(LOCK_RETRY).await,
            bound => return bound,
        }
    }
}

/// Binds a name as [`bind`] does, and blocks the thread while it waits.
pub(crate) fn bind_blocking(
    path: &SocketPath,
    options: UnixOptions,
) -> Result<(UnixListener, OwnedName), BindError> {
    let deadline = Instant::now() + BIND_LOCK_TIMEOUT;
    loop {
        match try_bind(path, options) {
            Err(BindError::Locked) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
            bound => return bound,
        }
    }
}

/// Binds a name unless its folder is locked.
pub(crate) fn try_bind(
    path: &SocketPath,
    options: UnixOptions,
) -> Result<(UnixListener, OwnedName), BindError> {
    if options.create_folder {
        create_folder(path.folder())?;
    }
    let lock = match FolderLock::attempt(path.folder()) {
        LockAttempt::Locked(lock) => Ok(lock),
        LockAttempt::Held => return Err(BindError::Locked),
        // Binding a free name is atomic without a lock.
        LockAttempt::Unavailable(error) => Err(error),
    };
    for _ in 0..MAX_LOOKS {
        match bind_free_name(path, options) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(BindError::Io(error)),
            Ok(bound) => return Ok(bound),
        }
        let found = match std::fs::symlink_metadata(path.as_path()) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(BindError::Uncertain(error)),
        };
        if !found.file_type().is_socket() {
            return Err(BindError::NotASocket);
        }
        if own_files().contains(&FileIdentity::of(&found)) {
            return Err(BindError::InUse(Holder::ThisProcess));
        }
        match probe(path) {
            Probe::Gone => continue,
            Probe::InUse(holder) => return Err(BindError::InUse(holder)),
            Probe::Uncertain(error) => return Err(BindError::Uncertain(error)),
            Probe::Refused => {}
        }
        if let Err(error) = &lock {
            return Err(BindError::Unlockable(copy(error)));
        }
        // A program that does not use the lock may have replaced the file since it was probed.
        let identity = FileIdentity::of(&found);
        if std::fs::symlink_metadata(path.as_path()).is_ok_and(|now| FileIdentity::of(&now) == identity) {
            tracing::info!(path = %path.as_path().display(), "removing the socket file of a dead process");
            std::fs::remove_file(path.as_path())?;
        }
    }
    Err(BindError::InUse(Holder::AnotherProcess))
}

fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    }
}

/// Binds a name that is free. The error is `AddrInUse` if there is a file of any kind.
fn bind_free_name(path: &SocketPath, options: UnixOptions) -> io::Result<(UnixListener, OwnedName)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // On Linux, `bind` gives the file the mode of the socket, so other users cannot connect before the mode is set below.
    #[cfg(target_os = "linux")]
    let socket = match options.mode {
        None => socket,
        Some(mode) => {
            let file = File::from(OwnedFd::from(socket));
            file.set_permissions(Permissions::from_mode(mode))?;
            Socket::from(OwnedFd::from(file))
        }
    };
    path.with_address(|address| socket.bind(address))??;
    let metadata = std::fs::symlink_metadata(path.as_path())?;
    if !metadata.file_type().is_socket() {
        return Err(ErrorKind::AddrInUse.into());
    }
    let identity = FileIdentity::of(&metadata);
    own_files().push(identity);
    let name = OwnedName {
        path: path.clone(),
        options,
        identity,
    };
    // From here on an error drops `name`, which removes the file.
    if let Some(mode) = options.mode {
        std::fs::set_permissions(path.as_path(), Permissions::from_mode(mode))?;
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((OwnedFd::from(socket).into(), name))
}

/// Creates a folder with mode 0700. An existing folder keeps its mode.
fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(|error| {
        let text = format!("cannot create the directory {}: {error}", folder.display());
        io::Error::new(error.kind(), text)
    })
}

impl OwnedName {
    pub(crate) fn path(&self) -> &SocketPath {
        &self.path
    }

    /// Returns `true` if the name still leads to the socket that was bound, or if this cannot be found out.
    pub(crate) fn is_own(&self) -> bool {
        match std::fs::symlink_metadata(self.path.as_path()) {
            Ok(found) => FileIdentity::of(&found) == self.identity,
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }

    /// Binds the name again, without waiting.
    pub(crate) fn bind_again(&self) -> Result<(UnixListener, OwnedName), BindError> {
        try_bind(&self.path, self.options)
    }

    fn remove(&self) {
        let deadline = Instant::now() + REMOVE_LOCK_TIMEOUT;
        let _lock = loop {
            match FolderLock::attempt(self.path.folder()) {
                LockAttempt::Locked(lock) => break Some(lock),
                // Without locks no file is replaced, so the check below is enough.
                LockAttempt::Unavailable(_) => break None,
                LockAttempt::Held if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
                LockAttempt::Held => {
                    return tracing::warn!(
                        path = %self.path.as_path().display(),
                        "the socket file stays, because another program holds the lock of the folder; the next start replaces it"
                    );
                }
            }
        };
        let removed = match std::fs::symlink_metadata(self.path.as_path()) {
            Ok(found) if FileIdentity::of(&found) == self.identity => {
                std::fs::remove_file(self.path.as_path())
            }
            Ok(_) => Err(io::Error::other("it belongs to another program")),
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::debug!(path = %self.path.as_path().display(), %error, "the socket file is not removed");
        }
    }
}

impl Drop for OwnedName {
    fn drop(&mut self) {
        self.remove();
        let mut own = own_files();
        if let Some(at) = own.iter().position(|identity| *identity == self.identity) {
            own.swap_remove(at);
        }
    }
}

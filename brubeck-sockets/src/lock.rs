//! The lock under which a name is probed, removed and bound.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A lock of a folder, released when dropped.
///
/// The lock is an `flock` of the folder itself. A lock file next to the socket would have to stay for ever, or be removed by a
/// protocol of its own, and in a shared folder one user could not open that of another one. It also excludes threads of this
/// process from each other, because each lock opens the folder itself.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _folder: File,
}

/// The result of trying to lock a folder.
#[derive(Debug)]
pub(crate) enum LockAttempt {
    Locked(FolderLock),
    /// Another thread or process holds the lock.
    Held,
    /// The folder cannot be opened, or its file system has no locks.
    Unavailable(io::Error),
}

impl FolderLock {
    /// Tries to lock the folder, without waiting.
    pub(crate) fn attempt(folder: &Path) -> LockAttempt {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(folder);
        let folder = match opened {
            Ok(folder) => folder,
            Err(error) => return LockAttempt::Unavailable(error),
        };
        match folder.try_lock() {
            Ok(()) => LockAttempt::Locked(FolderLock { _folder: folder }),
            Err(TryLockError::WouldBlock) => LockAttempt::Held,
            Err(TryLockError::Error(error)) => LockAttempt::Unavailable(error),
        }
    }
}

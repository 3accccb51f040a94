//! Uploads that a web server in front, such as Mongrel2, has written to a file.

use crate::response::{Body, BodyError, BoxError};
use bytes::Bytes;
use futures_util::stream;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// The size of one read, in bytes.
const READ_SIZE: usize = 256 << 10;

/// A file with the body of an upload. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct SpooledFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl SpooledFile {
    /// Opens the file that a web server has reported. `length` is the content length of the request; the file can be longer,
    /// because it may contain the start of the next request of the connection.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist, cannot be opened, is not a regular file, or is shorter than `length`.
    pub(crate) fn open(path: PathBuf, length: Option<u64>) -> io::Result<SpooledFile> {
        use std::os::unix::fs::OpenOptionsExt;
        // A symbolic link could point to any file of the server. Without `O_NONBLOCK`, opening a pipe blocks until it has a
        // writer.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = File::options().read(true).custom_flags(flags).open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the upload is not a regular file",
            ));
        }
        let size = length.map_or(metadata.len(), |length| length.min(metadata.len()));
        if length.is_some_and(|length| metadata.len() < length) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the upload is shorter than its announced length",
            ));
        }
        Ok(SpooledFile { path, file, size })
    }

    /// Moves the file to `to`, and returns its size.
    ///
    /// # Errors
    ///
    /// Returns the `SpooledFile` if it cannot be moved, for example because `to` exists or is on another file system. Its content can
    /// still be read.
    fn move_to(self, to: &Path) -> Result<u64, SpooledFile> {
        // A hard link fails if the target exists, while a rename would replace it. The original is removed on drop.
        let link = || {
            // Removes the bytes after the body. They are never read, so it does no harm if the link fails afterwards.
            if self.file.metadata()?.len() != self.size {
                File::options().write(true).open(&self.path)?.set_len(self.size)?;
            }
            std::fs::hard_link(&self.path, to)
        };
        match link() {
            Ok(()) => Ok(self.size),
            Err(_) => Err(self),
        }
    }
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "could not remove upload file");
        }
    }
}

/// The file of an upload, which a web server may still be writing. Clones share the file; the first one to need it takes it.
#[derive(Clone, Debug)]
pub(crate) struct PendingFile(Arc<Mutex<Option<oneshot::Receiver<SpooledFile>>>>);

impl PendingFile {
    /// Returns a sender for the complete file, and the receiving side.
    pub(crate) fn new() -> (oneshot::Sender<SpooledFile>, PendingFile) {
        let (sender, receiver) = oneshot::channel();
        (sender, PendingFile(Arc::new(Mutex::new(Some(receiver)))))
    }

    /// Waits until the file is complete, and takes it. Returns `None` if it was taken before.
    ///
    /// # Errors
    ///
    /// Returns an error if the sender was dropped: the client has disconnected, or the file could not be opened.
    async fn take(&self) -> Result<Option<SpooledFile>, BodyError> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match receiver {
            None => Ok(None),
            Some(receiver) => {
                let incomplete = |_| BodyError::Broken("the upload was not completed".into());
                receiver.await.map(Some).map_err(incomplete)
            }
        }
    }

    /// Moves the file to `to`, and returns its size. Returns `None` if the file was taken before or cannot be moved. If it cannot be
    /// moved, [`body`](PendingFile::body) still returns its content, to be copied.
    ///
    /// # Errors
    ///
    /// Returns an error if the upload was not completed, or the file is larger than `limit` bytes.
    pub(super) async fn save(&self, to: &Path, limit: u64) -> Result<Option<u64>, super::UploadError> {
        let file = self
            .take()
            .await
            .map_err(|error| super::UploadError::from_box(error.into()))?;
        let Some(file) = file else { return Ok(None) };
        if file.size > limit {
            return Err(super::UploadError::TooLarge);
        }
        let to = to.to_owned();
        let moved = spawn_blocking(move || file.move_to(&to)).await;
        match moved.map_err(io::Error::other)? {
            Ok(size) => Ok(Some(size)),
            Err(file) => {
                // Puts the file back, so that `body` can read it.
                let (sender, receiver) = oneshot::channel();
                let _ = sender.send(file);
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
                Ok(None)
            }
        }
    }

    /// Returns the content of the file as a body. It is empty if the file was taken before.
    pub(crate) fn body(self) -> Body {
        Body::from_stream(stream::try_unfold(ReadState::Pending(self), |state| async move {
            let (file, remaining) = match state {
                ReadState::Pending(pending) => match pending.take().await? {
                    Some(file) => {
                        let size = file.size;
                        (file, size)
                    }
                    None => return Ok(None),
                },
                ReadState::Open { file, remaining } => (file, remaining),
            };
            if remaining == 0 {
                return Ok::<_, BoxError>(None);
            }
            let (file, bytes) = spawn_blocking(move || read_chunk(file, remaining)).await??;
            let remaining = remaining.saturating_sub(bytes.len() as u64);
            Ok(Some((bytes, ReadState::Open { file, remaining })))
        }))
    }
}

enum ReadState {
    Pending(PendingFile),
    Open { file: SpooledFile, remaining: u64 },
}

/// Reads up to [`READ_SIZE`] of the `remaining` bytes. Takes and returns the file, because the function runs on a blocking thread.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or has become shorter since it was opened.
fn read_chunk(spooled: SpooledFile, remaining: u64) -> io::Result<(SpooledFile, Bytes)> {
    let size = usize::try_from(remaining).map_or(READ_SIZE, |remaining| remaining.min(READ_SIZE));
    let mut bytes = Vec::with_capacity(size);
    (&spooled.file).take(size as u64).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((spooled, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn rejects_links_folders_and_missing_files() {
        let folder = folder();
        let file = folder.path().join("file");
        std::fs::write(&file, "secret").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(SpooledFile::open(link, None).is_err());
        assert!(SpooledFile::open(folder.path().to_owned(), None).is_err());
        assert!(SpooledFile::open(folder.path().join("none"), None).is_err());
        assert!(file.exists());
    }

    #[tokio::test]
    async fn body_ends_at_announced_length() {
        let folder = folder();
        let file = folder.path().join("file");
        std::fs::write(&file, "hello and more").unwrap();
        let (sender, pending) = PendingFile::new();
        sender
            .send(SpooledFile::open(file.clone(), Some(5)).unwrap())
            .unwrap();
        assert_eq!(pending.body().collect(100).await.unwrap(), "hello");
        assert!(!file.exists(), "the file is removed after it is read");
        std::fs::write(&file, "short").unwrap();
        assert!(SpooledFile::open(file, Some(6)).is_err());
    }

    #[tokio::test]
    async fn save_moves_file_and_truncates_it_to_announced_length() {
        let folder = folder();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, "hello and more").unwrap();
        let (sender, pending) = PendingFile::new();
        sender
            .send(SpooledFile::open(from.clone(), Some(5)).unwrap())
            .unwrap();
        assert_eq!(pending.save(&to, 10).await.unwrap(), Some(5));
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
        assert!(!from.exists());
        // A file that exists is not replaced.
        std::fs::write(&from, "again").unwrap();
        let (sender, pending) = PendingFile::new();
        sender
            .send(SpooledFile::open(from.clone(), None).unwrap())
            .unwrap();
        assert_eq!(pending.save(&to, 10).await.unwrap(), None);
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
        assert_eq!(pending.body().collect(10).await.unwrap(), "again");
    }

    #[tokio::test]
    async fn disconnect_before_upload_completes_is_an_error() {
        let (sender, pending) = PendingFile::new();
        drop(sender);
        assert!(matches!(
            pending.body().collect(10).await,
            Err(BodyError::Broken(_))
        ));
    }
}

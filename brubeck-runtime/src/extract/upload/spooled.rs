//! Uploads that a web server wrote to a file.

use crate::response::{Body, BodyError, BoxError};
use bytes::Bytes;
use futures_util::stream;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// How much of a file is read at once.
const PIECE: usize = 256 << 10;

/// A file that holds an upload. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct SpooledFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl SpooledFile {
    /// Opens what a web server says it wrote. `length`: what the client announced; bytes behind it belong to its next
    /// request.
    ///
    /// # Errors
    ///
    /// There is no such file, or it is none: a link, a folder, a device.
    #[cfg(unix)]
    pub(crate) fn open(path: PathBuf, length: Option<u64>) -> io::Result<SpooledFile> {
        use std::os::unix::fs::OpenOptionsExt;
        // Opening a pipe would wait for somebody to write to it.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = File::options().read(true).custom_flags(flags).open(&path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file",
            ));
        }
        let size = length.map_or(about.len(), |length| length.min(about.len()));
        if length.is_some_and(|length| about.len() < length) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it is shorter than was announced",
            ));
        }
        Ok(SpooledFile { path, file, size })
    }

    #[cfg(not(unix))]
    pub(crate) fn open(_: PathBuf, _: Option<u64>) -> io::Result<SpooledFile> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Moves the file, if it can be moved; gives it back if not.
    fn move_to(self, to: &Path) -> Result<u64, SpooledFile> {
        // A link fails where something is already, which a rename would replace.
        let moved = || {
            if self.file.metadata()?.len() != self.size {
                File::options().write(true).open(&self.path)?.set_len(self.size)?;
            }
            std::fs::hard_link(&self.path, to)
        };
        match moved() {
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
            tracing::warn!(path = %self.path.display(), %error, "an upload could not be removed");
        }
    }
}

/// An upload that a web server is still writing to a file.
#[derive(Clone, Debug)]
pub(crate) struct PendingFile(Arc<Mutex<Option<oneshot::Receiver<SpooledFile>>>>);

impl PendingFile {
    /// And the end by which it is told.
    pub(crate) fn new() -> (oneshot::Sender<SpooledFile>, PendingFile) {
        let (tell, told) = oneshot::channel();
        (tell, PendingFile(Arc::new(Mutex::new(Some(told)))))
    }

    /// The file, once it is there.
    async fn stored(&self) -> Result<Option<SpooledFile>, BodyError> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match told {
            None => Ok(None),
            Some(told) => {
                let gone = |_| BodyError::Broken("the client went away".into());
                told.await.map(Some).map_err(gone)
            }
        }
    }

    /// Moves the file. `None` where it cannot be moved and has to be read.
    pub(super) async fn save(&self, to: &Path, limit: u64) -> Result<Option<u64>, super::UploadError> {
        let stored = self
            .stored()
            .await
            .map_err(|error| super::UploadError::from_box(error.into()))?;
        let Some(stored) = stored else { return Ok(None) };
        if stored.size > limit {
            return Err(super::UploadError::TooLarge);
        }
        let to = to.to_owned();
        let moved = spawn_blocking(move || stored.move_to(&to)).await;
        match moved.map_err(io::Error::other)? {
            Ok(size) => Ok(Some(size)),
            Err(stored) => {
                // The body reads it then.
                let (tell, told) = oneshot::channel();
                let _ = tell.send(stored);
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
                Ok(None)
            }
        }
    }

    /// Its content.
    pub(crate) fn body(self) -> Body {
        Body::from_stream(stream::try_unfold(
            Reading::PendingFile(self),
            |reading| async move {
                let (stored, left) = match reading {
                    Reading::PendingFile(waiting) => match waiting.stored().await? {
                        Some(stored) => {
                            let size = stored.size;
                            (stored, size)
                        }
                        None => return Ok(None),
                    },
                    Reading::Open(stored, left) => (stored, left),
                };
                if left == 0 {
                    return Ok::<_, BoxError>(None);
                }
                let (stored, bytes) = spawn_blocking(move || read(stored, left)).await??;
                let left = left.saturating_sub(bytes.len() as u64);
                Ok(Some((bytes, Reading::Open(stored, left))))
            },
        ))
    }
}

enum Reading {
    PendingFile(PendingFile),
    Open(SpooledFile, u64),
}

fn read(stored: SpooledFile, left: u64) -> io::Result<(SpooledFile, Bytes)> {
    let many = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
    let mut bytes = Vec::with_capacity(many);
    (&stored.file).take(many as u64).read_to_end(&mut bytes)?;
    match bytes.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok((stored, bytes.into())),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn links_and_folders_are_no_uploads() {
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
    async fn the_next_request_is_no_part_of_it() {
        let folder = folder();
        let file = folder.path().join("file");
        std::fs::write(&file, "hello and more").unwrap();
        let (tell, waiting) = PendingFile::new();
        tell.send(SpooledFile::open(file.clone(), Some(5)).unwrap())
            .unwrap();
        assert_eq!(waiting.body().collect(100).await.unwrap(), "hello");
        assert!(!file.exists(), "it is removed when it was read");
        std::fs::write(&file, "short").unwrap();
        assert!(SpooledFile::open(file, Some(6)).is_err());
    }

    #[tokio::test]
    async fn it_is_moved_and_cut() {
        let folder = folder();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, "hello and more").unwrap();
        let (tell, waiting) = PendingFile::new();
        tell.send(SpooledFile::open(from.clone(), Some(5)).unwrap())
            .unwrap();
        assert_eq!(waiting.save(&to, 10).await.unwrap(), Some(5));
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
        assert!(!from.exists());
        // Nothing that is there already is replaced.
        std::fs::write(&from, "again").unwrap();
        let (tell, waiting) = PendingFile::new();
        tell.send(SpooledFile::open(from.clone(), None).unwrap()).unwrap();
        assert_eq!(waiting.save(&to, 10).await.unwrap(), None);
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
        assert_eq!(waiting.body().collect(10).await.unwrap(), "again");
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_an_error() {
        let (tell, waiting) = PendingFile::new();
        drop(tell);
        assert!(matches!(
            waiting.body().collect(10).await,
            Err(BodyError::Broken(_))
        ));
    }
}

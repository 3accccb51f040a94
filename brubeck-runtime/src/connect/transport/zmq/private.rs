//! The Unix socket between the gate and the socket behind it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use super::super::MAX_IPC_PATH;
use super::listener::{bind_unix, is_served};
use super::socket::random_name;

const PREFIX: &str = "brubeck-";

/// A folder younger than this may belong to a process that is just about to listen in it.
const YOUNG: Duration = Duration::from_secs(60);

/// A Unix socket in a temporary folder that only the user of this process can enter.
#[derive(Debug)]
pub(super) struct PrivatePath {
    folder: PathBuf,
    pub(super) socket: Arc<Path>,
}

impl PrivatePath {
    pub(super) fn create() -> io::Result<(Self, UnixListener)> {
        let name = format!("{PREFIX}{}", random_name()?);
        let mut parent = std::env::temp_dir();
        // The folder for temporary files may itself be too deep for the path of a socket.
        if parent.as_os_str().len() + name.len() + 3 > MAX_IPC_PATH {
            parent = PathBuf::from("/tmp");
        }
        let folder = parent.join(name);
        DirBuilder::new().mode(0o700).create(&folder)?;
        let private = Self {
            socket: folder.join("s").into(),
            folder,
        };
        let listener = bind_unix(&private.socket)?;

        static SWEPT: Once = Once::new();
        let user = std::fs::metadata(&private.folder)?.uid();
        SWEPT.call_once(|| sweep(&parent, user, YOUNG));
        Ok((private, listener))
    }
}

impl Drop for PrivatePath {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes the folders that processes of this user left behind when they were killed.
fn sweep(parent: &Path, user: u32, young: Duration) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
            && abandoned(&entry.path(), user, young).unwrap_or(false)
        {
            remove(&entry.path());
        }
    }
}

/// Whether a folder is one of ours in which nobody listens. Links are never followed.
fn abandoned(folder: &Path, user: u32, young: Duration) -> io::Result<bool> {
    let meta = folder.symlink_metadata()?;
    let old = meta.modified()?.elapsed().is_ok_and(|age| age >= young);
    if !meta.is_dir() || meta.uid() != user || meta.mode() & 0o077 != 0 || !old {
        return Ok(false);
    }
    let socket = folder.join("s");
    match socket.symlink_metadata() {
        Ok(meta) => Ok(meta.file_type().is_socket() && !is_served(&socket)?),
        Err(_) => Ok(true),
    }
}

/// Removes a folder with its socket; it stays if anything else is in it.
fn remove(folder: &Path) {
    // A socket that closed well has removed its file itself.
    let _ = std::fs::remove_file(folder.join("s"));
    if let Err(error) = std::fs::remove_dir(folder) {
        tracing::debug!(folder = %folder.display(), %error, "a temporary folder stays behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_user_can_enter_and_nothing_stays() {
        let (private, listener) = PrivatePath::create().unwrap();
        let folder = private.folder.clone();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(is_served(&private.socket).unwrap());
        drop((listener, private));
        assert!(!folder.exists());
    }

    #[test]
    fn only_what_is_ours_and_abandoned_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let user = parent.path().metadata().unwrap().uid();
        let folder = |name: &str, mode: u32| {
            let path = parent.path().join(name);
            DirBuilder::new().mode(mode).create(&path).unwrap();
            path
        };
        let dead = folder("brubeck-dead", 0o700);
        drop(UnixListener::bind(dead.join("s")).unwrap());
        let empty = folder("brubeck-empty", 0o700);
        let live = folder("brubeck-live", 0o700);
        let _listener = UnixListener::bind(live.join("s")).unwrap();
        let file = folder("brubeck-file", 0o700);
        std::fs::write(file.join("s"), "no socket").unwrap();
        let other = folder("other", 0o700);
        let open = folder("brubeck-open", 0o755);
        let link = parent.path().join("brubeck-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();

        sweep(parent.path(), user, Duration::from_secs(3600));
        assert!(dead.exists() && empty.exists(), "young folders are left alone");
        sweep(parent.path(), user + 1, Duration::ZERO);
        assert!(dead.exists() && empty.exists(), "so are those of others");
        sweep(parent.path(), user, Duration::ZERO);
        assert!(!dead.exists() && !empty.exists());
        assert!(live.exists() && file.join("s").exists() && other.exists() && open.exists() && link.exists());
    }
}

//! The private directory of one Mongrel2, with its configuration, logs and sockets.

use crate::error::{Error, Result};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Limit of the path length. The path of a Unix socket is limited to 107 bytes, and the longest one in the directory
/// is `run/control`.
const MAX_PATH_BYTES: usize = 107 - "/run/control".len();

/// Attempts to find an unused name.
const MAX_NAME_ATTEMPTS: usize = 16;

/// A temporary directory that only its owner can access. Dropping it removes it.
#[derive(Debug)]
pub(super) struct ServerDirectory {
    path: PathBuf,
    name: String,
}

impl ServerDirectory {
    /// Creates the directory, and the subdirectories that Mongrel2 needs and does not create itself.
    pub(super) fn create() -> Result<ServerDirectory> {
        let parent = std::env::temp_dir();
        let mut last_error = None;
        for _ in 0..MAX_NAME_ATTEMPTS {
            // The name is also used as an identity, in which only letters, digits and `-` are allowed.
            let name = format!("m2-{:08x}", RandomState::new().build_hasher().finish() as u32);
            let path = parent.join(&name);
            if path.as_os_str().len() > MAX_PATH_BYTES {
                return Err(Error::new(format!(
                    "the path of the temporary directory `{}` is too long for Unix sockets; set TMPDIR to a shorter one",
                    parent.display()
                )));
            }
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return ServerDirectory { path, name }.create_subdirectories(),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => last_error = Some(error),
                Err(error) => return Err(ServerDirectory::create_error(&parent, error)),
            }
        }
        Err(ServerDirectory::create_error(
            &parent,
            last_error.unwrap_or_else(|| ErrorKind::AlreadyExists.into()),
        ))
    }

    fn create_subdirectories(self) -> Result<ServerDirectory> {
        for name in ["run", "logs", "tmp"] {
            std::fs::create_dir(self.path.join(name))
                .map_err(|error| ServerDirectory::create_error(&self.path, error))?;
        }
        Ok(self)
    }

    fn create_error(at: &Path, error: std::io::Error) -> Error {
        Error::because(
            format!("cannot create a temporary directory in `{}`", at.display()),
            error,
        )
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name, which no other entry of the system's temporary directory has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ServerDirectory {
    fn drop(&mut self) {
        // Files that cannot be removed are left to the system, which cleans its temporary directory.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

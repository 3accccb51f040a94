//! The private folder that one Mongrel2 lives in.

use crate::error::{Error, Result};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Unix sockets take paths of at most 107 bytes, and the longest one below the folder is `run/control`.
const LONGEST: usize = 107 - "/run/control".len();

/// A temporary folder that only its owner may enter; dropping it removes it.
#[derive(Debug)]
pub(super) struct ServerDirectory {
    path: PathBuf,
    name: String,
}

impl ServerDirectory {
    /// Creates the folder, and in it what Mongrel2 needs and does not create itself.
    pub(super) fn create() -> Result<ServerDirectory> {
        let parent = std::env::temp_dir();
        let mut last = None;
        for _ in 0..16 {
            // The name is also an identity on the wire, where only letters, digits and `-` are allowed.
            let name = format!("m2-{:08x}", RandomState::new().build_hasher().finish() as u32);
            let path = parent.join(&name);
            if path.as_os_str().len() > LONGEST {
                return Err(Error::new(format!(
                    "the temporary folder `{}` has a path too long for unix sockets; set TMPDIR to a shorter one",
                    parent.display()
                )));
            }
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return ServerDirectory { path, name }.furnish(),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => last = Some(error),
                Err(error) => return Err(ServerDirectory::refused(&parent, error)),
            }
        }
        Err(ServerDirectory::refused(
            &parent,
            last.unwrap_or_else(|| ErrorKind::AlreadyExists.into()),
        ))
    }

    fn furnish(self) -> Result<ServerDirectory> {
        for room in ["run", "logs", "tmp"] {
            std::fs::create_dir(self.path.join(room))
                .map_err(|error| ServerDirectory::refused(&self.path, error))?;
        }
        Ok(self)
    }

    fn refused(at: &Path, error: std::io::Error) -> Error {
        Error::because(
            format!("no temporary folder can be made in `{}`", at.display()),
            error,
        )
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A name that no other folder on this machine has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ServerDirectory {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary files of the machine.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

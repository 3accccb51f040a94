//! Opening files below a folder.

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What is found under a name.
pub(super) enum Opened {
    /// A regular file.
    File(File),
    Folder,
    /// Nothing that can be served: no such name, a link out of the folder, a device, or a file that may not be read.
    Nothing,
}

impl Opened {
    fn new(opened: OwnedFd) -> io::Result<Opened> {
        let file = File::from(opened);
        let kind = file.metadata()?.file_type();
        Ok(if kind.is_file() {
            Opened::File(file)
        } else if kind.is_dir() {
            Opened::Folder
        } else {
            Opened::Nothing
        })
    }
}

/// Flags for files. `NONBLOCK` matters for pipes only: opening one must not wait for its other end.
const FILE_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens what has a name below a folder. An empty name is the folder itself.
///
/// Symbolic links are resolved by the system while it opens the file, so a link that changes at the same time cannot lead out of the
/// folder.
///
/// # Errors
///
/// Returns an error if the system is short of a resource or fails to read. A name is never the reason.
pub(super) fn open_below(folder: &Path, name: &Path) -> io::Result<Opened> {
    let opened = rustix::fs::open(folder, FOLDER_FLAGS, Mode::empty()).and_then(|root| open_in(root, name));
    match opened {
        Ok(opened) => Opened::new(opened),
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO)) => Err(error.into()),
        Err(error) => {
            if error == Errno::ACCESS {
                let (folder, name) = (folder.display(), name.display());
                tracing::warn!(%folder, %name, "this process may not read a static file: check the permissions");
            }
            Ok(Opened::Nothing)
        }
    }
}

/// Opens a regular file. Returns `None` if there is none with this path.
///
/// # Errors
///
/// Returns an error if the file exists, but cannot be opened.
pub(super) fn open_file(path: &Path) -> io::Result<Option<File>> {
    match rustix::fs::open(path, FILE_FLAGS, Mode::empty()) {
        Ok(opened) => match Opened::new(opened)? {
            Opened::File(file) => Ok(Some(file)),
            Opened::Folder | Opened::Nothing => Ok(None),
        },
        Err(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::NAMETOOLONG
            | Errno::LOOP
            | Errno::INVAL
            | Errno::ILSEQ
            | Errno::NXIO
            | Errno::NODEV,
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(target_os = "linux")]
fn open_in(root: OwnedFd, name: &Path) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    use std::sync::atomic::{AtomicBool, Ordering};
    /// Attempts to open a file while folders above it are moved at the same time.
    const MAX_ATTEMPTS: usize = 16;
    static IS_MISSING: AtomicBool = AtomicBool::new(false);
    let flags = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut attempts = 0;
    while !IS_MISSING.load(Ordering::Relaxed) {
        let path = if name.as_os_str().is_empty() {
            Path::new(".")
        } else {
            name
        };
        match openat2(&root, path, FILE_FLAGS, Mode::empty(), flags) {
            // Linux older than 5.6, or a filter of system calls.
            Err(Errno::NOSYS | Errno::PERM) => IS_MISSING.store(true, Ordering::Relaxed),
            Err(Errno::AGAIN) if attempts < MAX_ATTEMPTS => attempts += 1,
            opened => return opened,
        }
    }
    open_without_links(root, name)
}

#[cfg(not(target_os = "linux"))]
fn open_in(root: OwnedFd, name: &Path) -> rustix::io::Result<OwnedFd> {
    open_without_links(root, name)
}

/// Opens one part of the name after the other, and follows no symbolic link.
fn open_without_links(root: OwnedFd, name: &Path) -> rustix::io::Result<OwnedFd> {
    let mut parts = name.iter().peekable();
    let mut folder = root;
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() {
            FOLDER_FLAGS
        } else {
            FILE_FLAGS
        };
        folder = openat(&folder, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    /// Creates a folder with files and links, and returns it with its parent, which is removed on drop.
    fn site() -> (tempfile::TempDir, std::path::PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let site = parent.path().join("site");
        std::fs::create_dir_all(site.join("sub")).unwrap();
        std::fs::write(parent.path().join("secret"), "secret").unwrap();
        std::fs::write(site.join("a"), "public").unwrap();
        std::fs::write(site.join("sub/b"), "below").unwrap();
        symlink("sub/b", site.join("inside")).unwrap();
        symlink("../a", site.join("sub/up")).unwrap();
        symlink("../secret", site.join("outside")).unwrap();
        symlink("/etc", site.join("absolute")).unwrap();
        symlink("..", site.join("parent")).unwrap();
        symlink("loop", site.join("loop")).unwrap();
        symlink("/proc/self/root", site.join("magic")).unwrap();
        (parent, site)
    }

    fn text(opened: Opened) -> Option<String> {
        let Opened::File(mut file) = opened else {
            return None;
        };
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn links_are_followed_within_the_folder_only() {
        let (_parent, site) = site();
        let read = |name: &str| text(open_below(&site, Path::new(name)).unwrap());
        assert_eq!(read("a").as_deref(), Some("public"));
        assert_eq!(read("sub/b").as_deref(), Some("below"));
        if cfg!(target_os = "linux") {
            assert_eq!(read("inside").as_deref(), Some("below"));
            assert_eq!(read("sub/up").as_deref(), Some("public"));
        }
        for name in [
            "outside",
            "absolute/passwd",
            "parent/secret",
            "loop",
            "magic/etc/passwd",
            "none",
            "a/b",
            "a/",
            "none/b",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
        assert!(matches!(
            open_below(&site, Path::new("")).unwrap(),
            Opened::Folder
        ));
        assert!(matches!(
            open_below(&site, Path::new("sub")).unwrap(),
            Opened::Folder
        ));
        assert!(matches!(
            open_below(&site.join("a"), Path::new("")).unwrap(),
            Opened::Nothing
        ));
        assert!(matches!(
            open_below(&site.join("none"), Path::new("a")).unwrap(),
            Opened::Nothing
        ));
    }

    #[test]
    fn fallback_follows_no_link() {
        let (_parent, site) = site();
        let read = |name: &str| {
            let root = rustix::fs::open(&site, FOLDER_FLAGS, Mode::empty()).unwrap();
            let opened = open_without_links(root, Path::new(name)).ok()?;
            text(Opened::File(File::from(opened)))
        };
        assert_eq!(read("sub/b").as_deref(), Some("below"));
        for name in [
            "inside",
            "outside",
            "absolute/passwd",
            "parent/secret",
            "loop",
            "none",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    #[test]
    fn pipes_and_sockets_are_nothing() {
        let (_parent, site) = site();
        rustix::fs::mkfifoat(rustix::fs::CWD, site.join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(site.join("socket")).unwrap();
        for name in ["pipe", "socket"] {
            assert!(
                matches!(open_below(&site, Path::new(name)).unwrap(), Opened::Nothing),
                "{name}"
            );
        }
    }

    #[test]
    fn link_that_changes_never_leads_out() {
        let (parent, site) = site();
        let link = site.join("changing");
        symlink("a", &link).unwrap();
        let (good, bad) = (parent.path().join("good"), parent.path().join("bad"));
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| {
                for _ in 0..2000 {
                    symlink("a", &good).unwrap();
                    std::fs::rename(&good, &link).unwrap();
                    symlink("../secret", &bad).unwrap();
                    std::fs::rename(&bad, &link).unwrap();
                }
            });
            while !changing.is_finished() {
                let read = text(open_below(&site, Path::new("changing")).unwrap());
                assert_ne!(read.as_deref(), Some("secret"));
            }
        });
    }
}

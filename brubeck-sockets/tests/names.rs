//! Who owns the name of a Unix socket: several starters, files that are replaced, and what is removed.

use brubeck_sockets::{BindError, Holder, Listener, PeerSocket, UnixOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

const STARTERS: usize = 4;

/// Names the paths of a round to the child processes of [`one_of_four_processes_takes_over_a_stale_file`].
const CHILD: &str = "BRUBECK_SOCKETS_CHILD";

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

/// Returns the number of rounds: 1,000, or that of an environment variable.
fn rounds() -> usize {
    let rounds = std::env::var("BRUBECK_SOCKETS_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(1000)
}

fn leave_stale_file(path: &Path) {
    let _ = std::fs::remove_file(path);
    drop(UnixListener::bind(path).unwrap());
}

async fn bind(path: &Path) -> Result<Listener, BindError> {
    Listener::bind_unix(path, UnixOptions::default()).await
}

#[test]
fn one_of_four_threads_takes_over_a_stale_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let barrier = Barrier::new(STARTERS + 1);
    let winners = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..STARTERS {
            scope.spawn(|| {
                let runtime = runtime();
                for _ in 0..rounds() {
                    barrier.wait();
                    let bound = runtime.block_on(bind(&path));
                    match &bound {
                        Ok(_) => _ = winners.fetch_add(1, Ordering::SeqCst),
                        Err(error) => {
                            assert!(matches!(error, BindError::InUse(Holder::ThisProcess)), "{error}")
                        }
                    }
                    barrier.wait();
                    // The main thread looks at the file.
                    barrier.wait();
                    let _runtime = runtime.enter();
                    drop(bound);
                    barrier.wait();
                }
            });
        }
        for round in 0..rounds() {
            leave_stale_file(&path);
            barrier.wait();
            barrier.wait();
            assert_eq!(winners.swap(0, Ordering::SeqCst), 1, "round {round}");
            UnixStream::connect(&path).unwrap();
            barrier.wait();
            barrier.wait();
            assert!(!path.exists(), "round {round}");
        }
    });
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing else is left"
    );
}

#[test]
fn four_threads_do_not_steal_a_live_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // A listener that does not belong to this crate, so that only the probe can find it.
    let live = UnixListener::bind(&path).unwrap();
    live.set_nonblocking(true).unwrap();
    let inode = path.metadata().unwrap().ino();
    let barrier = Barrier::new(STARTERS);
    std::thread::scope(|scope| {
        for _ in 0..STARTERS {
            scope.spawn(|| {
                let runtime = runtime();
                for round in 0..rounds() {
                    barrier.wait();
                    let bound = runtime.block_on(bind(&path));
                    let is_in_use = matches!(bound, Err(BindError::InUse(_)));
                    assert!(is_in_use, "round {round}: {bound:?}");
                    // Keeps the backlog empty, unless another thread has done it.
                    while live.accept().is_ok() {}
                }
            });
        }
    });
    assert_eq!(path.metadata().unwrap().ino(), inode);
    UnixStream::connect(&path).unwrap();
}

/// A starter in a process of its own.
struct Starter {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Starter {
    fn new() -> Starter {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_process_that_binds", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Starter {
            process,
            commands,
            answers,
        }
    }

    fn send(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
        self.commands.flush().unwrap();
    }

    /// Returns the next answer. Skips the lines of the test harness.
    fn answer(&mut self) -> String {
        for _ in 0..100 {
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            if let Some((_, answer)) = line.split_once("answer: ") {
                return answer.trim().to_owned();
            }
        }
        panic!("the child process does not answer")
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn child_process_that_binds() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = runtime();
    let _entered = runtime.enter();
    let mut bound = None;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match line.as_str() {
            "release" => {
                bound = None;
                println!("answer: released");
            }
            path => match runtime.block_on(bind(Path::new(path))) {
                Ok(listener) => {
                    bound = Some(listener);
                    println!("answer: won");
                }
                Err(error) => println!("answer: {error}"),
            },
        }
    }
    drop(bound);
}

#[test]
fn one_of_four_processes_takes_over_a_stale_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut starters: Vec<Starter> = (0..STARTERS).map(|_| Starter::new()).collect();
    for round in 0..rounds() / 4 {
        leave_stale_file(&path);
        for starter in &mut starters {
            starter.send(path.to_str().unwrap());
        }
        let answers: Vec<String> = starters.iter_mut().map(Starter::answer).collect();
        let winners: Vec<usize> = (0..STARTERS).filter(|at| answers[*at] == "won").collect();
        assert_eq!(winners.len(), 1, "round {round}: {answers:?}");
        let winner = format!("in use by process {}", starters[winners[0]].process.id());
        for (at, answer) in answers.iter().enumerate() {
            assert!(
                at == winners[0] || answer.contains(&winner),
                "round {round}: {answers:?}"
            );
        }
        UnixStream::connect(&path).unwrap();
        for starter in &mut starters {
            starter.send("release");
            assert_eq!(starter.answer(), "released");
        }
        assert!(!path.exists(), "round {round}");
    }
}

#[test]
fn killed_process_leaves_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut starter = Starter::new();
    starter.send(path.to_str().unwrap());
    assert_eq!(starter.answer(), "won");
    drop(starter);
    assert!(path.exists(), "a killed process leaves its file");
    let runtime = runtime();
    let _entered = runtime.enter();
    drop(runtime.block_on(bind(&path)).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Replaces the file of a socket.
#[derive(Clone, Copy, Debug)]
enum Change {
    None,
    Removed,
    LiveSocket,
    File,
    Link,
    Folder,
}

impl Change {
    const ALL: [Change; 6] = [
        Change::None,
        Change::Removed,
        Change::LiveSocket,
        Change::File,
        Change::Link,
        Change::Folder,
    ];

    /// Returns a listener that must live on, if there is one.
    fn apply(self, path: &Path) -> Option<UnixListener> {
        let target = path.with_extension("target");
        if !matches!(self, Change::None) {
            std::fs::remove_file(path).unwrap();
        }
        match self {
            Change::None | Change::Removed => {}
            Change::LiveSocket => {
                let live = UnixListener::bind(path).unwrap();
                live.set_nonblocking(true).unwrap();
                return Some(live);
            }
            Change::File => std::fs::write(path, "data").unwrap(),
            Change::Link => {
                std::fs::write(&target, "data").unwrap();
                std::os::unix::fs::symlink(&target, path).unwrap();
            }
            Change::Folder => std::fs::create_dir(path).unwrap(),
        }
        None
    }
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn only_the_own_file_is_removed() {
    for change in Change::ALL {
        for by_handle in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let listener = bind(&path).await.unwrap();
            let live = change.apply(&path);
            let before = listed(folder.path());
            if by_handle {
                listener.handle().close();
            } else {
                drop(listener);
            }
            let expected = match change {
                Change::None => Vec::new(),
                _ => before,
            };
            assert_eq!(listed(folder.path()), expected, "{change:?}");
            if live.is_some() {
                UnixStream::connect(&path).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn check_binds_the_name_again_unless_something_else_took_it() {
    for change in Change::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = bind(&path).await.unwrap();
        // Waits in the backlog while the file is replaced.
        let _waiting = UnixStream::connect(&path).unwrap();
        let live = change.apply(&path);
        listener.check();
        let is_own = match change {
            Change::None | Change::Removed => true,
            Change::LiveSocket | Change::File | Change::Link | Change::Folder => false,
        };
        assert!(matches!(listener.accept().await, Ok(PeerSocket::Unix(_))));
        assert!(std::fs::symlink_metadata(&path).is_ok(), "{change:?}");
        if is_own {
            let _peer = UnixStream::connect(&path).unwrap();
            listener.accept().await.unwrap();
        }
        // Once the other one is gone, the name is bound again.
        drop(live);
        match change {
            Change::File | Change::Link => std::fs::remove_file(&path).unwrap(),
            Change::Folder => std::fs::remove_dir(&path).unwrap(),
            Change::None | Change::Removed | Change::LiveSocket => {}
        }
        listener.check();
        let _peer = UnixStream::connect(&path).unwrap();
        listener.accept().await.unwrap();
        drop(listener);
        assert!(std::fs::symlink_metadata(&path).is_err(), "{change:?}");
    }
}

#[tokio::test]
async fn files_that_are_not_stale_sockets_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let target = folder.path().join("stale");
    leave_stale_file(&target);
    std::fs::write(&path, "data").unwrap();
    assert!(matches!(bind(&path).await, Err(BindError::NotASocket)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");

    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(
        matches!(bind(&path).await, Err(BindError::NotASocket)),
        "a link to a stale file"
    );

    std::fs::remove_file(&path).unwrap();
    let _datagram = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    assert!(matches!(bind(&path).await, Err(BindError::InUse(_))));
    assert!(path.exists());
}

#[tokio::test]
async fn full_backlog_counts_as_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    assert!(matches!(bind(&path).await, Err(BindError::InUse(_))));
    listener.accept().await.unwrap();
}

#[tokio::test]
async fn mode_and_folder_are_created_as_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/socket");
    assert!(matches!(bind(&path).await, Err(BindError::Io(_))));
    let options = UnixOptions {
        mode: Some(0o666),
        create_folder: true,
    };
    let _listener = Listener::bind_unix(&path, options).await.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
    let parent = path.parent().unwrap().metadata().unwrap();
    assert_eq!(parent.permissions().mode() & 0o777, 0o700);
}

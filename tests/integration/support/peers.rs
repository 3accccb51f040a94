//! Peers in Python: started, listened to line by line, stopped by their process id whatever happens.

use super::within;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A file of `tests/peers`.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/peers")
        .join(name)
}

/// A running peer.
pub struct Peer {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts one of the programs of `tests/peers`.
    pub fn start(python: &Path, program: &str, arguments: &[&str]) -> Peer {
        let mut process = Command::new(python)
            // No bytecode is left behind in the sources.
            .args(["-B", "-u"])
            .arg(file(program))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a python that starts");
        let input = process.stdin.take().expect("a pipe");
        let output = process.stdout.take().expect("a pipe");
        Peer {
            process,
            input,
            output: BufReader::new(output).lines(),
        }
    }

    /// What it says next; `None` at its end.
    pub async fn line(&mut self) -> Option<String> {
        within(self.output.next_line())
            .await
            .expect("a pipe that can be read")
    }

    /// Waits until it says this.
    pub async fn says(&mut self, wanted: &str) {
        while self
            .line()
            .await
            .unwrap_or_else(|| panic!("it ended before it said {wanted:?}"))
            != wanted
        {}
    }

    /// Says something to it.
    pub async fn tell(&mut self, line: &str) {
        let line = format!("{line}\n");
        within(self.input.write_all(line.as_bytes()))
            .await
            .expect("a peer that runs");
    }

    /// Stops it, if it has not ended by itself.
    pub async fn stop(mut self) {
        within(self.process.kill()).await.expect("the end of a process");
    }

    /// Waits for its end.
    pub async fn ended(mut self) {
        within(self.process.wait()).await.expect("the end of a process");
    }
}

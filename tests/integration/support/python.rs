//! Peers in Python, controlled over lines of standard input and output. They are killed when dropped.

use super::with_timeout;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Returns the path of a file in `tests/peers`.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/peers")
        .join(name)
}

/// A running Python program.
pub struct PythonPeer {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl PythonPeer {
    /// Starts a program of `tests/peers`.
    pub fn start(python: &Path, program: &str, arguments: &[&str]) -> PythonPeer {
        let mut process = Command::new(python)
            // `-B`: write no bytecode into the source tree.
            .args(["-B", "-u"])
            .arg(file(program))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a running python");
        let input = process.stdin.take().expect("a pipe");
        let output = process.stdout.take().expect("a pipe");
        PythonPeer {
            process,
            input,
            output: BufReader::new(output).lines(),
        }
    }

    /// Returns the next line of output, or `None` at its end.
    pub async fn read_line(&mut self) -> Option<String> {
        with_timeout(self.output.next_line())
            .await
            .expect("a readable pipe")
    }

    /// Reads lines until one equals `wanted`. Panics if the output ends before.
    pub async fn wait_for_line(&mut self, wanted: &str) {
        while self
            .read_line()
            .await
            .unwrap_or_else(|| panic!("the peer ended before it printed {wanted:?}"))
            != wanted
        {}
    }

    /// Writes a line to standard input.
    pub async fn send_line(&mut self, line: &str) {
        let line = format!("{line}\n");
        with_timeout(self.input.write_all(line.as_bytes()))
            .await
            .expect("a running peer");
    }

    /// Kills the peer, if it has not exited.
    pub async fn stop(mut self) {
        with_timeout(self.process.kill())
            .await
            .expect("an exited process");
    }

    /// Waits for the peer to exit.
    pub async fn wait_for_exit(mut self) {
        with_timeout(self.process.wait())
            .await
            .expect("an exited process");
    }
}

//! Processes that tests start and signal.

use crate::support::with_timeout;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

/// A process that reports on its standard output, and logs to its standard error.
pub struct Process {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: String,
    /// Keeps the request open.
    pub request: Option<TcpStream>,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process {
            child,
            lines,
            log: String::new(),
            request: None,
        }
    }

    /// Returns what follows a word in the output of the process.
    pub async fn read(&mut self, word: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                // The harness may have begun the line.
                if let Some((_, rest)) = line.split_once(word) {
                    return rest.trim().to_owned();
                }
            }
            panic!("the process ended without `{word}`");
        };
        with_timeout(found).await
    }

    /// Sends a request, and waits until its handler runs.
    pub async fn request(&mut self, path: &str) {
        let url = self.read("address").await;
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        self.read("waiting").await;
        self.request = Some(stream);
    }

    pub async fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let id = self.child.id().unwrap().to_string();
        let sent = kill.args(["-s", signal, &id]).status();
        assert!(with_timeout(sent).await.unwrap().success());
    }

    /// Waits until the log has these texts, and returns it.
    pub async fn wait_for_log(&mut self, texts: &[&str]) -> &str {
        let stderr = self.child.stderr.as_mut().unwrap();
        let complete = async {
            let mut buffer = [0; 4096];
            while !texts.iter().all(|text| self.log.contains(text)) {
                let length = stderr.read(&mut buffer).await.unwrap();
                assert_ne!(length, 0, "the log ended without {texts:?}:\n{}", self.log);
                self.log.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        };
        with_timeout(complete).await;
        &self.log
    }

    pub async fn exit(&mut self) -> ExitStatus {
        with_timeout(self.child.wait()).await.unwrap()
    }
}

/// Logs to the standard error, in a process that a test has started.
pub fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
}

/// Returns an address that no other test uses, also while it is free.
pub fn own_address(host: &str) -> String {
    let listener = std::net::TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

//! Child processes, which send lines of JSON to their parent, and exit when it exits or closes their standard input.

use crate::{Result, usage::Usage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{BufRead, IsTerminal, Write};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// The timeout for a line from a child.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// The message of a server that is ready for calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The address of the server.
    pub address: String,
    /// Further processes that belong to the server.
    pub pids: Vec<u32>,
}

/// A child process. It is killed when dropped.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
    input: Option<ChildStdin>,
    pids: Vec<u32>,
}

impl Child {
    /// Starts this program with these arguments.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be started.
    pub fn start<T: AsRef<str>>(arguments: impl IntoIterator<Item = T>) -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        Child::spawn(command)
    }

    /// Starts a command.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be started.
    pub fn spawn(mut command: Command) -> Result<Child> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("a child without output")?;
        Ok(Child {
            lines: BufReader::new(output).lines(),
            input: process.stdin.take(),
            pids: process.id().into_iter().collect(),
            process,
        })
    }

    /// Waits until a server is ready, and returns its address.
    ///
    /// # Errors
    ///
    /// The same as for [`receive`](Child::receive).
    pub async fn ready(&mut self) -> Result<String> {
        let ready: Ready = self.receive().await?;
        self.pids.extend(ready.pids);
        Ok(ready.address)
    }

    /// Receives the next message.
    ///
    /// # Errors
    ///
    /// Returns an error if the child exits, sends something else, or sends nothing for a minute.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = tokio::time::timeout(LINE_TIMEOUT, self.lines.next_line())
            .await
            .map_err(|_| "a child process sent nothing for a minute")??
            .ok_or("a child process exited early")?;
        Ok(serde_json::from_str(&line)
            .map_err(|error| format!("unexpected line of a child process: {line}: {error}"))?)
    }

    /// Starts the measurement in the child.
    ///
    /// # Errors
    ///
    /// Returns an error if the child has exited.
    pub async fn start_measurement(&mut self) -> Result {
        let input = self.input.as_mut().ok_or("a child without input")?;
        input.write_all(b"go\n").await?;
        Ok(input.flush().await?)
    }

    /// Returns the usage of the child and its further processes.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them has exited.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(&self.pids)
    }

    /// Kills the child.
    ///
    /// # Errors
    ///
    /// Returns an error if the system does not kill it.
    pub async fn kill(&mut self) -> Result {
        Ok(self.process.kill().await?)
    }

    /// Closes standard input, so that the child exits. Kills the child if it is still running after 5 s.
    pub async fn stop(mut self) {
        drop(self.input.take());
        let _ = tokio::time::timeout(Duration::from_secs(5), self.process.wait()).await;
    }
}

/// Sends a message to the parent.
///
/// # Errors
///
/// Returns an error if the parent has exited.
pub fn send(message: &impl Serialize) -> Result {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(message)?)?;
    Ok(output.flush()?)
}

/// Waits for the parent to start the measurement. Returns `false` if the parent has exited or has closed standard input.
pub async fn wait_for_start() -> bool {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new()));
    matches!(read.await, Ok(Ok(length)) if length > 0)
}

/// Waits for the parent to exit or to close standard input.
pub async fn wait_for_end() {
    while wait_for_start().await {}
}

/// Prints the progress on one line of standard error, if that is a terminal.
pub fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{text:78}\r");
    }
}

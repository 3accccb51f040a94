//! Child processes that speak with their parent in lines of JSON, and end when it does.

use crate::{Result, usage::Usage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{BufRead, IsTerminal, Write};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// How long a child may be silent, beyond the time it was told to work.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server says once it can be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Where.
    pub address: String,
    /// The processes that it is made of beside the one that says so.
    pub pids: Vec<u32>,
}

/// A process of this program, started with other arguments; killed when dropped.
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
    /// It cannot be started.
    pub fn start<T: AsRef<str>>(arguments: impl IntoIterator<Item = T>) -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        for argument in arguments {
            command.arg(argument.as_ref());
        }
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

    /// Waits for what a server says once it can be called, and gives its address.
    ///
    /// # Errors
    ///
    /// As [`hear`](Child::hear).
    pub async fn ready(&mut self) -> Result<String> {
        let ready: Ready = self.hear().await?;
        self.pids.extend(ready.pids);
        Ok(ready.address)
    }

    /// Waits for the next line.
    ///
    /// # Errors
    ///
    /// It ended, said something else, or was silent for a minute.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .map_err(|_| "a child process says nothing")??
            .ok_or("a child process ended early")?;
        Ok(serde_json::from_str(&line).map_err(|error| format!("a child process says {line}: {error}"))?)
    }

    /// Tells it to go on.
    ///
    /// # Errors
    ///
    /// It ended.
    pub async fn go(&mut self) -> Result {
        let input = self.input.as_mut().ok_or("a child without input")?;
        input.write_all(b"go\n").await?;
        Ok(input.flush().await?)
    }

    /// What it has used, with the processes it is made of.
    ///
    /// # Errors
    ///
    /// It ended.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(&self.pids)
    }

    /// Lets it end by itself, which ends what it started, too; kills it if it does not.
    pub async fn stop(mut self) {
        drop(self.input.take());
        let _ = tokio::time::timeout(Duration::from_secs(5), self.process.wait()).await;
    }
}

/// Says a line to the parent.
///
/// # Errors
///
/// The parent has gone.
pub fn say(what: &impl Serialize) -> Result {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(what)?)?;
    Ok(output.flush()?)
}

/// Waits for the parent to say `go`; `false`: it has gone.
pub async fn told_to_go() -> bool {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new()));
    matches!(read.await, Ok(Ok(length)) if length > 0)
}

/// Waits for the parent to go.
pub async fn until_left_alone() {
    while told_to_go().await {}
}

/// Shows whoever watches how far the lane is, on one line.
pub fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{what:78}\r");
    }
}

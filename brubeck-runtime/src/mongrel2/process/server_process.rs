//! Runs the programs `mongrel2` and `m2sh` as child processes.

use super::server_directory::ServerDirectory;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Time for `m2sh load`, and for Mongrel2 to start, which takes half a second.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for Mongrel2 to exit after a signal. It takes a few milliseconds.
const SIGNAL_TIMEOUT: Duration = Duration::from_millis(1500);

/// Interval at which the log is read during a start.
const LOG_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The text in the log once Mongrel2 accepts requests.
const READY_TEXT: &str = " Running. Copyright";

/// The text in the log if Mongrel2 cannot bind the address for its clients, for any reason.
const CANNOT_LISTEN_TEXT: &str = "Can't announce on TCP port";

/// Errors of `m2sh load` that have no consequences.
const HARMLESS_ERRORS: [&str; 2] = ["Invalid type given", "getlogin failed"];

/// The error of a failed start.
pub(super) enum StartError {
    /// Mongrel2 cannot bind its address. Most often, the port is in use.
    CannotListen,
    Other(Error),
}

/// Writes a configuration to the database that `mongrel2` reads at its start.
pub(super) async fn load(directory: &ServerDirectory, text: &str) -> Result {
    let path = directory.path();
    let write_error = |error| Error::because("cannot write the configuration of Mongrel2", error);
    std::fs::write(path.join("mongrel2.conf"), text).map_err(write_error)?;
    match std::fs::remove_file(path.join("mongrel2.sqlite")) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(write_error(error)),
        _ => {}
    }
    let output = Command::new("m2sh")
        .args(["load", "-config", "mongrel2.conf", "-db", "mongrel2.sqlite"])
        .current_dir(path)
        // Without a terminal, `m2sh` cannot look up the name of the user.
        .env("LOGNAME", "brubeck")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(START_TIMEOUT, output)
        .await
        .map_err(|_| Error::new(format!("`m2sh load` did not finish within {START_TIMEOUT:?}")))?
        .map_err(|error| cannot_run("m2sh", error))?;
    let output = [output.stderr, output.stdout].concat();
    let output = String::from_utf8_lossy(&output);
    // The exit code of `m2sh` is always 0, so search its output.
    let error = output
        .lines()
        .find(|line| line.contains("[ERROR]") && !HARMLESS_ERRORS.iter().any(|text| line.contains(text)));
    match error {
        Some(error) => Err(Error::because(
            "`m2sh load` rejected the configuration of Mongrel2",
            error.trim().to_owned(),
        )),
        None if path.join("mongrel2.sqlite").is_file() => Ok(()),
        None => Err(Error::because(
            "`m2sh load` did not write a database",
            output.trim().to_owned(),
        )),
    }
}

/// A running `mongrel2`, and a watchdog process that kills it if this process ends.
pub(super) struct ServerProcess {
    child: Child,
    watchdog: Child,
}

impl ServerProcess {
    /// Starts Mongrel2 and waits until it accepts requests.
    pub(super) async fn start(directory: &ServerDirectory) -> Result<ServerProcess, StartError> {
        let mut process = ServerProcess::spawn(directory).map_err(StartError::Other)?;
        let log = directory.path().join("logs/error.log");
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if read_log(&log).contains(READY_TEXT) {
                return Ok(process);
            }
            let reason = match process.child.try_wait() {
                Ok(None) if Instant::now() < deadline => {
                    sleep(LOG_POLL_INTERVAL).await;
                    continue;
                }
                Ok(None) => format!("Mongrel2 was not ready within {START_TIMEOUT:?}"),
                Ok(Some(status)) => format!("Mongrel2 did not start: {status}"),
                Err(error) => format!("cannot wait for Mongrel2: {error}"),
            };
            process.stop().await;
            // Before Mongrel2 opens its log, it writes to stderr.
            let output = directory.path().join("logs/output.log");
            let log = [read_log(&output), read_log(&log)].concat();
            return Err(if log.contains(CANNOT_LISTEN_TEXT) {
                StartError::CannotListen
            } else {
                StartError::Other(Error::because(reason, first_error(&log)))
            });
        }
    }

    fn spawn(directory: &ServerDirectory) -> Result<ServerProcess> {
        let path = directory.path();
        let spawn_error = |error| Error::because("cannot start Mongrel2 in its directory", error);
        // Remove the files of an earlier run: the log is searched for the ready text, and Mongrel2 refuses to start
        // if the pid file has the id of a running process.
        for file in ["logs/error.log", "run/mongrel2.pid"] {
            match std::fs::remove_file(path.join(file)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(spawn_error(error)),
                _ => {}
            }
        }
        let output = File::create(path.join("logs/output.log")).map_err(spawn_error)?;
        let child = Command::new("mongrel2")
            .args(["mongrel2.sqlite", directory.name()])
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(spawn_error)?)
            .stderr(output)
            // In its own process group, Mongrel2 does not receive the Ctrl-C that stops this process. This process must
            // finish its requests before Mongrel2 ends.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot_run("mongrel2", error))?;
        let watchdog = spawn_watchdog(&child, path)?;
        Ok(ServerProcess { child, watchdog })
    }

    /// Returns the process id. Returns `None` once the exit of the process was observed.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the process exits.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Stops the process with SIGINT, then SIGTERM, then SIGKILL. The exit status is ignored: Mongrel2 aborts if
    /// clients are connected.
    pub(super) async fn stop(mut self) {
        for name in ["INT", "TERM"] {
            let Some(pid) = self.child.id() else { break };
            send_signal(name, pid).await;
            if timeout(SIGNAL_TIMEOUT, self.child.wait()).await.is_ok() {
                break;
            }
        }
        if self.child.id().is_some()
            && let Err(error) = self.child.kill().await
        {
            tracing::warn!(%error, "cannot kill Mongrel2");
        }
        // Kill the watchdog before its pipe is closed. Otherwise it would kill the process id, which may be reused by
        // then.
        if let Err(error) = self.watchdog.kill().await {
            tracing::warn!(%error, "cannot stop the watchdog of Mongrel2");
        }
    }
}

/// Spawns a shell that kills Mongrel2 and removes its directory when this process ends, even if this process is killed.
///
/// The shell waits for the end of its standard input. That is a pipe whose other end only this process holds, so the
/// system closes it with the process.
fn spawn_watchdog(child: &Child, directory: &Path) -> Result<Child> {
    let pid = child.id().unwrap_or_default().to_string();
    Command::new("sh")
        .args([
            "-c",
            "trap '' HUP INT TERM; read -r _; kill -s KILL \"$0\"; rm -rf -- \"$1\"",
            &pid,
        ])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot_run("sh", error))
}

/// Sends a signal with the `kill` that is built into the shell, because a program of this name may not be installed.
async fn send_signal(name: &str, pid: u32) {
    let kill = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .output()
        .await;
    match kill {
        Ok(output) if output.status.success() => {}
        Ok(output) => tracing::debug!(
            signal = name,
            pid,
            error = String::from_utf8_lossy(&output.stderr).trim(),
            "cannot send a signal to Mongrel2"
        ),
        Err(error) => tracing::warn!(signal = name, pid, %error, "cannot send a signal to Mongrel2"),
    }
}

fn cannot_run(program: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound if program != "sh" => Error::new(format!(
            "Mongrel2 is not installed: the program `{program}` is not in the PATH; install it with `apt-get install mongrel2-core` \
             (Debian, Ubuntu), or from https://mongrel2.org"
        )),
        _ => Error::because(format!("cannot run the program `{program}`"), error),
    }
}

/// Returns the text of a log file. Returns an empty text if the file cannot be read, as before Mongrel2 creates it.
fn read_log(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Returns the first error in a log, which is the cause of the following ones. Returns the last line if there is none.
fn first_error(log: &str) -> String {
    let error = log
        .lines()
        .find(|line| line.contains("[ERROR]"))
        .or_else(|| log.lines().last());
    error.unwrap_or("its log is empty").trim().to_owned()
}

//! The programs `mongrel2` and `m2sh`, run as children of this process.

use super::server_directory::ServerDirectory;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long Mongrel2 may take to start; it takes half a second.
const START: Duration = Duration::from_secs(15);
/// How long a signal may take to end it; it takes some milliseconds.
const SIGNAL: Duration = Duration::from_millis(1500);
const READY: &str = " Running. Copyright";
const PORT_TAKEN: &str = "Can't announce on TCP port";

/// Why Mongrel2 did not start.
pub(super) enum StartError {
    /// Somebody else listens at the address.
    PortTaken,
    Other(Error),
}

/// Reads the configuration into the database that `mongrel2` is started with.
pub(super) async fn load(folder: &ServerDirectory, text: &str) -> Result {
    let path = folder.path();
    let wrong = |error| Error::because("the configuration of Mongrel2 cannot be written", error);
    std::fs::write(path.join("mongrel2.conf"), text).map_err(wrong)?;
    match std::fs::remove_file(path.join("mongrel2.sqlite")) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let output = Command::new("m2sh")
        .args(["load", "-config", "mongrel2.conf", "-db", "mongrel2.sqlite"])
        .current_dir(path)
        // It asks for the name of the user, and fails where there is no terminal.
        .env("LOGNAME", "brubeck")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(START, output)
        .await
        .map_err(|_| Error::new(format!("`m2sh load` did not end within {START:?}")))?
        .map_err(|error| cannot_run("m2sh", error))?;
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    // Its exit code is 0 whatever happens; these two complaints have no consequence.
    let harmless = ["Invalid type given", "getlogin failed"];
    let error = said
        .lines()
        .find(|line| line.contains("[ERROR]") && !harmless.iter().any(|text| line.contains(text)));
    match error {
        Some(error) => Err(Error::because(
            "Mongrel2 refuses its configuration",
            error.trim().to_owned(),
        )),
        None if path.join("mongrel2.sqlite").is_file() => Ok(()),
        None => Err(Error::because(
            "`m2sh load` wrote no configuration",
            said.trim().to_owned(),
        )),
    }
}

/// A `mongrel2` that runs, and what ends it with this process.
pub(super) struct ServerProcess {
    child: Child,
    watchdog: Child,
}

impl ServerProcess {
    /// Starts it and waits until it takes requests.
    pub(super) async fn start(folder: &ServerDirectory) -> Result<ServerProcess, StartError> {
        let mut program = ServerProcess::spawn(folder).await.map_err(StartError::Other)?;
        let log = folder.path().join("logs/error.log");
        let deadline = Instant::now() + START;
        loop {
            if read(&log).contains(READY) {
                return Ok(program);
            }
            let what = match program.child.try_wait() {
                Ok(None) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(10)).await;
                    continue;
                }
                Ok(None) => format!("Mongrel2 was not ready within {START:?}"),
                Ok(Some(status)) => format!("Mongrel2 did not start: {status}"),
                Err(error) => format!("Mongrel2 cannot be watched: {error}"),
            };
            program.stop().await;
            let said = [read(&folder.path().join("logs/output.log")), read(&log)].concat();
            return Err(match said.contains(PORT_TAKEN) {
                true => StartError::PortTaken,
                false => StartError::Other(Error::because(what, first_error(&said))),
            });
        }
    }

    async fn spawn(folder: &ServerDirectory) -> Result<ServerProcess> {
        let path = folder.path();
        let wrong = |error| Error::because("Mongrel2 cannot be started in its folder", error);
        for old in ["logs/error.log", "run/mongrel2.pid"] {
            match std::fs::remove_file(path.join(old)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(wrong(error)),
                _ => {}
            }
        }
        let output = File::create(path.join("logs/output.log")).map_err(wrong)?;
        let child = Command::new("mongrel2")
            .args(["mongrel2.sqlite", folder.name()])
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(wrong)?)
            .stderr(output)
            // A group of its own: the Ctrl-C that asks this process to finish must not stop Mongrel2 first.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot_run("mongrel2", error))?;
        let watchdog = watch_over(&child, path)?;
        Ok(ServerProcess { child, watchdog })
    }

    /// Its process id, until its end was noticed.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for it to end by itself.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it: politely, then firmly, then at once. An abort is normal while clients are connected.
    pub(super) async fn stop(mut self) {
        for name in ["INT", "TERM"] {
            let Some(pid) = self.child.id() else { break };
            signal(name, pid).await;
            if timeout(SIGNAL, self.child.wait()).await.is_ok() {
                break;
            }
        }
        if self.child.id().is_some()
            && let Err(error) = self.child.kill().await
        {
            tracing::warn!(%error, "Mongrel2 cannot be stopped");
        }
        // Killed before its pipe closes: by then the process id may belong to another program.
        if let Err(error) = self.watchdog.kill().await {
            tracing::warn!(%error, "the watchdog of Mongrel2 cannot be stopped");
        }
    }
}

/// Ends the child and removes its folder when this process is gone, however that happened: the pipe closes
/// with its last owner.
fn watch_over(child: &Child, folder: &Path) -> Result<Child> {
    let pid = child.id().unwrap_or_default().to_string();
    Command::new("sh")
        .args([
            "-c",
            "trap '' HUP INT TERM; read -r _; kill -s KILL \"$0\"; rm -rf -- \"$1\"",
            &pid,
        ])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot_run("sh", error))
}

/// Every shell knows `kill`, also where no program of this name is installed.
async fn signal(name: &str, pid: u32) {
    let kill = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .output()
        .await;
    match kill {
        Ok(output) if output.status.success() => {}
        Ok(output) => tracing::debug!(
            name,
            pid,
            "kill: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => tracing::warn!(name, pid, %error, "Mongrel2 cannot be sent a signal"),
    }
}

fn cannot_run(program: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound if program != "sh" => Error::new(format!(
            "Mongrel2 is not installed: there is no program `{program}`; install it with `apt-get install mongrel2-core` \
             (Debian, Ubuntu), or from https://mongrel2.org"
        )),
        _ => Error::because(format!("the program `{program}` cannot be run"), error),
    }
}

/// The text of a log; one that is not there yet is empty.
fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// The first complaint, which is the cause of those that follow it.
fn first_error(log: &str) -> String {
    let error = log
        .lines()
        .find(|line| line.contains("[ERROR]"))
        .or_else(|| log.lines().last());
    error.unwrap_or("it said nothing").trim().to_owned()
}

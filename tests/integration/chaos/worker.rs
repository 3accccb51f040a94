//! Worker processes: this very test program, started again.

use super::{SECRET, within};
use crate::support::child;
use brubeck::prelude::*;
use brubeck::{Deadline, Service, Trace};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const ADDRESS: &str = "BRUBECK_TEST_WORKER";
const LOG: &str = "BRUBECK_TEST_LOG";
const READY: &str = "the worker is ready";

#[derive(Clone, AppState)]
struct Works {
    log: Arc<File>,
}

/// Notes that it began, works for a while, and says what it was asked.
#[service_handler(path = "^/work", method = "request")]
async fn work(id: Arg<u64>, millis: Arg<u64>, log: State<Arc<File>>, deadline: Deadline) -> Json<u64> {
    assert!(deadline.remaining().is_some());
    // One write each, to the end of the file, so that nothing is torn and a killed process loses nothing.
    (&*log.0)
        .write_all(format!("{}\n", id.0).as_bytes())
        .expect("a file");
    tokio::time::sleep(Duration::from_millis(millis.0)).await;
    Json(id.0)
}

#[service_handler(path = "^/trace", method = "request")]
async fn trace(trace: Trace) -> Json<(String, u32)> {
    Json((trace.traceparent(), std::process::id()))
}

const WORKS: Routes<Works> = routes![work, trace];

/// The child process of a [`Worker`].
#[test]
fn worker_process() {
    if !child::is_child(worker_process) {
        return;
    }
    let address = std::env::var(ADDRESS).expect("an address");
    let log = std::env::var(LOG).expect("a file for the log");
    let log = File::options()
        .append(true)
        .create(true)
        .open(log)
        .expect("a file");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let app = App::new(WORKS, Works { log: Arc::new(log) });
        let running = app
            .start(Service::bind(address, SECRET))
            .await
            .expect("a free address");
        println!("{READY}");
        running.until_signal().await.expect("an end in time");
    });
}

/// A worker process; dropping it kills it.
pub struct Worker {
    pub address: String,
    log: PathBuf,
    child: Child,
    pub frozen: bool,
}

impl Worker {
    /// Starts one that listens at this name in the folder, and waits until it does.
    pub async fn start(folder: &Path, name: &str) -> Worker {
        let address = format!("ipc://{}", folder.join(name).display());
        let log = folder.join(format!("{name}.log"));
        let child = start(&address, &log).await;
        Worker {
            address,
            log,
            child,
            frozen: false,
        }
    }

    /// Starts it again, after it has ended.
    pub async fn start_again(&mut self) {
        self.child = start(&self.address, &self.log).await;
        self.frozen = false;
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("a process that was not waited for")
    }

    pub async fn kill(&mut self) {
        within(self.child.kill()).await.expect("a process");
    }

    /// SIGSTOP, SIGCONT or SIGTERM.
    pub async fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.arg(format!("-{signal}")).arg(self.id().to_string()).status();
        assert!(within(sent).await.expect("kill").success());
    }

    /// Waits until it has ended by itself, and well.
    pub async fn ended(&mut self) {
        let status = within(self.child.wait()).await.expect("a process");
        assert!(status.success(), "a worker ended with {status}");
    }

    /// The calls that its processes have begun.
    pub fn begun(&self) -> Vec<u64> {
        let log = std::fs::read_to_string(&self.log).expect("a log");
        log.lines().map(|line| line.parse().expect("a number")).collect()
    }
}

async fn start(address: &str, log: &Path) -> Child {
    let mut child = child::command(worker_process)
        .env(ADDRESS, address)
        .env(LOG, log)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.expect("its output") {
            if line.contains(READY) {
                return true;
            }
        }
        false
    };
    assert!(within(ready).await, "a worker ended before it was ready");
    // What it says later is read and forgotten, so that it never waits for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

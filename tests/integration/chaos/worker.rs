//! Worker processes: this test program, started again.

use super::{SECRET, with_timeout};
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
struct ServiceState {
    log: Arc<File>,
}

/// Logs its argument `id`, sleeps, and returns the id.
#[service_handler(path = "^/work", method = "request")]
async fn work(id: Arg<u64>, millis: Arg<u64>, log: State<Arc<File>>, deadline: Deadline) -> Json<u64> {
    assert!(deadline.remaining().is_some());
    // One append for each call, so lines are not mixed and a killed process loses none.
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

const SERVICE_ROUTES: Routes<ServiceState> = routes![work, trace];

/// The child process of a [`WorkerProcess`].
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
        let app = App::new(SERVICE_ROUTES, ServiceState { log: Arc::new(log) });
        let running = app
            .start(Service::bind(address, SECRET))
            .await
            .expect("a free address");
        println!("{READY}");
        running
            .until_signal()
            .await
            .expect("a shutdown within the drain limit");
    });
}

/// A worker process. It is killed when dropped.
pub struct WorkerProcess {
    pub address: String,
    log: PathBuf,
    child: Child,
    pub frozen: bool,
}

impl WorkerProcess {
    /// Starts a worker on the socket `name` in `folder`, and waits until it is ready.
    pub async fn start(folder: &Path, name: &str) -> WorkerProcess {
        let address = format!("ipc://{}", folder.join(name).display());
        let log = folder.join(format!("{name}.log"));
        let child = start(&address, &log).await;
        WorkerProcess {
            address,
            log,
            child,
            frozen: false,
        }
    }

    /// Starts a new process on the same socket. The previous process must have ended.
    pub async fn restart(&mut self) {
        self.child = start(&self.address, &self.log).await;
        self.frozen = false;
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    pub fn is_running(&self) -> bool {
        self.child.id().is_some()
    }

    pub async fn kill(&mut self) {
        with_timeout(self.child.kill()).await.expect("a process");
    }

    /// Sends a signal: `STOP`, `CONT` or `TERM`.
    pub async fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.arg(format!("-{signal}")).arg(self.id().to_string()).status();
        assert!(with_timeout(sent).await.expect("kill").success());
    }

    /// Waits for the process to exit, and panics if it fails.
    pub async fn wait_for_exit(&mut self) {
        let status = with_timeout(self.child.wait()).await.expect("a process");
        assert!(status.success(), "a worker ended with {status}");
    }

    /// Returns the ids of the calls that this worker has started, in all its processes.
    pub fn started_calls(&self) -> Vec<u64> {
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
    assert!(with_timeout(ready).await, "a worker ended before it was ready");
    // Later output is read and discarded, so the pipe never fills up.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

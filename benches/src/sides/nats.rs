//! NATS request and reply. The CPU time and memory of the broker are counted as the server's.

use super::{Flavor, RunningServer, Side};
use crate::Result;
use crate::load::{self, Load, LoadResults};
use crate::work::Note;
use async_nats::Client;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

const SUBJECT: &str = "echo";

/// The timeout for the start of the broker.
const START_TIMEOUT: Duration = Duration::from_secs(10);

impl load::Echo for Client {
    async fn echo(&self, note: Note) -> Result<Note> {
        let response = self.request(SUBJECT, note.to_json().into()).await?;
        Ok(serde_json::from_slice(&response.payload)?)
    }
}

/// `async-nats` on both sides, `nats-server` between them.
pub struct Nats;

impl Side for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn description(&self) -> &'static str {
        "async-nats 0.51, request and reply through Debian's `nats-server`, JSON; the broker's CPU time and memory are counted as the server's"
    }

    fn flavor(&self) -> Flavor {
        Flavor::CurrentThread
    }

    fn serve(&self, _: String) -> BoxFuture<'static, Result<RunningServer>> {
        Box::pin(async {
            let folder = tempfile::tempdir()?;
            let (broker, address) = broker(folder.path()).await?;
            let client = async_nats::connect(&address).await?;
            let mut requests = client.subscribe(SUBJECT).await?;
            client.flush().await?;
            let responder = tokio::spawn(async move {
                while let Some(request) = requests.next().await {
                    let Some(to) = request.reply else { continue };
                    let note: Note = serde_json::from_slice(&request.payload)?;
                    client.publish(to, note.to_json().into()).await?;
                }
                Result::<()>::Ok(())
            });
            Ok(RunningServer {
                address,
                pids: broker.id().into_iter().collect(),
                alive: Box::new((responder, broker, folder)),
            })
        })
    }

    fn drive(&self, address: String, load: Load) -> BoxFuture<'static, Result<LoadResults>> {
        Box::pin(async move { load.drive(async_nats::connect(address).await?).await })
    }
}

/// Starts a broker on a free port, which it writes to a file.
async fn broker(folder: &Path) -> Result<(Child, String)> {
    let mut broker = Command::new("nats-server")
        .args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("nats-server: {error}; install it with: apt-get install nats-server"))?;
    let file = folder.join(format!("nats-server_{}.ports", broker.id().unwrap_or_default()));
    let started = async {
        loop {
            if let Some(address) = address(&file) {
                return Ok(address);
            }
            if let Some(status) = broker.try_wait()? {
                return Err(format!("nats-server exited: {status}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let started: Result<String> = tokio::time::timeout(START_TIMEOUT, started).await?;
    Ok((broker, started?))
}

/// Reads the address from `{"nats":["nats://127.0.0.1:1234"]}`. Returns `None` if the file is not complete yet.
fn address(file: &Path) -> Option<String> {
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(ports["nats"][0].as_str()?.to_owned())
}

//! Pending calls of one client.

use crate::start_service;
use brubeck_benches::Result;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{bytes, thousands};
use brubeck_benches::table::Table;

const CALLS: [usize; 3] = [1000, 10_000, 50_000];

pub(crate) async fn measure() -> Result<String> {
    let mut table = Table::new(["pending calls", "client, per call", "server, per call"]);
    for calls in CALLS {
        progress(&format!("pending: {calls}"));
        let (server, address) =
            start_service("tcp://127.0.0.1:0", &["--concurrency", &(calls + 1).to_string()]).await?;
        let mut client = Child::start(["pend", &address, &calls.to_string()])?;
        client.receive::<String>().await?;
        let before = (client.usage()?, server.usage()?);
        client.start_measurement().await?;
        client.receive::<usize>().await?;
        let after = (client.usage()?, server.usage()?);
        let per_call = |now: u64, before: u64| bytes(now.saturating_sub(before) as f64 / calls as f64);
        table.row([
            thousands(calls as f64),
            per_call(after.0.memory, before.0.memory),
            per_call(after.1.memory, before.1.memory),
        ]);
        client.stop().await;
        server.stop().await;
    }
    progress("");
    Ok(format!(
        "### Pending calls\n\nCalls of 100 B from one client over one connection, each in a task of its own, whose handlers \
         have not responded; both sides have raised their limits. Memory is the increase over the process before them.\n\n{table}\n"
    ))
}

//! Calls of one client that wait for their answers.

use crate::served;
use brubeck_benches::Result;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{bytes, thousands};
use brubeck_benches::table::Table;

const CALLS: [usize; 3] = [1000, 10_000, 50_000];

pub(crate) async fn measure() -> Result<String> {
    let mut table = Table::new(["calls under way", "client, each", "server, each"]);
    for calls in CALLS {
        progress(&format!("pending: {calls}"));
        let (server, address) =
            served("tcp://127.0.0.1:0", &["--concurrency", &(calls + 1).to_string()]).await?;
        let mut client = Child::start(["pend", &address, &calls.to_string()])?;
        client.hear::<String>().await?;
        let before = (client.usage()?, server.usage()?);
        client.go().await?;
        client.hear::<usize>().await?;
        let after = (client.usage()?, server.usage()?);
        let each = |now: u64, before: u64| bytes(now.saturating_sub(before) as f64 / calls as f64);
        table.row([
            thousands(calls as f64),
            each(after.0.now, before.0.now),
            each(after.1.now, before.1.now),
        ]);
        client.stop().await;
        server.stop().await;
    }
    progress("");
    Ok(format!(
        "### Calls that wait\n\nCalls of 100 B from one client over one connection, each in a task of its own, whose handlers \
         have not answered yet; both sides have raised their limits. Memory is what the process holds beyond what it \
         held before.\n\n{table}\n"
    ))
}

//! Peers that are connected to one service and idle.

use crate::served;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{bytes, thousands, three};
use brubeck_benches::sides::Transport;
use brubeck_benches::table::Table;
use brubeck_benches::{Result, usage};
use std::time::Duration;

const PEERS: [(Transport, usize); 6] = [
    (Transport::Tcp, 1),
    (Transport::Tcp, 1000),
    (Transport::Tcp, 10_000),
    (Transport::Ipc, 1),
    (Transport::Ipc, 1000),
    (Transport::Ipc, 10_000),
];

/// Open files that a process has beside one for each peer.
const OWN_FILES: u64 = 200;

/// How long they are watched while they are idle.
const WATCHED: Duration = Duration::from_secs(5);

pub(crate) async fn measure() -> Result<String> {
    let mut table = Table::new([
        "peers",
        "server, each",
        "client, each",
        "CPU while idle: server",
        "client",
    ]);
    let files = usage::most_open_files();
    for (transport, peers) in PEERS {
        let title = format!("{}, {}", transport.name(), thousands(peers as f64));
        if peers as u64 + OWN_FILES > files {
            table.row([title, format!("needs {} open files", peers as u64 + OWN_FILES)]);
            continue;
        }
        progress(&format!("peers: {title}"));
        table.row([vec![title], once(transport, peers).await?].concat());
    }
    progress("");
    Ok(format!(
        "### Idle peers\n\nClients of one process, each with a connection and a session of its own, connected to one service. \
         Each beats once a second, so that the death of either is seen. Memory is what the process holds beyond what it \
         held without them.\n\n{table}\n"
    ))
}

async fn once(transport: Transport, peers: usize) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let address = match transport {
        Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
        Transport::Ipc => format!("ipc://{}", folder.path().join("service").display()),
    };
    let (server, address) = served(&address, &["--max-connections", &(peers + 100).to_string()]).await?;
    // One that comes first, so that what the first costs is not taken for the cost of each.
    let mut first = Child::start(["hold", &address, "1"])?;
    first.hear::<usize>().await?;
    let before = (server.usage()?, first.usage()?);
    let mut clients = Child::start(["hold", &address, &peers.to_string()])?;
    clients.hear::<usize>().await?;
    let began = (server.usage()?, clients.usage()?);
    tokio::time::sleep(WATCHED).await;
    let after = (server.usage()?, clients.usage()?);
    let each = |now: u64, before: u64| bytes(now.saturating_sub(before) as f64 / peers as f64);
    let busy = |seconds: f64| format!("{} %", three(100.0 * seconds / WATCHED.as_secs_f64()));
    let cells = vec![
        each(after.0.now, before.0.now),
        each(after.1.now, before.1.now),
        busy(after.0.since(began.0).cpu),
        busy(after.1.since(began.1).cpu),
    ];
    clients.stop().await;
    first.stop().await;
    server.stop().await;
    Ok(cells)
}

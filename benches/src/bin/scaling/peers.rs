//! Idle peers of one service.

use crate::start_service;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{bytes, thousands, three_digits};
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

/// Open files of a process in addition to one for each peer.
const OWN_FILES: u64 = 200;

/// The time for which idle peers are observed.
const OBSERVATION: Duration = Duration::from_secs(5);

pub(crate) async fn measure() -> Result<String> {
    let mut table = Table::new([
        "peers",
        "server, per peer",
        "client, per peer",
        "CPU while idle: server",
        "CPU while idle: client",
    ]);
    let files = usage::raise_open_file_limit();
    for (transport, peers) in PEERS {
        let title = format!("{}, {}", transport.name(), thousands(peers as f64));
        if peers as u64 + OWN_FILES > files {
            table.row([title, format!("needs {} open files", peers as u64 + OWN_FILES)]);
            continue;
        }
        progress(&format!("peers: {title}"));
        table.row([vec![title], measure_once(transport, peers).await?].concat());
    }
    progress("");
    Ok(format!(
        "### Idle peers\n\nClients in one process, each with its own connection and session to one service. Each peer sends a \
         heartbeat once a second. Memory is the resident memory above that of a process with one client.\n\n{table}\n"
    ))
}

async fn measure_once(transport: Transport, peers: usize) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let address = match transport {
        Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
        Transport::Ipc => format!("ipc://{}", folder.path().join("service").display()),
    };
    let (server, address) =
        start_service(&address, &["--max-connections", &(peers + 100).to_string()]).await?;
    // One client connects first, so the cost of initialization is not included.
    let mut first = Child::start(["hold", &address, "1"])?;
    first.receive::<usize>().await?;
    let before = (server.usage()?, first.usage()?);
    let mut clients = Child::start(["hold", &address, &peers.to_string()])?;
    clients.receive::<usize>().await?;
    let began = (server.usage()?, clients.usage()?);
    tokio::time::sleep(OBSERVATION).await;
    let after = (server.usage()?, clients.usage()?);
    let per_peer = |now: u64, before: u64| bytes(now.saturating_sub(before) as f64 / peers as f64);
    let cpu_percent =
        |seconds: f64| format!("{} %", three_digits(100.0 * seconds / OBSERVATION.as_secs_f64()));
    let cells = vec![
        per_peer(after.0.memory, before.0.memory),
        per_peer(after.1.memory, before.1.memory),
        cpu_percent(after.0.since(began.0).cpu),
        cpu_percent(after.1.since(began.1).cpu),
    ];
    clients.stop().await;
    first.stop().await;
    server.stop().await;
    Ok(cells)
}

//! One client, and 1 to 8 processes of the service.

use crate::roles::NAP;
use crate::{Plan, served};
use brubeck_benches::Result;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{Spread, thousands, three};
use brubeck_benches::load::Seen;
use brubeck_benches::table::Table;

const WORKERS: [usize; 4] = [1, 2, 4, 8];
const IN_FLIGHT: usize = 256;
/// Handlers that may wait in one process at a time.
const SLOTS: usize = 32;

/// What one measurement gave.
struct Measured {
    rate: f64,
    p99: f64,
    server: f64,
    client: f64,
}

pub(crate) async fn measure(plan: &Plan) -> Result<String> {
    let mut table = Table::new([
        "processes",
        "echo: calls/s (least to most)",
        "p99 us",
        "10 ms of waiting: calls/s",
        "of what is possible",
        "peak MiB: all servers",
        "client",
    ]);
    for workers in WORKERS {
        let (mut echo, mut nap) = (Vec::new(), Vec::new());
        for round in 0..plan.rounds {
            progress(&format!("workers: {workers}, round {}", round + 1));
            echo.push(once(plan, workers, "echo", &[]).await?);
            nap.push(once(plan, workers, "nap", &["--concurrency", &SLOTS.to_string()]).await?);
        }
        let spread = |of: &[Measured], value: fn(&Measured) -> f64| Spread::of(of.iter().map(value));
        let rate = spread(&echo, |one| one.rate);
        let waiting = spread(&nap, |one| one.rate).median;
        let possible = (workers * SLOTS) as f64 / NAP.as_secs_f64();
        table.row([
            workers.to_string(),
            format!(
                "{} ({} to {})",
                thousands(rate.median),
                thousands(rate.low),
                thousands(rate.high)
            ),
            three(spread(&echo, |one| one.p99).median),
            thousands(waiting),
            format!("{:.0} %", 100.0 * waiting / possible),
            three(spread(&echo, |one| one.server).median),
            three(spread(&echo, |one| one.client).median),
        ]);
    }
    progress("");
    Ok(format!(
        "### Workers\n\nOne client with {IN_FLIGHT} calls of 100 B in flight over tcp. The echo is all work, so the cores \
         are its limit; the handler that waits for 10 ms has a concurrency of {SLOTS} in each process.\n\n{table}\n"
    ))
}

async fn once(plan: &Plan, workers: usize, what: &str, arguments: &[&str]) -> Result<Measured> {
    let (mut servers, mut addresses) = (Vec::new(), Vec::new());
    for _ in 0..workers {
        let (server, address) = served("tcp://127.0.0.1:0", arguments).await?;
        servers.push(server);
        addresses.push(address);
    }
    let (in_flight, seconds) = (IN_FLIGHT.to_string(), plan.seconds.to_string());
    let mut client = Child::start(
        ["drive", what, &in_flight, &seconds]
            .into_iter()
            .chain(addresses.iter().map(String::as_str)),
    )?;
    client.hear::<String>().await?;
    client.go().await?;
    let seen: Seen = client.hear().await?;
    let mut peak = 0;
    for server in &servers {
        peak += server.usage()?.peak;
    }
    let measured = Measured {
        rate: seen.calls as f64 / seen.seconds,
        p99: seen.p99,
        server: peak as f64 / 1048576.0,
        client: client.usage()?.peak as f64 / 1048576.0,
    };
    client.stop().await;
    for server in servers {
        server.stop().await;
    }
    Ok(measured)
}

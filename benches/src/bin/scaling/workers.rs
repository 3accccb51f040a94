//! One client and 1 to 8 worker processes.

use crate::roles::NAP;
use crate::{Plan, start_service};
use brubeck_benches::Result;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{Spread, thousands, three_digits};
use brubeck_benches::load::LoadResults;
use brubeck_benches::table::Table;

const WORKERS: [usize; 4] = [1, 2, 4, 8];
const IN_FLIGHT: usize = 256;
/// The concurrency of the handler that sleeps, in each process.
const CONCURRENCY: usize = 32;

/// The results of one measurement.
struct Measurement {
    rate: f64,
    p99: f64,
    server: f64,
    client: f64,
}

pub(crate) async fn measure(plan: &Plan) -> Result<String> {
    let mut table = Table::new([
        "processes",
        "echo: calls/s (min to max)",
        "p99 us",
        "sleep of 10 ms: calls/s",
        "of the maximum",
        "peak MiB: all servers",
        "peak MiB: client",
    ]);
    for workers in WORKERS {
        let (mut echo, mut nap) = (Vec::new(), Vec::new());
        for round in 0..plan.rounds {
            progress(&format!("workers: {workers}, round {}", round + 1));
            echo.push(measure_once(plan, workers, "echo", &[]).await?);
            nap.push(measure_once(plan, workers, "nap", &["--concurrency", &CONCURRENCY.to_string()]).await?);
        }
        let spread = |of: &[Measurement], value: fn(&Measurement) -> f64| Spread::of(of.iter().map(value));
        let rate = spread(&echo, |measured| measured.rate);
        let sleeping = spread(&nap, |measured| measured.rate).median;
        let max = (workers * CONCURRENCY) as f64 / NAP.as_secs_f64();
        table.row([
            workers.to_string(),
            format!(
                "{} ({} to {})",
                thousands(rate.median),
                thousands(rate.min),
                thousands(rate.max)
            ),
            three_digits(spread(&echo, |measured| measured.p99).median),
            thousands(sleeping),
            format!("{:.0} %", 100.0 * sleeping / max),
            three_digits(spread(&echo, |measured| measured.server).median),
            three_digits(spread(&echo, |measured| measured.client).median),
        ]);
    }
    progress("");
    Ok(format!(
        "### Workers\n\nOne client with {IN_FLIGHT} calls of 100 B in flight over tcp. The echo only computes, so the cores \
         are its limit; the handler that sleeps for 10 ms has a concurrency of {CONCURRENCY} in each process.\n\n{table}\n"
    ))
}

async fn measure_once(plan: &Plan, workers: usize, handler: &str, arguments: &[&str]) -> Result<Measurement> {
    let (mut servers, mut addresses) = (Vec::new(), Vec::new());
    for _ in 0..workers {
        let (server, address) = start_service("tcp://127.0.0.1:0", arguments).await?;
        servers.push(server);
        addresses.push(address);
    }
    let (in_flight, seconds) = (IN_FLIGHT.to_string(), plan.seconds.to_string());
    let mut client = Child::start(
        ["drive", handler, &in_flight, &seconds]
            .into_iter()
            .chain(addresses.iter().map(String::as_str)),
    )?;
    client.receive::<String>().await?;
    client.start_measurement().await?;
    let results: LoadResults = client.receive().await?;
    let mut peak = 0;
    for server in &servers {
        peak += server.usage()?.peak_memory;
    }
    let measured = Measurement {
        rate: results.calls as f64 / results.seconds,
        p99: results.p99,
        server: peak as f64 / 1048576.0,
        client: client.usage()?.peak_memory as f64 / 1048576.0,
    };
    client.stop().await;
    for server in servers {
        server.stop().await;
    }
    Ok(measured)
}

//! Round trips of bodies from 1 byte to 64 MiB, one at a time.

use crate::{Plan, start_service};
use brubeck_benches::Result;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{Spread, bytes, thousands, three_digits};
use brubeck_benches::table::Table;

const SIZES: [usize; 8] = [1, 100, 1 << 10, 10 << 10, 100 << 10, 1 << 20, 8 << 20, 64 << 20];

pub(crate) async fn measure(plan: &Plan) -> Result<String> {
    let mut table = Table::new([
        "body",
        "round trip, p50 us (min to max)",
        "MB/s each way",
        "the same as bytes: round trip, p50 us",
        "MB/s each way",
        "peak MiB: server",
        "peak MiB: client",
    ]);
    for size in SIZES {
        let mut rounds = Vec::new();
        for round in 0..plan.rounds {
            progress(&format!("sizes: {}, round {}", bytes(size as f64), round + 1));
            let text = measure_once(size, plan.seconds, &[]).await?;
            let bytes = measure_once(size, plan.seconds, &["--bytes"]).await?;
            rounds.push((text.0, text.1, text.2, bytes.0));
        }
        let micros = Spread::of(rounds.iter().map(|(seconds, ..)| seconds * 1e6));
        let as_bytes = Spread::of(rounds.iter().map(|round| round.3 * 1e6)).median;
        // A round trip transfers the body twice. Below 1 KiB, the rate says nothing.
        let rate = |micros: f64| match size {
            0..1024 => "".to_owned(),
            size => thousands(2.0 * size as f64 / micros),
        };
        let peak = |value: fn(&(f64, u64, u64, f64)) -> u64| {
            three_digits(Spread::of(rounds.iter().map(|round| value(round) as f64 / 1048576.0)).median)
        };
        table.row([
            bytes(size as f64),
            format!(
                "{} ({} to {})",
                three_digits(micros.median),
                three_digits(micros.min),
                three_digits(micros.max)
            ),
            rate(micros.median),
            three_digits(as_bytes),
            rate(as_bytes),
            peak(|round| round.1),
            peak(|round| round.2),
        ]);
    }
    progress("");
    Ok(format!(
        "### Sizes\n\nA JSON string of that size over tcp, parsed and written by both sides, one call at a time; then as many bytes in a contract, \
         beside the JSON. Above \
         8 MiB both sides have raised `body_limit`.\n\n{table}\n"
    ))
}

/// Returns the seconds of a round trip, and the peak memory of server and client.
async fn measure_once(size: usize, seconds: f64, flags: &[&str]) -> Result<(f64, u64, u64)> {
    let (text, seconds) = (size.to_string(), seconds.to_string());
    let body_limit = size.saturating_add(1 << 10).max(8 << 20).to_string();
    let (server, address) = start_service("tcp://127.0.0.1:0", &["--body-limit", &body_limit]).await?;
    let mut client = Child::start(["send", &address, &text, &seconds].iter().chain(flags).copied())?;
    client.receive::<String>().await?;
    client.start_measurement().await?;
    let took = client.receive().await?;
    let measured = (took, server.usage()?.peak_memory, client.usage()?.peak_memory);
    client.stop().await;
    server.stop().await;
    Ok(measured)
}

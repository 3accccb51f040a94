//! Bodies from 1 byte to 64 MiB, there and back, one at a time.

use crate::{Plan, served};
use brubeck_benches::Result;
use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::{Spread, bytes, thousands, three};
use brubeck_benches::table::Table;

const SIZES: [usize; 8] = [1, 100, 1 << 10, 10 << 10, 100 << 10, 1 << 20, 8 << 20, 64 << 20];

pub(crate) async fn measure(plan: &Plan) -> Result<String> {
    let mut table = Table::new([
        "body",
        "there and back, p50 us (least to most)",
        "MB/s each way",
        "peak MiB: server",
        "client",
    ]);
    for size in SIZES {
        let mut rounds = Vec::new();
        for round in 0..plan.rounds {
            progress(&format!("sizes: {}, round {}", bytes(size as f64), round + 1));
            rounds.push(once(size, plan.seconds).await?);
        }
        let micros = Spread::of(rounds.iter().map(|(seconds, ..)| seconds * 1e6));
        let peak = |value: fn(&(f64, u64, u64)) -> u64| {
            three(Spread::of(rounds.iter().map(|round| value(round) as f64 / 1048576.0)).median)
        };
        table.row([
            bytes(size as f64),
            format!(
                "{} ({} to {})",
                three(micros.median),
                three(micros.low),
                three(micros.high)
            ),
            // Both ways take one time.
            match size {
                0..1024 => "".to_owned(),
                size => thousands(2.0 * size as f64 / micros.median),
            },
            peak(|round| round.1),
            peak(|round| round.2),
        ]);
    }
    progress("");
    Ok(format!(
        "### Sizes\n\nA JSON string of that size over tcp, read and written by both sides, one call at a time. Beyond \
         8 MiB both sides have said `body_limit`.\n\n{table}\n"
    ))
}

/// Seconds, and the peaks of both.
async fn once(size: usize, seconds: f64) -> Result<(f64, u64, u64)> {
    let (text, seconds) = (size.to_string(), seconds.to_string());
    let largest = size.max(8 << 20).to_string();
    let (server, address) = served("tcp://127.0.0.1:0", &["--largest-body", &largest]).await?;
    let mut client = Child::start(["send", &address, &text, &seconds])?;
    client.hear::<String>().await?;
    client.go().await?;
    let took = client.hear().await?;
    let measured = (took, server.usage()?.peak, client.usage()?.peak);
    client.stop().await;
    server.stop().await;
    Ok(measured)
}

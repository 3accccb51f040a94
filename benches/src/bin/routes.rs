//! What finding the first match costs, from ten routes to ten thousand.

use brubeck::__private::RouteMatcher;
use brubeck_benches::figures::{Spread, thousands};
use brubeck_benches::table::Table;
use brubeck_benches::{Result, document};
use brubeck_counts::table::{path, routes};
use clap::Parser;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Matches of one measurement. As many for each table: a few measure how fast what they need comes out of memory that others
/// have used meanwhile, and a table of ten has less of it.
const MATCHES: u32 = 20_000;

/// Measures matching, and writes what came out as Markdown.
#[derive(Parser)]
struct Plan {
    /// How often each table is measured
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// A page with marks to write the table between
    #[arg(long)]
    out: Option<PathBuf>,
}

/// One table, measured again and again.
struct Row {
    size: usize,
    shared: bool,
    matching: RouteMatcher<()>,
    paths: Vec<String>,
    nanoseconds: Vec<f64>,
}

impl Row {
    fn new(size: usize, shared: bool) -> Result<Row> {
        Ok(Row {
            size,
            shared,
            matching: RouteMatcher::new(routes(size, shared))?,
            // All over the table, in no order that a processor could learn.
            paths: (0..64).map(|step| path(step * 7_919 % size, shared)).collect(),
            nanoseconds: Vec::new(),
        })
    }

    fn measure(&mut self) {
        let began = Instant::now();
        for path in self.paths.iter().cycle().take(MATCHES as usize) {
            black_box(self.matching.find(black_box(path)));
        }
        self.nanoseconds
            .push(began.elapsed().as_secs_f64() * 1e9 / f64::from(MATCHES));
    }

    fn spread(&self) -> Spread {
        Spread::of(self.nanoseconds.iter().copied())
    }
}

fn main() -> Result {
    let plan = Plan::parse();
    let mut rows = Vec::new();
    for shared in [false, true] {
        for size in SIZES {
            rows.push(Row::new(size, shared)?);
        }
    }
    for _ in 0..plan.rounds {
        // In turns, so that a slow moment of the machine meets every table.
        rows.iter_mut().for_each(Row::measure);
    }
    let text = report(&rows, plan.rounds);
    match &plan.out {
        None => println!("{text}"),
        Some(page) => document::replace(page, "routes", &text)?,
    }
    Ok(())
}

fn report(rows: &[Row], rounds: usize) -> String {
    let mut table = Table::new(["routes", "ns (least to most)", "of ten routes"]);
    for row in rows {
        let least = rows
            .iter()
            .find(|other| other.shared == row.shared)
            .map_or(1.0, |first| first.spread().median);
        let (name, spread) = (path(7, row.shared), row.spread());
        table.row([
            format!("{} like `{name}`", thousands(row.size as f64)),
            format!(
                "{} ({} to {})",
                thousands(spread.median),
                thousands(spread.low),
                thousands(spread.high)
            ),
            format!("{:.2}", spread.median / least),
        ]);
    }
    format!("{table}\nMedians of {rounds} rounds, all tables in turns, on one thread.")
}

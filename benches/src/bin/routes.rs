//! Measures finding the first match among 10 to 10,000 routes.

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
/// The number of matches in one measurement, the same for each table. With far fewer, most of the time would be cache misses: the
/// tables that are measured in between displace this one from the caches, and a larger table takes longer to load again.
const MATCHES: u32 = 20_000;

/// Measures route matching and writes the results as Markdown
#[derive(Parser)]
struct Plan {
    /// The number of measurements of each table
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// The page in which the text between the marks `routes` is replaced; default: print the table
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The measurements of one table.
struct Row {
    size: usize,
    shared: bool,
    matching: RouteMatcher,
    paths: Vec<String>,
    nanoseconds: Vec<f64>,
}

impl Row {
    fn new(size: usize, shared: bool) -> Result<Row> {
        Ok(Row {
            size,
            shared,
            matching: RouteMatcher::new(routes(size, shared))?,
            // Spread over the table, in an order that is hard to predict for the CPU.
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
        // All tables in turn, so a slow moment of the machine affects all of them.
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
    let mut table = Table::new(["routes", "ns (min to max)", "ratio to 10 routes"]);
    for row in rows {
        let smallest = rows
            .iter()
            .find(|other| other.shared == row.shared)
            .map_or(1.0, |first| first.spread().median);
        let (name, spread) = (path(7, row.shared), row.spread());
        table.row([
            format!("{} like `{name}`", thousands(row.size as f64)),
            format!(
                "{} ({} to {})",
                thousands(spread.median),
                thousands(spread.min),
                thousands(spread.max)
            ),
            format!("{:.2}", spread.median / smallest),
        ]);
    }
    format!("{table}\nMedians of {rounds} rounds, all tables in turn, on one thread.")
}

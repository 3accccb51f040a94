//! Measures the cost of a call, compared with other RPC crates. All sides are measured in turn, in processes of their
//! own.

mod report;
mod row;

use brubeck_benches::child::{self, Ready, progress};
use brubeck_benches::load::Load;
use brubeck_benches::sides::{SIDES, Side, Transport, named};
use brubeck_benches::work::Kind;
use brubeck_benches::{Result, program};
use clap::{Args, Subcommand};
use row::{Cell, Row};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args)]
struct Plan {
    /// The sides to compare; default: all
    #[arg(long, value_delimiter = ',', value_parser = named)]
    sides: Vec<&'static dyn Side>,
    /// The kinds of work: json, bytes, nested (bytes inside of a structure), array (bytes as a JSON array of numbers)
    #[arg(long, value_delimiter = ',', value_parser = Kind::named, default_value = "json")]
    kinds: Vec<Kind>,
    /// The sizes of a body, in bytes of JSON, or of the bytes
    #[arg(long, value_delimiter = ',', default_value = "100,65536")]
    sizes: Vec<usize>,
    /// The numbers of calls in flight
    #[arg(long, value_delimiter = ',', default_value = "1,32,256")]
    in_flight: Vec<usize>,
    /// The transports: tcp, ipc
    #[arg(long, value_delimiter = ',', value_parser = transport, default_value = "tcp,ipc")]
    transports: Vec<Transport>,
    /// The number of measurements of each side in each configuration
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The duration of each measurement in seconds; the warm-up before it takes a third as long
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The page in which the text between the marks `calls` is replaced; the chart is written to the folder with the name
    /// of the page; default: print the tables
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The role of a child process.
#[derive(Subcommand)]
enum Role {
    /// Serves until standard input ends
    #[command(hide = true)]
    Serve { side: String, address: String },
    /// Makes calls and reports the results, then waits until standard input ends
    #[command(hide = true)]
    Drive {
        side: String,
        address: String,
        #[arg(value_parser = Kind::named)]
        kind: Kind,
        size: usize,
        in_flight: usize,
        seconds: f64,
    },
}

fn transport(name: &str) -> Result<Transport> {
    let known = [Transport::Tcp, Transport::Ipc];
    let found = known.into_iter().find(|transport| transport.name() == name);
    found.ok_or_else(|| "unknown transport; use tcp or ipc".into())
}

fn main() -> Result {
    program::run(
        "Measures calls and writes the results as Markdown",
        Plan::run,
        run_role,
    )
}

fn run_role(role: Role) -> Result {
    match role {
        Role::Serve { side, address } => {
            let side = named(&side)?;
            side.flavor().build()?.block_on(serve(side, address))
        }
        Role::Drive {
            side,
            address,
            kind,
            size,
            in_flight,
            seconds,
        } => {
            let side = named(&side)?;
            let load = Load {
                work: kind.of_size(size),
                in_flight,
                window: Duration::from_secs_f64(seconds),
            };
            side.flavor().build()?.block_on(drive(side, address, load))
        }
    }
}

async fn serve(side: &dyn Side, address: String) -> Result {
    let serving = side.serve(address).await?;
    child::send(&Ready {
        address: serving.address,
        pids: serving.pids,
    })?;
    child::wait_for_end().await;
    drop(serving.alive);
    Ok(())
}

async fn drive(side: &dyn Side, address: String, load: Load) -> Result {
    child::send(&side.drive(address, load).await?)?;
    // The parent reads the CPU time of this process while it runs.
    child::wait_for_end().await;
    Ok(())
}

impl Plan {
    async fn run(mut self) -> Result {
        if self.sides.is_empty() {
            self.sides = SIDES.to_vec();
        }
        let mut rows = self.rows();
        let mut failed = None;
        for round in 0..self.rounds {
            // All sides in turn, so a slow moment of the machine affects all of them.
            for row in &mut rows {
                progress(&format!(
                    "round {} of {}: {}",
                    round + 1,
                    self.rounds,
                    row.title()
                ));
                match row.measure(self.seconds).await {
                    Ok(measured) => row.rounds.push(measured),
                    Err(error) => {
                        eprintln!("{}: {error}", row.title());
                        failed = Some(error);
                    }
                }
            }
        }
        progress("");
        self.publish(&rows)?;
        failed.map_or(Ok(()), Err)
    }

    /// Returns the rows, grouped by transport, size and calls in flight.
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (transport, kind, size) in self.groups() {
            for in_flight in &self.in_flight {
                let cell = Cell {
                    transport,
                    kind,
                    size,
                    in_flight: *in_flight,
                };
                let sides = self.sides.iter().filter(|side| cell.is_possible_for(**side));
                rows.extend(sides.map(|side| Row {
                    side: *side,
                    cell,
                    rounds: Vec::new(),
                }));
            }
        }
        rows
    }

    /// Returns the transports, kinds of work and sizes, of which each has a table.
    fn groups(&self) -> impl Iterator<Item = (Transport, Kind, usize)> {
        self.transports.iter().flat_map(move |transport| {
            let kinds = self.kinds.iter();
            kinds.flat_map(move |kind| self.sizes.iter().map(move |size| (*transport, *kind, *size)))
        })
    }
}

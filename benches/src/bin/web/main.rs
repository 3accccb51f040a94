//! Measures the cost of a page: on the embedded server, compared with hyper and axum, and behind a Mongrel2, compared
//! with handlers in C and Python.

mod embedded;
mod mongrel2;
mod report;
mod row;
mod side;
mod wrk;

use brubeck_benches::child::{self, Ready, progress};
use brubeck_benches::sides::Flavor;
use brubeck_benches::{Result, program, sides::RunningServer};
use clap::{Args, Subcommand};
use row::Row;
use side::{SIDES, Side, Tools, named};
use std::path::PathBuf;

#[derive(Args)]
struct Plan {
    /// The sides to compare; default: all
    #[arg(long, value_delimiter = ',', value_parser = named)]
    sides: Vec<&'static Side>,
    /// The numbers of concurrent connections
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    clients: Vec<usize>,
    /// The number of measurements of each side with each number of connections
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The duration of each measurement in seconds, after a warm-up of one second
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// The page in which the text between the marks `web` is replaced; the chart is written to the folder with the name of
    /// the page; default: print the tables
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The role of a child process.
#[derive(Subcommand)]
enum Role {
    /// Serves until standard input ends
    Serve {
        side: String,
        /// `send_spec` and `recv_spec`, if behind a Mongrel2
        specs: Vec<String>,
    },
}

fn main() -> Result {
    program::run(
        "Measures a page that returns hello and writes the results as Markdown",
        Plan::run,
        run_role,
    )
}

fn run_role(role: Role) -> Result {
    match role {
        Role::Serve { side, specs } => {
            // The runtime of `#[tokio::main]` on two cores, for every side.
            Flavor::MultiThread.build()?.block_on(serve(&side, &specs))
        }
    }
}

async fn serve(side: &str, specs: &[String]) -> Result {
    let RunningServer { address, pids, alive } = match (side, specs) {
        ("hyper", []) => embedded::hyper().await?,
        ("axum", []) => embedded::axum().await?,
        ("brubeck", []) => embedded::brubeck().await?,
        ("m2-brubeck", [send, recv]) => mongrel2::brubeck(send, recv).await?,
        _ => return Err(format!("`{side}` is not served by this program").into()),
    };
    child::send(&Ready { address, pids })?;
    child::wait_for_end().await;
    drop(alive);
    Ok(())
}

impl Plan {
    async fn run(mut self) -> Result {
        if self.sides.is_empty() {
            self.sides = SIDES.iter().collect();
        }
        let tools = Tools::gather()?;
        let mut rows = self.rows();
        for round in 1..=self.rounds {
            // All sides in turn, so a slow moment of the machine affects all of them.
            for row in &mut rows {
                progress(&format!("round {round} of {}: {}", self.rounds, row.title()));
                let measured = row.measure(&tools, self.seconds).await;
                row.rounds
                    .push(measured.map_err(|error| format!("{}: {error}", row.title()))?);
            }
        }
        progress("");
        self.publish(&rows)
    }

    /// Returns the rows, grouped by the number of clients.
    fn rows(&self) -> Vec<Row> {
        let row = |clients| {
            self.sides.iter().map(move |side| Row {
                side,
                clients,
                rounds: Vec::new(),
            })
        };
        self.clients.iter().flat_map(|clients| row(*clients)).collect()
    }
}

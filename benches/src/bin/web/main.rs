//! What a page costs: on the embedded server beside hyper and axum, and behind a Mongrel2 beside handlers in C and Python.

mod embedded;
mod mongrel2;
mod report;
mod row;
mod side;
mod wrk;

use brubeck_benches::child::{self, Ready, progress};
use brubeck_benches::sides::Flavor;
use brubeck_benches::{Result, sides::Serving};
use clap::{Args, Parser, Subcommand};
use row::Row;
use side::{SIDES, Side, Tools, named};
use std::path::PathBuf;

/// Measures a page that says hello, and writes what came out as Markdown.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Args)]
struct Plan {
    /// The sides to compare; all where nothing is said
    #[arg(long, value_delimiter = ',', value_parser = named)]
    sides: Vec<&'static Side>,
    /// Connections at a time
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    clients: Vec<usize>,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// A page with marks to write the tables between, and to lay the picture beside
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What a child process of a measurement does.
#[derive(Subcommand)]
enum Role {
    /// Serves until standard input ends
    Serve {
        side: String,
        /// `send_spec` and `recv_spec`, behind a Mongrel2
        specs: Vec<String>,
    },
}

fn main() -> Result {
    let arguments = Arguments::parse();
    match arguments.role {
        None => Flavor::CurrentThread.build()?.block_on(arguments.plan.run()),
        Some(Role::Serve { side, specs }) => {
            // What `#[tokio::main]` gives on two cores, for every side.
            Flavor::MultiThread.build()?.block_on(serve(&side, &specs))
        }
    }
}

async fn serve(side: &str, specs: &[String]) -> Result {
    let Serving { address, pids, alive } = match (side, specs) {
        ("hyper", []) => embedded::hyper().await?,
        ("axum", []) => embedded::axum().await?,
        ("brubeck", []) => embedded::brubeck().await?,
        ("m2-brubeck", [send, recv]) => mongrel2::brubeck(send, recv).await?,
        _ => return Err(format!("`{side}` is not served by this program").into()),
    };
    child::say(&Ready { address, pids })?;
    child::until_left_alone().await;
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
            // In turns, so that a slow moment of the machine meets every side.
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

    /// Side by side for each number of clients.
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

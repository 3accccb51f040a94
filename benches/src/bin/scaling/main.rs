//! Measures how brubeck scales: with workers, body sizes, idle peers, and pending calls.

mod peers;
mod pending;
mod roles;
mod sizes;
mod workers;

use brubeck_benches::child::Child;
use brubeck_benches::{Result, document, machine, program, usage};
use roles::Role;
use std::path::PathBuf;

#[derive(clap::Args)]
struct Plan {
    /// The benchmarks to run: workers, sizes, peers, pending
    #[arg(long, value_delimiter = ',', default_value = "workers,sizes,peers,pending")]
    lanes: Vec<Lane>,
    /// The number of measurements of each row of workers and sizes; the others are measured once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The duration of each measurement of workers and sizes in seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The page in which the text between the marks `scaling` is replaced; default: print the tables
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Lane {
    Workers,
    Sizes,
    Peers,
    Pending,
}

fn main() -> Result {
    // The runtime of `#[tokio::main]`, for the children.
    let run_role = |role: Role| tokio::runtime::Runtime::new()?.block_on(role.run());
    program::run(
        "Measures how brubeck scales and writes the results as Markdown",
        Plan::run,
        run_role,
    )
}

impl Plan {
    async fn run(self) -> Result {
        usage::raise_open_file_limit();
        let mut text = String::new();
        for lane in &self.lanes {
            text += &match lane {
                Lane::Workers => workers::measure(&self).await?,
                Lane::Sizes => sizes::measure(&self).await?,
                Lane::Peers => peers::measure().await?,
                Lane::Pending => pending::measure().await?,
            };
        }
        text += &format!(
            "Workers and sizes: medians of {} rounds of {} s; {}.\n",
            self.rounds,
            self.seconds,
            machine::description()
        );
        match &self.out {
            Some(page) => document::replace(page, "scaling", &text),
            None => {
                println!("{text}");
                Ok(())
            }
        }
    }
}

/// Starts a service with these arguments, and returns it with its address.
async fn start_service(address: &str, arguments: &[&str]) -> Result<(Child, String)> {
    let mut server = Child::start(["serve", address].iter().chain(arguments))?;
    let address = server.ready().await?;
    Ok((server, address))
}

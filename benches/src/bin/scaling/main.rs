//! How brubeck grows: with more workers, larger bodies, more peers that are idle, and more calls that wait.

mod peers;
mod pending;
mod roles;
mod sizes;
mod workers;

use brubeck_benches::child::Child;
use brubeck_benches::{Result, document, machine, usage};
use clap::Parser;
use roles::Role;
use std::path::PathBuf;

/// Measures how brubeck grows, and writes what came out as Markdown.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(clap::Args)]
struct Plan {
    /// What to measure: workers, sizes, peers, pending
    #[arg(long, value_delimiter = ',', default_value = "workers,sizes,peers,pending")]
    lanes: Vec<Lane>,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// A page with marks to write the tables between
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
    let arguments = Arguments::parse();
    match arguments.role {
        // As `#[tokio::main]` makes it.
        Some(role) => tokio::runtime::Runtime::new()?.block_on(role.play()),
        None => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(arguments.plan.run()),
    }
}

impl Plan {
    async fn run(self) -> Result {
        usage::most_open_files();
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
            machine::described()
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

/// Starts a service with these arguments, and gives it with its address.
async fn served(address: &str, arguments: &[&str]) -> Result<(Child, String)> {
    let mut server = Child::start(["serve", address].iter().chain(arguments))?;
    let address = server.ready().await?;
    Ok((server, address))
}

//! Measures bursts of a broadcast to many WebSockets: what arrives, in which order, how fast, and with how much memory.

mod members;
mod site;

use brubeck_benches::child::{Child, progress};
use brubeck_benches::figures::thousands;
use brubeck_benches::sides::Flavor;
use brubeck_benches::table::Table;
use brubeck_benches::usage::raise_open_file_limit;
use brubeck_benches::{Result, document, machine, program};
use clap::{Args, Subcommand};
use members::{Burst, Received};
use site::FrontEnd;
use std::path::PathBuf;

/// The deliveries of a burst, unless it would have too few or too many messages.
const DELIVERIES: usize = 1_000_000;

/// Members behind a Mongrel2: brubeck accepts up to 8,192 WebSockets of one, and Mongrel2 needs several descriptors for each.
const MAX_MEMBERS_OF_MONGREL2: usize = 4_000;

#[derive(Args)]
struct Plan {
    /// The numbers of members
    #[arg(long, value_delimiter = ',', default_value = "10,500,10000")]
    members: Vec<usize>,
    /// Members that read nothing, beside the others
    #[arg(long, default_value_t = 0)]
    silent: usize,
    /// The size of a message
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// The number of messages; default: as many as make a million deliveries, 200 to 100,000
    #[arg(long)]
    messages: Option<usize>,
    /// The front ends
    #[arg(long, value_delimiter = ',', default_value = "embedded,mongrel2")]
    front_ends: Vec<FrontEnd>,
    /// The page in which the text between the marks `broadcast` is replaced; default: print the table
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The role of a child process.
#[derive(Subcommand)]
enum Role {
    /// Serves until standard input ends
    Serve { front_end: FrontEnd, threads: usize },
    /// Opens WebSockets, asks for a burst, and reads it
    Members {
        address: String,
        #[command(flatten)]
        burst: Burst,
    },
}

/// The results of one burst.
struct Row {
    front_end: FrontEnd,
    threads: usize,
    burst: Burst,
    received: Received,
    /// The memory of the application with all members, in bytes, and the peak in the burst above it.
    memory: u64,
    peak: u64,
}

fn main() -> Result {
    raise_open_file_limit();
    program::run(
        "Measures bursts of a broadcast and writes the results as Markdown",
        Plan::run,
        run_role,
    )
}

fn run_role(role: Role) -> Result {
    match role {
        Role::Serve { front_end, threads } => {
            let flavor = if threads == 1 {
                Flavor::CurrentThread
            } else {
                Flavor::MultiThread
            };
            flavor.build()?.block_on(site::serve(front_end))
        }
        Role::Members { address, burst } => Flavor::CurrentThread
            .build()?
            .block_on(members::run(&address, burst)),
    }
}

impl Plan {
    async fn run(self) -> Result {
        let mut rows = Vec::new();
        for front_end in &self.front_ends {
            for threads in [1, 2] {
                for members in &self.members {
                    let members = match front_end {
                        FrontEnd::Embedded => *members,
                        FrontEnd::Mongrel2 => (*members).min(MAX_MEMBERS_OF_MONGREL2),
                    };
                    let title = format!("{}, {threads} threads, {members} members", front_end.name());
                    progress(&title);
                    let burst = Burst {
                        members,
                        silent: self.silent,
                        messages: self
                            .messages
                            .unwrap_or_else(|| (DELIVERIES / members.max(1)).clamp(200, 100_000)),
                        bytes: self.bytes,
                    };
                    let row = measure(*front_end, threads, burst).await;
                    rows.push(row.map_err(|error| format!("{title}: {error}"))?);
                }
            }
        }
        progress("");
        let text = report(&rows);
        match &self.out {
            None => println!("{text}"),
            Some(page) => document::replace(page, "broadcast", &text)?,
        }
        Ok(())
    }
}

async fn measure(front_end: FrontEnd, threads: usize, burst: Burst) -> Result<Row> {
    let mut server = Child::start(["serve", front_end.name(), &threads.to_string()])?;
    let address = server.ready().await?;
    let numbers = [burst.members, burst.silent, burst.messages, burst.bytes].map(|number| number.to_string());
    let arguments = ["members", &address]
        .into_iter()
        .chain(numbers.iter().map(String::as_str));
    let mut clients = Child::start(arguments)?;
    clients.ready().await?;
    let memory = server.usage()?.memory;
    clients.start_measurement().await?;
    let received = clients.receive().await?;
    let peak = server.usage()?.peak_memory;
    clients.stop().await;
    server.stop().await;
    Ok(Row {
        front_end,
        threads,
        burst,
        received,
        memory,
        peak: peak.saturating_sub(memory),
    })
}

fn report(rows: &[Row]) -> String {
    let mut table = Table::new([
        "front end",
        "threads",
        "members",
        "messages",
        "delivered",
        "out of order",
        "longest gap",
        "seconds",
        "deliveries/s",
        "memory before",
        "more in the burst",
    ]);
    for row in rows {
        let deliveries = row.burst.members * row.burst.messages;
        table.row([
            row.front_end.name().to_owned(),
            row.threads.to_string(),
            thousands(row.burst.members as f64),
            thousands(row.burst.messages as f64),
            format!("{} %", 100.0 * row.received.delivered as f64 / deliveries as f64),
            row.received.out_of_order.to_string(),
            format!("{:.0} ms", row.received.longest_gap * 1000.0),
            format!("{:.2}", row.received.seconds),
            thousands(row.received.delivered as f64 / row.received.seconds),
            format!("{:.1} MiB", row.memory as f64 / 1024.0 / 1024.0),
            format!("{:.1} MiB", row.peak as f64 / 1024.0 / 1024.0),
        ]);
    }
    format!("{table}\n{}.", machine::description())
}

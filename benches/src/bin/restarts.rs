//! Measures how soon calls are answered after a worker was killed and has been started again.

use brubeck::prelude::*;
use brubeck::{Service, ServiceAddress};
use brubeck_benches::child::{self, Child, Ready, progress};
use brubeck_benches::latencies::Latencies;
use brubeck_benches::sides::Flavor;
use brubeck_benches::table::Table;
use brubeck_benches::{Result, document, machine, program};
use clap::Subcommand;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const SECRET: &str = "my_shared_secret";

/// Calls that are made all the time.
const CALLERS: usize = 4;

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
struct Plan {
    /// The number of restarts over each transport
    #[arg(long, default_value_t = 200)]
    restarts: u32,
    /// The page in which the text between the marks `restarts` is replaced; default: print the table
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The role of a child process.
#[derive(Subcommand)]
enum Role {
    /// Serves until standard input ends
    Serve { address: String },
}

/// The contract of the worker.
#[service_client]
pub trait Numbers {
    /// Returns the next number.
    #[call("/next", idempotent)]
    async fn next(&self, number: u64) -> Result<u64, Problem>;
}

#[service_handler(numbers::next)]
async fn next_number(args: Args<numbers::next>) -> Result<u64, Problem> {
    Ok(args.number + 1)
}

const ROUTES: Routes<()> = routes![next_number];

fn main() -> Result {
    program::run(
        "Kills and restarts a worker under load, and writes the results as Markdown",
        Plan::run,
        |Role::Serve { address }| Flavor::MultiThread.build()?.block_on(serve(address)),
    )
}

async fn serve(address: String) -> Result {
    let running = App::new(ROUTES, ()).start(Service::bind(address, SECRET)).await?;
    child::send(&Ready {
        address: running.address().to_owned(),
        pids: Vec::new(),
    })?;
    child::wait_for_end().await;
    Ok(running.stop().await?)
}

impl Plan {
    async fn run(self) -> Result {
        let folder = tempfile::tempdir()?;
        let ipc = format!("ipc://{}", folder.path().join("numbers").display());
        let mut table = Table::new(["transport", "restarts", "calls", "failed", "p50 ms", "p99 ms"]);
        for (name, address) in [("tcp", "tcp://127.0.0.1:0".to_owned()), ("ipc", ipc)] {
            table.row(self.measure(name, address).await?);
        }
        progress("");
        let text = format!("{table}\n{}\n", machine::description());
        match &self.out {
            None => println!("{text}"),
            Some(page) => document::replace(page, "restarts", &text)?,
        }
        Ok(())
    }

    async fn measure(&self, name: &str, address: String) -> Result<[String; 6]> {
        let mut worker = Child::start(["serve", &address])?;
        let address = worker.ready().await?;
        let client = NumbersClient::new(Client::connect(&ServiceAddress::new(&address, SECRET))?);
        let (is_over, calls, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let last_answer = AtomicU64::new(0);
        let began = Instant::now();
        let caller = async || {
            while !is_over.load(SeqCst) {
                match client.next(1).timeout(TIMEOUT).await {
                    Ok(_) => last_answer.store(micros(began.elapsed()), SeqCst),
                    Err(error) => {
                        failed.fetch_add(1, SeqCst);
                        eprintln!("{error}");
                    }
                }
                calls.fetch_add(1, SeqCst);
            }
        };
        let gaps = Latencies::default();
        let restarts = async {
            for restart in 0..self.restarts {
                progress(&format!("{name}, restart {restart}"));
                worker.kill().await?;
                // A process needs some time to start, which differs.
                tokio::time::sleep(Duration::from_millis(100 + u64::from(restart % 10) * 90)).await;
                worker = Child::start(["serve", &address])?;
                worker.ready().await?;
                let back = began.elapsed();
                while last_answer.load(SeqCst) < micros(back) {
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
                gaps.add(began.elapsed() - back);
                // Calls are under way when the worker is killed again.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            is_over.store(true, SeqCst);
            Ok::<(), brubeck_benches::Error>(())
        };
        let callers = futures_util::future::join_all((0..CALLERS).map(|_| caller()));
        let (result, _) = tokio::join!(restarts, callers);
        result?;
        worker.stop().await;
        Ok([
            name.to_owned(),
            self.restarts.to_string(),
            calls.into_inner().to_string(),
            failed.into_inner().to_string(),
            format!("{:.1}", gaps.quantile(0.5) / 1000.0),
            format!("{:.1}", gaps.quantile(0.99) / 1000.0),
        ])
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! A Brubeck service: it takes too long, and is worth the wait. `demo_service_client` calls it.

use brubeck::prelude::*;
use serde_json::Value;
use std::time::Duration;

/// A slow service.
#[service_handler(path = "^/service/slow", method = "request")]
async fn slow_echo(message: Json<Value>, delay: State<Duration>) -> Reply {
    // do something and take too long
    tokio::time::sleep(*delay).await;
    Reply::empty()
        .status(200, "Took a while, but I am back.")
        .field("RETURN_DATA", &message["RETURN_DATA"])
}

/// Set up our routes.
const ROUTES: Routes<Duration> = routes![slow_echo];

/// The application, as slow as it is told to be.
pub(crate) fn app(delay: Duration) -> App<Duration> {
    App::new(ROUTES, delay)
}

/// Get us started!
#[tokio::main]
async fn main() -> brubeck::Result {
    let at = command_line();
    app(at.delay).serve(Service::bind(at.addr, at.passphrase)).await
}

// ---- the command line -------------------------------------------------------------------------

use clap::Parser;
use std::io::IsTerminal;

fn command_line() -> Arguments {
    log();
    Arguments::parse()
}

/// One line per call on standard error, and what the demo programs say themselves.
pub(crate) fn log() {
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter("info,demo=debug")
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// A slow service, to be called by `demo_service_client`.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: ipc://path or tcp://host:port
    #[arg(long, default_value = "ipc://run/slow")]
    addr: String,
    /// What callers must know
    #[arg(long, default_value = "my_shared_secret")]
    passphrase: String,
    /// How long an answer takes: 5s, 200ms
    #[arg(long, default_value = "5s", value_parser = duration)]
    delay: Duration,
}

/// Reads `5s` or `200ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    match (number.parse(), unit) {
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        _ => Err("write it as `5s` or `200ms`".to_owned()),
    }
}

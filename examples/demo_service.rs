//! A slow Brubeck service. `demo_service_client` calls it.

use brubeck::Service;
use brubeck::prelude::*;
use serde_json::Value;
use std::time::Duration;

/// A slow service.
#[service_handler(path = "^/service/slow", method = "request")]
async fn slow_echo(message: Json<Value>, delay: State<Duration>) -> Reply {
    // Simulate slow work.
    tokio::time::sleep(*delay).await;
    Reply::empty()
        .status(200, "Took a while, but I am back.")
        .field("RETURN_DATA", &message["RETURN_DATA"])
}

/// The routes of the service.
const ROUTES: Routes<Duration> = routes![slow_echo];

/// Creates the application, whose handler waits for `delay`.
pub(crate) fn app(delay: Duration) -> App<Duration> {
    App::new(ROUTES, delay)
}

#[tokio::main]
async fn main() -> brubeck::Result {
    let arguments = command_line();
    app(arguments.delay)
        .serve(Service::bind(arguments.addr, arguments.secret))
        .await
}

// ---- the command line -------------------------------------------------------------------------

use clap::Parser;
use std::io::IsTerminal;

fn command_line() -> Arguments {
    log();
    Arguments::parse()
}

/// Logs one line per call, and the messages of the demo, to standard error.
pub(crate) fn log() {
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter("info,demo=debug")
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// A slow service for `demo_service_client`.
#[derive(Parser)]
struct Arguments {
    /// The address to bind: ipc://path or tcp://host:port
    #[arg(long, default_value = "ipc://run/slow")]
    addr: String,
    /// The secret that callers must have, of at least 16 characters
    #[arg(long, default_value = "my_shared_secret")]
    secret: String,
    /// The response time, such as 5s or 200ms
    #[arg(long, default_value = "5s", value_parser = duration)]
    delay: Duration,
}

/// Parses a duration such as `5s` or `200ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    match (number.parse(), unit) {
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        _ => Err("expected a duration such as `5s` or `200ms`".to_owned()),
    }
}

//! A Brubeck service: it takes too long, and is worth the wait. `demo_service_client` calls it.
//!
//! `cargo run --example demo_service`

use brubeck::prelude::*;
use clap::Parser;
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

/// The service, as slow as it is told to be.
pub fn app(delay: Duration) -> App<Duration> {
    // Set up our routes
    const ROUTES: Routes<Duration> = routes![slow_echo];
    App::new(ROUTES, delay)
}

/// Get us started!
#[tokio::main]
async fn main() -> brubeck::Result {
    common::log();
    let Arguments {
        addr,
        passphrase,
        delay,
    } = Arguments::parse();
    app(delay).serve(Service::bind(addr, passphrase)).await
}

#[allow(dead_code)]
mod common;

/// A slow service, to be called by `demo_service_client`.
#[derive(Parser)]
struct Arguments {
    /// Where to listen: ipc://path or tcp://host:port
    #[arg(long, default_value = common::SERVICE_ADDR)]
    addr: String,
    /// What callers must know
    #[arg(long, default_value = common::SERVICE_PASSPHRASE)]
    passphrase: String,
    /// How long an answer takes: 5s, 200ms
    #[arg(long, default_value = "5s", value_parser = common::duration)]
    delay: Duration,
}

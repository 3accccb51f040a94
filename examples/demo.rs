//! The whole demo in one process: the slow service, the pages that call it, and the web server.
//!
//! Run it with `cargo run --example demo`, or behind Mongrel2 with `cargo run --example demo -- --mongrel2`

use brubeck::prelude::*;
use brubeck::{Mongrel2Config, Mongrel2Handler, Service};
use clap::Parser;
use demo_service_client::Slow;
use std::time::Duration;

#[allow(dead_code)]
#[path = "demo_service.rs"]
mod demo_service;
#[allow(dead_code)]
#[path = "demo_service_client.rs"]
mod demo_service_client;

#[tokio::main]
async fn main() -> brubeck::Result {
    demo_service::log();
    let Arguments {
        port,
        delay,
        mongrel2,
    } = Arguments::parse();
    let address = format!("127.0.0.1:{port}");
    // The directory is accessible to this user only, so other users cannot connect to the sockets in it.
    let folder = tempfile::Builder::new().prefix("brubeck-").tempdir()?;
    let socket = |name: &str| format!("ipc://{}/{name}", folder.path().display());

    // The service runs in this process, but it is called over ZeroMQ, as it would be in another process.
    let slow = Slow {
        addr: socket("slow"),
        secret: "my_shared_secret".into(),
        dialect: None,
        responses: None,
    };
    let service = demo_service::app(delay)
        .start(Service::bind(&slow.addr, &slow.secret))
        .await?;

    let app = demo_service_client::app(slow);
    if mongrel2 {
        let (send, recv) = (socket("send"), socket("recv"));
        let handler = Mongrel2Handler::new(&send, &recv);
        let server = Mongrel2Config::bind(address)
            .handler("/", handler)
            .start()
            .await?;
        let pages = app.start(Mongrel2::new(send, recv)).await?;
        welcome(&format!("http://{}", server.address()), "Mongrel2", delay);
        pages.until_signal().await?;
        server.stop().await?;
    } else {
        let pages = app.start(Http::bind(address)).await?;
        welcome(pages.address(), "the embedded HTTP server", delay);
        pages.until_signal().await?;
    }
    service.stop().await
}

fn welcome(address: &str, server: &str, delay: Duration) {
    println!("\n  The demo is at {address}/ behind {server}.\n");
    println!("  {address}/service/sync   waits {delay:?} for the slow service");
    println!("  {address}/service/async  returns immediately");
    println!("\n  Ctrl-C stops it.\n");
}

/// The demo of Brubeck Services: pages that call a slow service, synchronously and asynchronously.
#[derive(Parser)]
struct Arguments {
    /// The port of the web server; 0 selects a free port
    #[arg(long, default_value_t = 6767)]
    port: u16,
    /// The response time of the service, such as 5s or 200ms
    #[arg(long, default_value = "5s", value_parser = demo_service::duration)]
    delay: Duration,
    /// Run behind a Mongrel2 instead of the embedded HTTP server
    #[arg(long)]
    mongrel2: bool,
}

//! The whole demo in one command: the slow service, the pages that call it, and what answers browsers.
//!
//! `cargo run --example demo`, and with a real Mongrel2 in front `cargo run --example demo -- --mongrel2`

use brubeck::prelude::*;
use brubeck::{Mongrel2Config, Mongrel2Handler};
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
    // Only this user may enter the folder, and so nobody else can speak to what listens in it.
    let folder = tempfile::Builder::new().prefix("brubeck-").tempdir()?;
    let socket = |name: &str| format!("ipc://{}/{name}", folder.path().display());

    // The service, in the same process here and in another one elsewhere: it is called over ZeroMQ all the same.
    let slow = Slow {
        addr: socket("slow"),
        passphrase: "my_shared_secret".into(),
    };
    let service = demo_service::app(delay)
        .start(Service::bind(&slow.addr, &slow.passphrase))
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
    println!("  {address}/service/async  goes on without it");
    println!("\n  Ctrl-C stops it.\n");
}

/// The demo of Brubeck Services: pages that call a slow service, in two ways.
#[derive(Parser)]
struct Arguments {
    /// The port that browsers use; 0 takes a free one
    #[arg(long, default_value_t = 6767)]
    port: u16,
    /// How long the service takes: 5s, 200ms
    #[arg(long, default_value = "5s", value_parser = demo_service::duration)]
    delay: Duration,
    /// Put a real Mongrel2 in front instead of the embedded HTTP server
    #[arg(long)]
    mongrel2: bool,
}

//! The server that `h2spec.sh` and `autobahn.sh` test: a page for every method, and a WebSocket that echoes.
//!
//! It prints its address, and a second one with TLS if the files of a certificate and its key are given. It runs until its standard input ends.

use brubeck::prelude::*;
use bytes::Bytes;
use std::io::Read;

/// The largest message of the Autobahn test suite.
const MAX_MESSAGE_SIZE: usize = 16 << 20;

#[get("/")]
async fn page() -> &'static str {
    "A page that is long enough for a window of a few bytes."
}

#[post("/")]
async fn post(body: Bytes) -> String {
    format!("{} bytes", body.len())
}

#[websocket("/echo")]
async fn echo(mut socket: WebSocket) -> Result<(), Closed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

const ROUTES: Routes<()> = routes![page, post, echo];

fn app() -> App<()> {
    App::new(ROUTES, ()).message_limit(MAX_MESSAGE_SIZE)
}

#[tokio::main]
async fn main() -> brubeck::Result {
    let mut running = vec![app().start(Http::bind("127.0.0.1:0")).await?];
    let mut files = std::env::args().skip(1);
    if let (Some(certificate), Some(key)) = (files.next(), files.next()) {
        let server = Http::bind("127.0.0.1:0").tls(certificate, key);
        running.push(app().start(server).await?);
    }
    for server in &running {
        println!("{}", server.address());
    }
    // Ends with the script that started it, also if the script is killed.
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    for server in running {
        server.stop().await?;
    }
    Ok(())
}

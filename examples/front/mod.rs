//! The command line and the web server, which the examples with pages share.

use brubeck::prelude::*;
use brubeck::{Mongrel2Config, Mongrel2Handler};
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 6767)]
    port: u16,
    /// Run behind a Mongrel2 instead of the embedded server.
    #[arg(long)]
    mongrel2: bool,
}

/// Serves until Ctrl-C or SIGTERM. `configure` changes the configuration of Mongrel2 for this application.
pub async fn serve<S: Send + Sync + 'static>(
    app: App<S>,
    routes: Routes<S>,
    configure: fn(Mongrel2Config) -> Mongrel2Config,
) -> brubeck::Result {
    let Arguments { port, mongrel2 } = Arguments::parse();
    let address = format!("127.0.0.1:{port}");
    if !mongrel2 {
        let running = app.start(Http::bind(address)).await?;
        println!("{}  (the embedded server; Ctrl-C stops it)", running.address());
        return running.until_signal().await;
    }
    // The directory is accessible to this user only, so other users cannot connect to the sockets in it.
    let folder = tempfile::Builder::new().prefix("brubeck-").tempdir()?;
    let [send, recv] = ["send", "recv"].map(|name| format!("ipc://{}/{name}", folder.path().display()));
    let config = configure(routes.mongrel2_conf(address, Mongrel2Handler::new(&send, &recv)));
    let server = config.start().await?;
    let running = app
        .start(Mongrel2::new(send, recv).control(server.control()))
        .await?;
    println!("http://{}  (Mongrel2; Ctrl-C stops it)", server.address());
    running.until_signal().await?;
    server.stop().await
}

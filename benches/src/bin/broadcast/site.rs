//! The application: members join, and a request sends a burst to them.

use brubeck::prelude::*;
use brubeck::{Mongrel2Config, Mongrel2Handler};
use brubeck_benches::Result;
use brubeck_benches::child::{self, Ready};
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FrontEnd {
    Embedded,
    Mongrel2,
}

impl FrontEnd {
    pub(crate) fn name(self) -> &'static str {
        match self {
            FrontEnd::Embedded => "embedded",
            FrontEnd::Mongrel2 => "mongrel2",
        }
    }
}

#[websocket("^/room$")]
async fn room(mut socket: WebSocket, room: State<Broadcast>) {
    let _subscription = room.join(&socket);
    while socket.recv().await.is_some() {}
}

#[get("^/members$")]
async fn members(room: State<Broadcast>) -> String {
    room.len().to_string()
}

/// Sends numbers, each with spaces up to a size.
#[get("^/burst$")]
async fn burst(count: Arg<usize>, bytes: Arg<usize>, room: State<Broadcast>) -> String {
    let spaces = " ".repeat(*bytes);
    for n in 0..*count {
        let number = n.to_string();
        let padding = spaces.get(number.len()..).unwrap_or_default();
        room.send(number + padding).await;
    }
    room.len().to_string()
}

const ROUTES: Routes<Broadcast> = routes![room, members, burst];

/// Serves until standard input ends.
pub(crate) async fn serve(front_end: FrontEnd) -> Result {
    let app = App::new(ROUTES, Broadcast::new()).timeout(None);
    let folder = tempfile::tempdir()?;
    let (running, server, address) = match front_end {
        FrontEnd::Embedded => {
            let http = Http::bind("127.0.0.1:0")
                .max_connections(20_000)
                .max_connections_per_address(20_000);
            let running = app.start(http).await?;
            let address = running.address().trim_start_matches("http://").to_owned();
            (running, None, address)
        }
        FrontEnd::Mongrel2 => {
            let spec = |name| format!("ipc://{}", folder.path().join(name).display());
            let (send, recv, control) = (spec("send"), spec("recv"), spec("control"));
            let config = Mongrel2Config::bind("127.0.0.1:0")
                .handler("/", Mongrel2Handler::new(&send, &recv))
                .setting("control_port", &control)
                .setting("disable.access_logging", "1");
            let server = config.start().await?;
            let running = app.start(Mongrel2::new(&send, &recv).control(&control)).await?;
            let address = server.address().to_string();
            (running, Some(server), address)
        }
    };
    // The memory is that of the application, without that of Mongrel2.
    child::send(&Ready {
        address,
        pids: Vec::new(),
    })?;
    child::wait_for_end().await;
    running.stop().await?;
    if let Some(server) = server {
        server.stop().await?;
    }
    Ok(())
}

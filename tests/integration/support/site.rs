//! An application that answers browsers, whatever stands in front of it.

use super::{Browser, within};
use brubeck::{App, Http, Mongrel2, Mongrel2Config, Mongrel2Handler, Mongrel2Server, Running};
use std::net::SocketAddr;
use tempfile::TempDir;

/// A running application and its web server.
pub struct Site {
    pub address: SocketAddr,
    pub running: Running,
    pub mongrel2: Option<Mongrel2Server>,
    /// Where Mongrel2 sends requests to and receives replies from.
    pub endpoints: Option<(String, String)>,
    pub sockets: Option<TempDir>,
}

/// How Mongrel2 writes headers.
#[derive(Clone, Copy)]
pub enum Protocol {
    Json,
    Tnetstring,
}

/// A folder for sockets, whose path is short enough for them.
pub fn sockets() -> TempDir {
    tempfile::Builder::new()
        .prefix("bru")
        .tempdir()
        .expect("a temporary folder")
}

/// The address of a socket in such a folder.
pub fn socket(folder: &TempDir, name: &str) -> String {
    format!("ipc://{}/{name}", folder.path().display())
}

impl Site {
    /// Behind the embedded server.
    pub async fn http<S: Send + Sync + 'static>(app: App<S>) -> Site {
        let running = within(app.start(Http::bind("127.0.0.1:0")))
            .await
            .expect("a free port");
        let address = running
            .address()
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        Site {
            address,
            running,
            mongrel2: None,
            endpoints: None,
            sockets: None,
        }
    }

    /// Behind a real Mongrel2.
    pub async fn mongrel2<S: Send + Sync + 'static>(app: App<S>, protocol: Protocol) -> Site {
        let sockets = sockets();
        let (send, recv) = (socket(&sockets, "send"), socket(&sockets, "recv"));
        let handler = match protocol {
            Protocol::Json => Mongrel2Handler::new(&send, &recv),
            Protocol::Tnetstring => Mongrel2Handler::new(&send, &recv).tnetstring(),
        };
        let config = Mongrel2Config::bind("127.0.0.1:0").handler("/", handler);
        let server = within(config.start()).await.expect("a Mongrel2 that starts");
        let running = within(app.start(Mongrel2::new(&send, &recv)))
            .await
            .expect("endpoints that are some");
        let (address, endpoints) = (server.address(), Some((send, recv)));
        Site {
            address,
            running,
            mongrel2: Some(server),
            endpoints,
            sockets: Some(sockets),
        }
    }

    pub async fn browser(&self) -> Browser {
        Browser::connect(self.address).await
    }

    /// Stops both, the application first.
    pub async fn stop(self) {
        within(self.running.stop())
            .await
            .expect("an end within the drain limit");
        if let Some(server) = self.mongrel2 {
            within(server.stop()).await.expect("an end");
        }
    }
}

//! An application with a web server in front of it: the embedded server or a real Mongrel2.

use super::{Browser, with_timeout};
use brubeck::{App, Http, Mongrel2, Mongrel2Config, Mongrel2Handler, Mongrel2Server, Running};
use std::net::SocketAddr;
use tempfile::TempDir;

/// A running application and its web server.
pub struct ServedApp {
    pub address: SocketAddr,
    pub running: Running,
    pub mongrel2: Option<Mongrel2Server>,
    /// The endpoints at which Mongrel2 sends requests and receives replies, in this order. `None` on the embedded server.
    pub endpoints: Option<(String, String)>,
    /// The folder of these endpoints.
    pub sockets: Option<TempDir>,
}

/// The format in which Mongrel2 encodes the headers of its messages.
#[derive(Clone, Copy)]
pub enum Protocol {
    Json,
    Tnetstring,
}

/// Creates a folder for sockets, with a path that is short enough for a socket address.
pub fn socket_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("bru")
        .tempdir()
        .expect("a temporary folder")
}

/// Returns the `ipc://` address of the socket `name` in a folder.
pub fn socket_address(folder: &TempDir, name: &str) -> String {
    format!("ipc://{}/{name}", folder.path().display())
}

impl ServedApp {
    /// Starts the application on the embedded server.
    pub async fn http<S: Send + Sync + 'static>(app: App<S>) -> ServedApp {
        let running = with_timeout(app.start(Http::bind("127.0.0.1:0")))
            .await
            .expect("a free port");
        let address = running
            .address()
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        ServedApp {
            address,
            running,
            mongrel2: None,
            endpoints: None,
            sockets: None,
        }
    }

    /// Starts the application behind a Mongrel2, which must be installed.
    pub async fn mongrel2<S: Send + Sync + 'static>(app: App<S>, protocol: Protocol) -> ServedApp {
        let sockets = socket_folder();
        let (send, recv) = (socket_address(&sockets, "send"), socket_address(&sockets, "recv"));
        let handler = match protocol {
            Protocol::Json => Mongrel2Handler::new(&send, &recv),
            Protocol::Tnetstring => Mongrel2Handler::new(&send, &recv).tnetstring(),
        };
        let config = Mongrel2Config::bind("127.0.0.1:0").handler("/", handler);
        let server = with_timeout(config.start()).await.expect("a running Mongrel2");
        let running = with_timeout(app.start(Mongrel2::new(&send, &recv)))
            .await
            .expect("valid endpoints");
        let (address, endpoints) = (server.address(), Some((send, recv)));
        ServedApp {
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

    /// Stops the application, then Mongrel2.
    pub async fn stop(self) {
        with_timeout(self.running.stop())
            .await
            .expect("a shutdown within the drain limit");
        if let Some(server) = self.mongrel2 {
            with_timeout(server.stop()).await.expect("a clean shutdown");
        }
    }
}

//! A real Mongrel2 with an application behind it, set up as a test needs it.

use super::site::{socket, sockets};
use super::{Browser, parts, within};
use brubeck::{
    App, Http, Mongrel2, Mongrel2Config, Mongrel2Counts, Mongrel2Handler, Mongrel2Server, Running,
};
use std::net::SocketAddr;
use tempfile::TempDir;

/// A Mongrel2 and what stands behind it.
pub struct Laboratory {
    pub address: SocketAddr,
    pub running: Running,
    pub server: Option<Mongrel2Server>,
    pub counts: Mongrel2Counts,
    pub folder: TempDir,
}

/// What a test may set: in Mongrel2, and in the connection to it. The folder is for files.
pub type Setting = fn(Mongrel2Config, Mongrel2, &str) -> (Mongrel2Config, Mongrel2);

/// Nothing set.
pub fn plain(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config, link)
}

impl Laboratory {
    /// `None` where there is no Mongrel2.
    pub async fn new<S: Send + Sync + 'static>(app: App<S>, set: Setting) -> Option<Laboratory> {
        Laboratory::routed(app, &["/", "@chat", "<chat"], set).await
    }

    pub async fn routed<S: Send + Sync + 'static>(
        app: App<S>,
        routes: &[&str],
        set: Setting,
    ) -> Option<Laboratory> {
        if !parts::mongrel2() {
            return None;
        }
        let folder = sockets();
        let (send, recv) = (socket(&folder, "send"), socket(&folder, "recv"));
        let mut config = Mongrel2Config::bind("127.0.0.1:0").setting("disable.access_logging", "1");
        for route in routes {
            config = config.handler(*route, Mongrel2Handler::new(&send, &recv));
        }
        let control = socket(&folder, "control");
        let config = config.setting("control_port", &control);
        let path = folder.path().display().to_string();
        let (config, link) = set(config, Mongrel2::new(&send, &recv), &path);
        let counts = link.counts();
        let server = within(config.start()).await.expect("a Mongrel2 that starts");
        let running = within(app.start(link)).await.expect("endpoints that are some");
        Some(Laboratory {
            address: server.address(),
            running,
            server: Some(server),
            counts,
            folder,
        })
    }

    /// Behind the embedded server.
    pub async fn embedded<S: Send + Sync + 'static>(app: App<S>) -> Laboratory {
        let running = within(app.start(Http::bind("127.0.0.1:0")))
            .await
            .expect("a free port");
        let address = running.address().trim_start_matches("http://").parse();
        Laboratory {
            address: address.expect("an address"),
            running,
            server: None,
            counts: Mongrel2::new("", "").counts(),
            folder: sockets(),
        }
    }

    pub async fn browser(&self) -> Browser {
        Browser::connect(self.address).await
    }

    /// The endpoint of the control port.
    pub fn control(&self) -> String {
        socket(&self.folder, "control")
    }

    pub async fn stop(self) {
        within(self.running.stop())
            .await
            .expect("an end within the drain limit");
        if let Some(server) = self.server {
            within(server.stop()).await.expect("an end");
        }
    }
}

/// Waits until something is so that nobody tells of.
#[track_caller]
pub fn until(what: impl Fn() -> bool) -> impl Future<Output = ()> {
    within(async move {
        while !what() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
}

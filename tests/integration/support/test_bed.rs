//! An application behind a real Mongrel2 with the settings of a test, or on the embedded server.

use super::served_app::{socket_address, socket_folder};
use super::{Browser, requirements, with_timeout};
use brubeck::{
    App, Http, Mongrel2, Mongrel2Config, Mongrel2Counts, Mongrel2Handler, Mongrel2Server, Running,
};
use std::net::SocketAddr;
use tempfile::TempDir;

/// A running application and, unless it runs on the embedded server, its Mongrel2.
pub struct TestBed {
    pub address: SocketAddr,
    pub running: Running,
    pub server: Option<Mongrel2Server>,
    /// The counts of the connection to Mongrel2. They remain 0 on the embedded server.
    pub counts: Mongrel2Counts,
    /// The folder of the sockets. Tests may put files there.
    pub folder: TempDir,
}

/// Changes the configuration of Mongrel2 and the connection to it. The last argument is the path of
/// [`TestBed::folder`].
pub type Configure = fn(Mongrel2Config, Mongrel2, &str) -> (Mongrel2Config, Mongrel2);

/// A [`Configure`] that changes nothing.
pub fn default_settings(config: Mongrel2Config, link: Mongrel2, _: &str) -> (Mongrel2Config, Mongrel2) {
    (config, link)
}

impl TestBed {
    /// Starts the application behind a Mongrel2 with the routes `/`, `@chat` and `<chat`. Otherwise like
    /// [`mongrel2_with_routes`](TestBed::mongrel2_with_routes).
    pub async fn mongrel2<S: Send + Sync + 'static>(app: App<S>, configure: Configure) -> Option<TestBed> {
        TestBed::mongrel2_with_routes(app, &["/", "@chat", "<chat"], configure).await
    }

    /// Starts the application behind a Mongrel2 that has these routes and a control port. The application uses the
    /// control port only if `configure` says so. Returns `None` if Mongrel2 is not installed.
    pub async fn mongrel2_with_routes<S: Send + Sync + 'static>(
        app: App<S>,
        routes: &[&str],
        configure: Configure,
    ) -> Option<TestBed> {
        if !requirements::mongrel2() {
            return None;
        }
        let folder = socket_folder();
        let (send, recv) = (socket_address(&folder, "send"), socket_address(&folder, "recv"));
        let mut config = Mongrel2Config::bind("127.0.0.1:0").setting("disable.access_logging", "1");
        for route in routes {
            config = config.handler(*route, Mongrel2Handler::new(&send, &recv));
        }
        let control = socket_address(&folder, "control");
        let config = config.setting("control_port", &control);
        let path = folder.path().display().to_string();
        let (config, link) = configure(config, Mongrel2::new(&send, &recv), &path);
        let counts = link.counts();
        let server = with_timeout(config.start()).await.expect("a running Mongrel2");
        let running = with_timeout(app.start(link)).await.expect("valid endpoints");
        Some(TestBed {
            address: server.address(),
            running,
            server: Some(server),
            counts,
            folder,
        })
    }

    /// Starts the application on the embedded server.
    pub async fn embedded<S: Send + Sync + 'static>(app: App<S>) -> TestBed {
        let running = with_timeout(app.start(Http::bind("127.0.0.1:0")))
            .await
            .expect("a free port");
        let address = running.address().trim_start_matches("http://").parse();
        TestBed {
            address: address.expect("an address"),
            running,
            server: None,
            counts: Mongrel2::new("", "").counts(),
            folder: socket_folder(),
        }
    }

    pub async fn browser(&self) -> Browser {
        Browser::connect(self.address).await
    }

    /// Returns the endpoint of Mongrel2's control port.
    pub fn control(&self) -> String {
        socket_address(&self.folder, "control")
    }

    pub async fn stop(self) {
        with_timeout(self.running.stop())
            .await
            .expect("a shutdown within the drain limit");
        if let Some(server) = self.server {
            with_timeout(server.stop()).await.expect("a clean shutdown");
        }
    }
}

/// Polls `condition` every 2 ms until it is true. Panics after 30 seconds.
#[track_caller]
pub fn wait_until(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    with_timeout(async move {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
}

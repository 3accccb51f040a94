//! The application: routes, state, templates and connections, put together and run.

mod assemble;
mod builder;
mod client;
#[cfg(feature = "files")]
mod file_response;
mod finalize;
mod hook;
mod inner;
mod limits;
mod request;
mod run;
mod service;
mod service_call;
mod tower;
mod trust;

pub use hook::{Hook, Proceed};
pub use limits::Limits;
pub use run::{Handle, Running};
pub use service::Service;
pub use tower::AppService;

use crate::error::Result;
use crate::handler::{Application, Connection};
use crate::routing::Routes;
use crate::rpc::api::OpenLink;
use crate::session::CookieSecret;
use inner::Hooks;
use limits::RouteLimits;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tower::{AppService as Inner, Wrap};
use trust::CrossSite;

/// An application: its routes and its state.
///
/// ```no_run
/// use brubeck::prelude::*;
///
/// #[get("^/$")]
/// async fn index() -> &'static str {
///     "hello"
/// }
///
/// const ROUTES: Routes<()> = routes![index];
///
/// #[tokio::main]
/// async fn main() -> brubeck::Result {
///     App::new(ROUTES, ()).serve(Http::bind("127.0.0.1:6767")).await
/// }
/// ```
///
/// A web request takes this way: the [layers](App::layer), the last one first; a [mounted](App::mount) service whose
/// prefix it has, or else the route; the check for [forged requests](App::trust_origin); the body, up to its limit;
/// the functions [before](App::before); the handler; those [after](App::after); and what is an error without a page
/// is [dressed](App::catch).
#[must_use = "an application does nothing until it is served"]
pub struct App<S: 'static> {
    routes: Routes<S>,
    state: S,
    templates: Option<PathBuf>,
    body_limit: usize,
    timeout: Option<Duration>,
    limits: RouteLimits,
    drain: Duration,
    connections: Vec<Box<dyn Connection>>,
    layers: Vec<Wrap>,
    mounts: Vec<(String, Inner)>,
    cookie_secret: Option<CookieSecret>,
    login_url: Option<String>,
    proxies: Vec<String>,
    cross_site: CrossSite,
    hooks: Hooks<S>,
}

impl<S: Send + Sync + 'static> App<S> {
    /// An application with these routes, in this order, and this state.
    pub fn new(routes: Routes<S>, state: S) -> App<S> {
        App {
            routes,
            state,
            templates: None,
            body_limit: 1 << 20,
            timeout: Some(limits::TIME),
            limits: RouteLimits::default(),
            drain: Duration::from_secs(30),
            connections: Vec::new(),
            layers: Vec::new(),
            mounts: Vec::new(),
            cookie_secret: None,
            login_url: None,
            proxies: Vec::new(),
            cross_site: CrossSite::Refused(Vec::new()),
            hooks: Hooks {
                before: Vec::new(),
                after: Vec::new(),
                fallback: None,
                catchers: Vec::new(),
            },
        }
    }

    /// Reads templates from this folder, and again whenever one changes. Without it, pages are rendered
    /// from what `#[derive(Template)]` built in.
    ///
    /// A browser is shown errors that have no page of their own with the template `errors/404.html` of their
    /// status code, or else with `errors.html`. They know `error_code`, `title`, `reason` and `fields`, each of
    /// which has a `field` and a `reason`.
    pub fn templates(mut self, folder: impl Into<PathBuf>) -> App<S> {
        self.templates = Some(folder.into());
        self
    }

    /// How long a shutdown waits for what was accepted; 30 seconds unless set.
    pub fn drain(mut self, limit: Duration) -> App<S> {
        self.drain = limit;
        self
    }

    /// Adds a connection to serve beside the one given to [`serve`](App::serve).
    pub fn also(mut self, connection: impl Connection) -> App<S> {
        self.connections.push(Box::new(connection));
        self
    }

    /// Serves until SIGINT or SIGTERM, then finishes what was accepted.
    ///
    /// # Errors
    ///
    /// An address that cannot be bound, an endpoint that is none, a template folder that is not there, a route
    /// pattern that is too large for the matcher, a cookie secret that can be guessed, a trusted proxy that is no
    /// network, limits of a handler that is not listed, a handler that sends with [`nowait`](crate::TypedCall::nowait) what
    /// no response handler takes.
    pub async fn serve(self, connection: impl Connection) -> Result {
        self.start(connection).await?.until_signal().await
    }

    /// Opens the connections and serves in the background, until the handle is told to stop.
    ///
    /// # Errors
    ///
    /// As [`serve`](App::serve).
    pub async fn start(mut self, connection: impl Connection) -> Result<Running> {
        self.connections.insert(0, Box::new(connection));
        let connections = std::mem::take(&mut self.connections);
        let drain = self.drain;
        let application = self.assemble(Arc::new(client::open_client))?;
        Running::open(application, connections, drain).await
    }

    /// The application without its connections, and what answers its web requests; services are opened in this way.
    pub(crate) fn application(self, open: OpenLink) -> Result<(Arc<dyn Application>, AppService)> {
        let served = self.assemble(open)?;
        let web = served.web.clone();
        Ok((served, web))
    }

    /// The application as a service of HTTP requests, to nest in another framework or to call without a socket.
    /// Its connections are not opened.
    ///
    /// # Errors
    ///
    /// As [`serve`](App::serve), but for addresses and endpoints.
    pub fn into_service(self) -> Result<AppService> {
        Ok(self.assemble(Arc::new(client::open_client))?.web.clone())
    }
}

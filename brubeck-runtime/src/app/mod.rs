//! The application: configuration, request processing, startup and shutdown.

mod assemble;
mod builder;
#[cfg(feature = "services")]
mod client;
mod cross_site;
#[cfg(feature = "files")]
mod file_response;
mod finalize;
mod hook;
mod inner;
mod limits;
#[cfg(all(feature = "services", not(feature = "legacy")))]
mod no_legacy;
mod request;
mod root;
mod run;
#[cfg(feature = "services")]
mod service;
mod service_call;
mod tower;
mod trusted_proxies;

pub use hook::{Hook, Proceed};
pub use limits::Limits;
pub use run::{Handle, Running};
#[cfg(feature = "services")]
pub use service::Service;
pub use tower::AppService;

use crate::error::Result;
use crate::handler::{Application, Connection};
use crate::routing::Routes;
use crate::rpc::api::OpenLink;
use crate::session::CookieSecret;
use cross_site::CrossSitePolicy;
use inner::Hooks;
use limits::RouteLimits;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tower::BoxedLayer;

/// An application: its routes, its state and its settings.
///
/// Create one with [`App::new`], configure it, and run it with [`serve`](App::serve) or [`start`](App::start). `S` is the
/// type of the state; handlers get it, or parts of it, with [`State`](crate::State).
///
/// # Examples
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
/// # Order of processing
///
/// A web request passes, in this order:
///
/// 1. the [layers](App::layer), the one added last first;
/// 2. the [mounted](App::mount) services: if a prefix matches, that service responds, and the rest is skipped;
/// 3. the check for [cross-site requests](App::trust_origin);
/// 4. the route; if none matches, the [fallback](App::fallback) responds. Without a fallback, the service that is mounted at
///    `/` responds, and the check for cross-site requests is skipped;
/// 5. the [limits of the route](App::limit), and reading the body;
/// 6. the [`before`](App::before) hooks, the handler, and the [`after`](App::after) hooks;
/// 7. the [catcher](App::catch) or the error page, if the response is an error without a body.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`body_limit`](App::body_limit) | 1 MiB |
/// | [`timeout`](App::timeout) of web handlers | 60 s |
/// | [`drain`](App::drain) at shutdown | 30 s |
/// | cross-site requests | rejected with 403 |
/// | trusted proxies | none |
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
    layers: Vec<BoxedLayer>,
    mounts: Vec<(String, AppService)>,
    cookie_secret: Option<CookieSecret>,
    login_url: Option<String>,
    proxies: Vec<String>,
    cross_site: CrossSitePolicy,
    hooks: Hooks<S>,
}

impl<S: Send + Sync + 'static> App<S> {
    /// Creates an application with these routes and this state.
    ///
    /// The order of the routes matters: the first pattern that matches the path wins.
    pub fn new(routes: Routes<S>, state: S) -> App<S> {
        App {
            routes,
            state,
            templates: None,
            body_limit: 1 << 20,
            timeout: Some(limits::DEFAULT_TIMEOUT),
            limits: RouteLimits::default(),
            drain: Duration::from_secs(30),
            connections: Vec::new(),
            layers: Vec::new(),
            mounts: Vec::new(),
            cookie_secret: None,
            login_url: None,
            proxies: Vec::new(),
            cross_site: CrossSitePolicy::Reject {
                trusted_origins: Vec::new(),
            },
            hooks: Hooks {
                before: Vec::new(),
                after: Vec::new(),
                fallback: None,
                catchers: Vec::new(),
            },
        }
    }

    /// Reads templates from this folder, and reloads a template when its file changes.
    ///
    /// By default, and for a template that is not in the folder, pages are rendered from the text that `#[derive(Template)]`
    /// compiled into the program.
    ///
    /// The folder can also contain error pages. For an error without a body, a client that prefers HTML gets
    /// `errors/404.html` (with the status code as its name) if there is one, or `errors.html`. Their variables are
    /// `error_code`, `title`, `reason` and `fields`, a list of objects with `field` and `reason`.
    #[cfg(feature = "templates")]
    pub fn templates(mut self, folder: impl Into<PathBuf>) -> App<S> {
        self.templates = Some(folder.into());
        self
    }

    /// Sets the longest time that a shutdown waits for requests in progress. The default is 30 seconds.
    ///
    /// Afterwards [`serve`](App::serve), [`Running::stop`] and [`Running::until_signal`] stop waiting and return an error.
    pub fn drain(mut self, timeout: Duration) -> App<S> {
        self.drain = timeout;
        self
    }

    /// Adds a connection to serve together with the one passed to [`serve`](App::serve).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(routes: Routes<()>) -> brubeck::Result {
    /// App::new(routes, ())
    ///     .also(Service::bind("ipc://run/slow", "my_shared_secret"))
    ///     .serve(Http::bind("127.0.0.1:6767"))
    ///     .await
    /// # }
    /// ```
    pub fn also(mut self, connection: impl Connection) -> App<S> {
        self.connections.push(Box::new(connection));
        self
    }

    /// Serves until SIGINT or SIGTERM, then completes the requests in progress and returns.
    ///
    /// To stop the application in another way, use [`start`](App::start) and [`Running::handle`]. Also returns if all
    /// connections have ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the configuration is not valid:
    ///
    /// * an address cannot be bound, or is not a valid endpoint;
    /// * the certificate or the key for TLS cannot be used;
    /// * the template folder cannot be read;
    /// * a route pattern is too large to compile;
    /// * a cookie secret is too short, or there are more than four;
    /// * a trusted proxy is not an address, a network, or `unix`;
    /// * the prefix of a mounted service does not start with `/`;
    /// * a handler with [limits](App::limit) is not in the route list;
    /// * a handler sends a call with [`nowait`](crate::TypedCall::nowait), and no response handler takes its response.
    ///
    /// Also returns an error if the shutdown takes longer than [`drain`](App::drain) allows.
    pub async fn serve(self, connection: impl Connection) -> Result {
        self.start(connection).await?.until_signal().await
    }

    /// Opens the connections, serves in the background, and returns a handle to the running application.
    ///
    /// Unlike [`serve`](App::serve) it does not handle signals.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(routes: Routes<()>) -> brubeck::Result {
    /// let running = App::new(routes, ()).start(Http::bind("127.0.0.1:0")).await?;
    /// println!("listening at {}", running.address());
    /// running.stop().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the configuration is not valid, like [`serve`](App::serve).
    pub async fn start(mut self, connection: impl Connection) -> Result<Running> {
        self.connections.insert(0, Box::new(connection));
        let connections = std::mem::take(&mut self.connections);
        let drain = self.drain;
        let application = self.assemble(open_link())?;
        Running::open(application, connections, drain).await
    }

    /// Builds the application without its connections. Its clients open their links with `open_link`.
    pub(crate) fn application(self, open_link: OpenLink) -> Result<(Arc<dyn Application>, AppService)> {
        let assembled = self.assemble(open_link)?;
        let web = assembled.web.clone();
        Ok((assembled, web))
    }

    /// Converts the application to a tower service for HTTP requests, without opening its connections.
    ///
    /// Nest it in another framework, such as a router of axum, or call it without a socket. See [`AppService`] for an
    /// example.
    ///
    /// # Errors
    ///
    /// Returns an error if the configuration is not valid, like [`serve`](App::serve). The connections of
    /// [`also`](App::also) are neither checked nor opened.
    pub fn into_service(self) -> Result<AppService> {
        Ok(self.assemble(open_link())?.web.clone())
    }
}

/// Returns the function that opens links to services.
fn open_link() -> OpenLink {
    #[cfg(feature = "services")]
    return Arc::new(client::open_client);
    #[cfg(not(feature = "services"))]
    Arc::new(|service| {
        Err(crate::Error::new(format!(
            "cannot call the service at {}: enable the feature `services` of the crate `brubeck`",
            service.address()
        )))
    })
}

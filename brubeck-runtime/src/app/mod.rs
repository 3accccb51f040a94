//! The application: configuration, request processing, startup and shutdown.

mod addressing;
mod assemble;
mod builder;
mod call_layers;
#[cfg(feature = "services")]
mod client;
mod contract_differences;
mod cross_site;
mod environment;
#[cfg(feature = "files")]
mod file_response;
mod finalize;
mod handlers;
mod hook;
mod inner;
mod limits;
#[cfg(all(feature = "services", not(feature = "legacy")))]
mod no_legacy;
mod request;
mod root;
mod route_layers;
mod run;
#[cfg(feature = "services")]
mod service;
mod service_call;
mod settings;
mod signals;
mod tower;
mod trusted_proxies;

pub use call_layers::CallService;
pub use hook::{Hook, Proceed};
pub use limits::Limits;
pub(crate) use run::give_up;
pub use run::{Handle, Running};
#[cfg(feature = "services")]
pub use service::Service;
pub use tower::AppService;

use crate::error::Result;
use crate::handler::Connection;
use crate::routing::Routes;
pub(crate) use assemble::ErasedApp;
use handlers::TypedHandlers;
use settings::AppSettings;
use std::time::Duration;

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
/// 1. the check of its authority and of its [host](App::hosts);
/// 2. the [layers](App::layer), the one added last first;
/// 3. the [mounted](App::mount) services: if a prefix matches, that service responds, and the rest is skipped;
/// 4. the check for [cross-site requests](App::trust_origin);
/// 5. the route; if none matches, the [fallback](App::fallback) responds. Without a fallback, the service that is mounted at
///    `/` responds, and the check for cross-site requests is skipped;
/// 6. the [limits of the route](App::limit), and reading the body;
/// 7. the [`before`](App::before) hooks, the handler, and the [`after`](App::after) hooks;
/// 8. the [catcher](App::catch) or the error page, if the response is an error without a body.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`body_limit`](App::body_limit) | 1 MiB |
/// | [`message_limit`](App::message_limit) of WebSockets | 1 MiB |
/// | [`timeout`](App::timeout) of web handlers | 60 s |
/// | [`drain`](App::drain) at shutdown | 30 s |
/// | cross-site requests | rejected with 403 |
/// | trusted proxies | none |
/// | [`hosts`](App::hosts) | all |
#[must_use = "an application does nothing until it is served"]
pub struct App<S: 'static> {
    handlers: TypedHandlers<S>,
    settings: Box<AppSettings>,
}

impl<S: Send + Sync + 'static> App<S> {
    /// Creates an application with these routes and this state.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[derive(Clone, AppState)]
    /// struct Site {
    ///     greeting: String,
    /// }
    ///
    /// #[get("/")]
    /// async fn index(greeting: State<String>) -> String {
    ///     greeting.0
    /// }
    ///
    /// const ROUTES: Routes<Site> = routes![index];
    ///
    /// let app = App::new(ROUTES, Site { greeting: "hello".into() });
    /// ```
    ///
    /// [`routes!`](../brubeck/macro.routes.html) creates the table. Its order matters: the first pattern that matches the path wins. Handlers take the state, or parts of it,
    /// with [`State`](crate::State); an application without a state has `()`. Nothing runs before [`serve`](App::serve) or
    /// [`start`](App::start), which also check the settings.
    pub fn new(routes: Routes<S>, state: S) -> App<S> {
        App {
            handlers: TypedHandlers {
                routes,
                state,
                hooks: Vec::new(),
            },
            settings: Box::new(AppSettings::new()),
        }
    }

    /// Reads templates from this folder, and reloads a template when its file changes.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).templates("templates") // renders templates/shop.html for `#[template("shop.html")]`
    /// # }
    /// ```
    ///
    /// Each template is looked up in the folder first. By default, and for a template that is not in the folder, the text is used that
    /// `#[derive(Template)]` compiled into the program. So the folder may contain a single template that differs.
    ///
    /// The folder can also contain error pages. For an error without a body, a client that prefers HTML gets
    /// `errors/404.html` (with the status code as its name) if there is one, or `errors.html`. Their variables are
    /// `error_code`, `title`, `reason` and `fields`, a list of objects with `field` and `reason`. If a call of a service has failed, `trace_id` is
    /// the ID of its trace, and in [development](App::development) `cause` is the text of its error. They can extend, include and import
    /// templates of the folder.
    #[cfg(feature = "templates")]
    #[cfg_attr(docsrs, doc(cfg(feature = "templates")))]
    pub fn templates(mut self, folder: impl Into<std::path::PathBuf>) -> App<S> {
        self.settings.templates.folder = Some(folder.into());
        self
    }

    /// Adds a filter, which pages and error pages can use: `{{ text | shout }}`.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// fn shout(text: String) -> String {
    ///     text.to_uppercase()
    /// }
    ///
    /// // #[derive(Template)]
    /// // #[template("page.html", filters = ["shout"])]
    /// // struct Greeting { name: String }
    ///
    /// fn app(routes: Routes<()>) -> App<()> {
    ///     App::new(routes, ()).filter("shout", shout)
    /// }
    /// ```
    ///
    /// `filter` is a function of the value and the arguments of the filter, as in [`minijinja::filters`]. A filter of the same name that
    /// minijinja or brubeck has is replaced.
    ///
    /// `#[derive(Template)]` checks at compile time that every filter of a page exists. It knows a filter of the application if the
    /// attribute names it, as in this example.
    #[cfg(feature = "templates")]
    #[cfg_attr(docsrs, doc(cfg(feature = "templates")))]
    pub fn filter<F, R, A>(mut self, name: &'static str, filter: F) -> App<S>
    where
        F: minijinja::functions::Function<R, A>,
        R: minijinja::value::FunctionResult,
        A: for<'a> minijinja::value::FunctionArgs<'a>,
    {
        self.settings
            .templates
            .add(move |environment| environment.add_filter(name, filter));
        self
    }

    /// Adds a variable, which pages and error pages can use without a field for it. A field of the same name takes precedence.
    ///
    /// ```
    /// use brubeck::{minijinja::Value, prelude::*};
    ///
    /// fn app(routes: Routes<()>) -> App<()> {
    ///     App::new(routes, ())
    ///         .global("site_name", "Blue")
    ///         .global("double", Value::from_function(|n: i64| n * 2))
    /// }
    /// ```
    ///
    /// The value can be a function: [`minijinja::Value::from_function`]. As with [`filter`](App::filter), the attribute of a page names the
    /// globals that it uses: `#[template("page.html", globals = ["site_name"])]`.
    #[cfg(feature = "templates")]
    #[cfg_attr(docsrs, doc(cfg(feature = "templates")))]
    pub fn global(mut self, name: &'static str, value: impl Into<minijinja::Value>) -> App<S> {
        let value = value.into();
        self.settings
            .templates
            .add(move |environment| environment.add_global(name, value));
        self
    }

    /// Sets the longest time that a shutdown waits for requests in progress. The default is 30 seconds.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).drain(Duration::from_secs(10)) // less than the time after which the supervisor kills the process
    /// # }
    /// ```
    ///
    /// Afterwards [`serve`](App::serve), [`Running::stop`] and [`Running::until_signal`] stop waiting and return an error. Handlers that still run are
    /// given up: each is logged when it is dropped, and the callers of a service get [`CallError::Lost`](crate::CallError::Lost). Calls that
    /// were made with [`nowait`](crate::Call::nowait) are given up, too: their response handlers have half a second for the error
    /// [`CallError::ShuttingDown`](crate::CallError::ShuttingDown). A process that a signal
    /// has stopped ends at the latest one second later, also if handlers block its threads. Event streams and WebSockets do not take the
    /// time: they end when the shutdown begins.
    pub fn drain(mut self, timeout: Duration) -> App<S> {
        self.settings.drain = timeout;
        self
    }

    /// Adds a connection to serve together with the one passed to [`serve`](App::serve).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use brubeck::Service;
    /// # use brubeck::prelude::*;
    /// # async fn example(routes: Routes<()>) -> brubeck::Result {
    /// App::new(routes, ())
    ///     .also(Service::bind("ipc://run/slow", "my_shared_secret"))
    ///     .serve(Http::bind("127.0.0.1:6767"))
    ///     .await
    /// # }
    /// ```
    pub fn also(mut self, connection: impl Connection) -> App<S> {
        self.settings.connections.push(Box::new(connection));
        self
    }

    /// Serves until SIGINT or SIGTERM, then completes the requests in progress and returns. A second signal ends the process at once.
    ///
    /// ```no_run
    /// use brubeck::prelude::*;
    ///
    /// #[get("/")]
    /// async fn index() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// #[tokio::main]
    /// async fn main() -> brubeck::Result {
    ///     App::new(routes![index], ()).serve(Http::bind("127.0.0.1:6767")).await
    /// }
    /// ```
    ///
    /// `connection` is an [`Http`](crate::Http), a [`Mongrel2`](crate::Mongrel2), a [`Service`](crate::Service) or a
    /// [`LegacyService`](crate::LegacyService); add more with [`also`](App::also). To stop the application in another way, use
    /// [`start`](App::start) and [`Running::handle`]. Also returns if all connections have ended.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if a setting of the application is not valid:
    ///
    /// | setting | reason |
    /// |---|---|
    /// | the routes | a pattern is too large to compile, or a handler sends a call with [`nowait`](crate::TypedCall::nowait) and no response handler takes its response |
    /// | [`timeout`](App::timeout) | 0 |
    /// | [`limit`](App::limit) | the handler is not in the route list, or its timeout or concurrency is 0 |
    /// | [`route_layer`](App::route_layer) | the table has no web handler, or a handler that is not in the route list |
    /// | [`mount`](App::mount), [`files`](App::files) | the prefix does not start with `/`, or contains a segment `.` or `..` or a NUL |
    /// | [`templates`](App::templates) | the folder cannot be read |
    /// | [`cookie_secret`](App::cookie_secret) | shorter than 32 bytes, or more than four secrets |
    /// | [`login_url`](App::login_url) | neither a path that begins with a single `/` nor an `http` or `https` URL |
    /// | [`trusted_proxies`](App::trusted_proxies) | neither an address nor a network nor `unix` |
    /// | [`hosts`](App::hosts), [`trust_origin`](App::trust_origin) | not a host, or not an origin |
    /// | [`development`](App::development) | not set, and the environment variable `BRUBECK_ENV` has another value than `development` and `production` |
    ///
    /// Returns one as well if a connection cannot be opened:
    ///
    /// | connection | reason |
    /// |---|---|
    /// | [`Http`](crate::Http) | the address is invalid or cannot be bound, a timeout or limit is 0, the certificate or key for TLS cannot be used, or systemd has passed no socket to `Http::inherited` |
    /// | [`Service`](crate::Service) | the address is invalid or cannot be bound; a secret has fewer than 16 characters; a key pair or an authority cannot be read or accepts no key; a pin is malformed; [`serve_key_for`](crate::Service::serve_key_for) names no operation or several; keys are listed together with [`dialects`](crate::Service::dialects), or the passphrase of the dialects is empty; or a limit is 0 |
    /// | [`LegacyService`](crate::LegacyService) | an address is invalid, or is on another machine without `allow_clear_text`; the passphrase is empty, or the concurrency is 0 |
    /// | [`Mongrel2`](crate::Mongrel2) | an endpoint or the template of [`uploads`](crate::Mongrel2::uploads) is invalid, `keep_alive` is 0, or one of several servers has an empty `recv_ident` |
    ///
    /// After the shutdown has begun, returns an error if it takes longer than [`drain`](App::drain) allows.
    pub async fn serve(self, connection: impl Connection) -> Result {
        self.erase().serve(Box::new(connection)).await
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
    /// Returns an [`Error`](crate::Error) if a setting is not valid or a connection cannot be opened: see [`serve`](App::serve).
    pub async fn start(self, connection: impl Connection) -> Result<Running> {
        self.erase().start(Box::new(connection)).await
    }

    /// Erases the type of the state.
    pub(crate) fn erase(self) -> ErasedApp {
        ErasedApp {
            routes: self.handlers.routes.listed(),
            handlers: Box::new(self.handlers),
            settings: self.settings,
        }
    }

    /// Converts the application to a tower service for HTTP requests, without opening its connections.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use tower::ServiceExt;
    ///
    /// #[get("^/$")]
    /// async fn index() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// # async fn example() -> brubeck::Result {
    /// let service = App::new(routes![index], ()).into_service()?;
    /// let Ok(response) = service.oneshot(http::Request::new(Body::empty())).await;
    /// assert_eq!(response.status(), 200);
    /// # Ok(()) }
    /// ```
    ///
    /// Nest it in another framework, such as a router of axum, or call it without a socket. See [`AppService`] for an
    /// example.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if a setting of the application is not valid: see the first table of [`serve`](App::serve). The
    /// connections of [`also`](App::also) are neither checked nor opened.
    pub fn into_service(self) -> Result<AppService> {
        self.erase().into_service()
    }
}

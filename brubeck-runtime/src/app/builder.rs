//! Settings of an application for web requests.

use super::cross_site::CrossSitePolicy;
use super::hook::{erase_before_hook, erase_responder};
use super::tower::{TowerAdapter, box_layer};
use super::{App, AppService, Hook, Limits, Proceed};
use crate::message::Message;
use crate::response::{Body, BoxError, IntoReply, Response};
use crate::session::CookieSecret;
use crate::spec::Routed;
use bytes::Bytes;
use http::Request;
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

impl<S: Send + Sync + 'static> App<S> {
    /// Sets the limit for bodies of web requests, in bytes. A larger body is rejected with 413. The default is 1 MiB.
    ///
    /// A route can have another limit: see [`Limits::body_limit`]. A message of a WebSocket has the limit of the application, on
    /// every route. A larger one closes the WebSocket with 1009.
    pub fn body_limit(mut self, bytes: usize) -> App<S> {
        self.body_limit = bytes;
        self
    }

    /// Sets the time that a web handler and the `before` hooks have until the response. Afterwards the handler is dropped,
    /// and the response is 504. The default is 60 seconds; `None` turns the timeout off.
    ///
    /// The time starts when the request body is complete, or, for an [`Upload`](crate::Upload), when the handler has read or
    /// dropped it. It ends with the head of the response: streams, events and WebSockets are not limited. Calls that the handler
    /// makes to services inherit the remaining time as their deadline, except for a handler of an `Upload`, whose time may
    /// not have started. [Mounted](App::mount) services are not limited.
    ///
    /// The timeout applies to a fallback and a catcher as well, and to each message of a message socket. It does not apply to
    /// service handlers: they have the deadline of their caller.
    ///
    /// A route can have another timeout: see [`Limits::timeout`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// #[get("^/news$")]
    /// async fn news() -> &'static str {
    ///     "responds when there is news"
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![news];
    ///
    /// # fn example() -> App<()> {
    /// App::new(ROUTES, ()).timeout(Duration::from_secs(5)).limit::<news>(Limits::new().timeout(None))
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> App<S> {
        self.timeout = timeout.into();
        self
    }

    /// Sets limits for the route of one handler. See [`Limits`] for an example.
    ///
    /// They replace earlier limits of the same handler. Starting the application fails if the handler is not in its route
    /// list.
    pub fn limit<H: Routed>(mut self, limits: Limits) -> App<S> {
        self.limits.add::<H>(limits);
        self
    }

    /// Adds a [`tower_layer::Layer`] around all web requests. The layer that is added last is the outermost.
    ///
    /// An error of a layer that no other layer handles becomes a 503 response. Calls to a [`Service`](crate::Service) do
    /// not pass the layers.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// use tower_http::{compression::CompressionLayer, trace::TraceLayer};
    ///
    /// App::new(routes, ()).layer(CompressionLayer::new()).layer(TraceLayer::new_for_http())
    /// # }
    /// ```
    pub fn layer<L, B>(mut self, layer: L) -> App<S>
    where
        L: Layer<AppService> + Send + 'static,
        L::Service: Service<Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.layers.push(box_layer(layer));
        self
    }

    /// Mounts another HTTP service, such as a router of axum, below a path prefix.
    ///
    /// The service sees the path without the prefix. If several prefixes match, the longest wins. A prefix takes precedence
    /// over the routes, except for `/`: a service that is mounted there gets the requests that no route matches, unless there
    /// is a [fallback](App::fallback). Prefixes are compared with the path as it was sent, without percent-decoding.
    ///
    /// The layers and the [body limit](App::body_limit) of the application apply to the service. The timeout, the hooks, the
    /// catchers and the protection against cross-site requests of the application do not.
    ///
    /// Starting the application fails if the prefix does not start with `/`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// let old = axum::Router::new().route("/hello", axum::routing::get(|| async { "hello from axum" }));
    /// App::new(routes, ()).mount("/old", old) // serves /old/hello
    /// # }
    /// ```
    pub fn mount<T, B>(mut self, prefix: impl Into<String>, service: T) -> App<S>
    where
        T: Service<Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.mounts
            .push((prefix.into(), AppService::new(TowerAdapter(service))));
        self
    }

    /// Serves the files of a folder below a path prefix.
    ///
    /// Responses have a media type, and support ranges and conditional requests. The path of a folder serves its
    /// `index.html`. A path cannot leave the folder, except through a symbolic link in it. Requires the feature `files`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).files("/static", "static") // serves static/logo.png at /static/logo.png
    /// # }
    /// ```
    #[cfg(feature = "files")]
    pub fn files(self, prefix: impl Into<String>, folder: impl AsRef<std::path::Path>) -> App<S> {
        self.mount(prefix, tower_http::services::ServeDir::new(folder))
    }

    /// Sets the secret that signs cookies and sessions: at least 32 random bytes, as text.
    ///
    /// Read it from the environment or a file; do not put it into the source. Starting the application fails if the secret
    /// is too short. There is no default: without a secret, extractors of signed cookies and sessions respond with 500.
    pub fn cookie_secret(mut self, secret: impl Into<CookieSecret>) -> App<S> {
        self.cookie_secret = Some(secret.into());
        self
    }

    /// Sets the URL of the login page.
    ///
    /// Clients without a login that prefer HTML are redirected there if a handler requires a
    /// [`CurrentUser`](crate::CurrentUser). By default, and for other clients, the response is 401.
    pub fn login_url(mut self, url: impl Into<String>) -> App<S> {
        self.login_url = Some(url.into());
        self
    }

    /// Trusts the `x-forwarded-for` header of these proxies.
    ///
    /// A proxy is an address, a network such as `10.0.0.0/8`, or `unix` for all peers of a Unix socket. Starting the
    /// application fails for any other text. By default no proxy is trusted, and [`RemoteAddr`](crate::RemoteAddr) is
    /// the peer of the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).trusted_proxies(["127.0.0.1", "10.0.0.0/8"])
    /// # }
    /// ```
    pub fn trusted_proxies<T: Into<String>>(mut self, proxies: impl IntoIterator<Item = T>) -> App<S> {
        self.proxies.extend(proxies.into_iter().map(Into::into));
        self
    }

    /// Accepts cross-site requests from this origin, such as `https://pay.example.org`.
    ///
    /// By default an application rejects with 403 any request that has an unsafe method (POST, PUT, PATCH, DELETE, ..),
    /// carries cookies, and was started by another origin according to its `sec-fetch-site` or `origin` header. Requests
    /// from other subdomains of the same site are rejected as well. This protects against cross-site request forgery without tokens in
    /// forms, as long as GET handlers do not change anything.
    pub fn trust_origin(mut self, origin: impl Into<String>) -> App<S> {
        if let CrossSitePolicy::Reject { trusted_origins } = &mut self.cross_site {
            trusted_origins.push(origin.into());
        }
        self
    }

    /// Accepts all cross-site requests.
    ///
    /// Use this if the application has a protection of its own, or authenticates without cookies. See
    /// [`trust_origin`](App::trust_origin) for the default.
    pub fn without_forgery_protection(mut self) -> App<S> {
        self.cross_site = CrossSitePolicy::Allow;
        self
    }

    /// Runs an `async fn` of extractors before every web handler.
    ///
    /// It returns `()`, or a `Result` whose error is sent instead of the handler's response. A rejection of one of its
    /// extractors is sent as well. Hooks run in the order in which they were added.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// async fn only_from_loopback(peer: RemoteAddr) -> Result<(), Status> {
    ///     if peer.0.is_loopback() { Ok(()) } else { Err(Status::FORBIDDEN) }
    /// }
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).before(only_from_loopback)
    /// # }
    /// ```
    pub fn before<A: 'static>(mut self, hook: impl Hook<S, A, Output: Proceed>) -> App<S> {
        self.hooks.before.push(erase_before_hook(hook));
        self
    }

    /// Runs a function on the response of every web handler.
    ///
    /// It also runs if the handler failed, panicked or timed out, or if a [`before`](App::before) hook responded. It does not
    /// run if the request is rejected before its hooks and its handler, for example with 404, 413 or 503. The functions run in
    /// the order in which they were added.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).after(|message, response| response.with_header("x-path", message.path()))
    /// # }
    /// ```
    pub fn after(mut self, hook: impl Fn(&Message, Response) -> Response + Send + Sync + 'static) -> App<S> {
        self.hooks.after.push(Box::new(hook));
        self
    }

    /// Runs an `async fn` of extractors if no route matches the path of a web request.
    ///
    /// The message has no body. The hooks of [`before`](App::before) and [`after`](App::after) do not run. By default a service
    /// that is [mounted](App::mount) at `/` responds, or else the response is 404.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// async fn to_start(uri: http::Uri) -> Redirect {
    ///     tracing::info!(%uri, "no such page");
    ///     Redirect::to("/")
    /// }
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).fallback(to_start)
    /// # }
    /// ```
    pub fn fallback<A: 'static>(mut self, hook: impl Hook<S, A, Output: IntoReply>) -> App<S> {
        self.hooks.fallback = Some(erase_responder(hook));
        self
    }

    /// Runs an `async fn` of extractors if the response to a web request is an error with this status code and without a body.
    ///
    /// Examples are 404 and 405 of the router, 500 after a panic, and rejections of extractors. The response keeps the status
    /// code, unless the function returns an error with a body. An error without a body is ignored, and the default response
    /// is sent. The message has no body. The first function for a code is used.
    ///
    /// By default the `accept` header selects HTML, JSON or plain text. HTML is an error page of the
    /// [template folder](App::templates), or a short built-in page.
    ///
    /// # Examples
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// async fn nothing_here(uri: http::Uri) -> Html<String> {
    ///     Html("<h1>Nothing here</h1>".into())
    /// }
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).catch(404, nothing_here)
    /// # }
    /// ```
    pub fn catch<A: 'static>(mut self, code: u16, hook: impl Hook<S, A, Output: IntoReply>) -> App<S> {
        self.hooks.catchers.push((code, erase_responder(hook)));
        self
    }
}

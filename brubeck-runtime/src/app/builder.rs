//! Settings of an application for web requests.

use super::call_layers::{CallService, box_call_layer};
use super::hook::{erase_before_hook, erase_responder};
use super::tower::{Mounted, TowerAdapter, box_layer};
use super::{App, AppService, Hook, Limits, Proceed};
use crate::message::Message;
use crate::response::{Body, BoxError, IntoReply, Response};
use crate::routing::Routes;
use crate::session::{CookieSecret, SessionStore, Sessions};
use crate::spec::Routed;
use bytes::Bytes;
use http::Request;
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

impl<S: Send + Sync + 'static> App<S> {
    /// Sets the limit for bodies of web requests, in bytes. A larger body is rejected with 413. The default is 1 MiB.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).body_limit(10 << 20) // 10 MiB
    /// # }
    /// ```
    ///
    /// A route can have another limit: see [`Limits::body_limit`]. Messages of WebSockets have a limit of their own:
    /// [`message_limit`](App::message_limit).
    pub fn body_limit(mut self, bytes: usize) -> App<S> {
        self.settings.body_limit = bytes;
        self
    }

    /// Sets the limit for each message of a WebSocket, in bytes, after decompression. The default is 1 MiB.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).body_limit(50 << 20).message_limit(64 << 10)
    /// # }
    /// ```
    ///
    /// A larger message closes the WebSocket with the code 1009. The handler can still respond to the messages before it. Messages
    /// that the server sends are not limited. A route can have another limit: see [`Limits::message_limit`].
    pub fn message_limit(mut self, bytes: usize) -> App<S> {
        self.settings.message_limit = bytes;
        self
    }

    /// Sets the time that a web handler and the `before` hooks have until the response. The default is 60 seconds.
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
    ///
    /// Afterwards the handler is dropped, and the response is 504. `None` turns the timeout off.
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
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> App<S> {
        self.settings.timeout = timeout.into();
        self
    }

    /// Sets limits for the route of one handler. They replace earlier limits of the same handler.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/photo$")]
    /// async fn photo(photo: bytes::Bytes) -> String {
    ///     format!("{} bytes", photo.len())
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![photo];
    ///
    /// # fn example() -> App<()> {
    /// App::new(ROUTES, ()).limit::<photo>(Limits::new().body_limit(10 << 20).concurrency(8))
    /// # }
    /// ```
    ///
    /// A limit that is not set is that of the application. Starting the application fails if the handler is not in its route list, or if a
    /// timeout or a concurrency is 0.
    pub fn limit<H: Routed>(mut self, limits: Limits) -> App<S> {
        self.settings.limits.add(H::SPEC, limits);
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
        self.settings.layers.push(box_layer(layer));
        self
    }

    /// Adds a [`tower_layer::Layer`] around all calls of a [`Service`](crate::Service), for instance to check a header of the callers. The layer
    /// that is added last is the outermost.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::{CallService, IntoReply, Message};
    /// use tower::{ServiceExt, layer::layer_fn, service_fn};
    ///
    /// /// Refuses calls without a tenant.
    /// fn only_for_tenants(app: App<()>) -> App<()> {
    ///     app.call_layer(layer_fn(|calls: CallService| {
    ///         service_fn(move |call: Message| {
    ///             let calls = calls.clone();
    ///             async move {
    ///                 match call.headers().get("x-tenant") {
    ///                     Some(_) => calls.oneshot(call).await,
    ///                     None => Ok(Status::FORBIDDEN.message("the call has no tenant").into_reply()),
    ///                 }
    ///             }
    ///         })
    ///     }))
    /// }
    /// ```
    ///
    /// A layer is a service around a [`CallService`](crate::CallService). It runs before the handler is looked up, and within the deadline of the
    /// call; calls of the operations that brubeck itself serves do not pass it. A response with an error status of a layer that has
    /// not passed the call on counts as a refusal: the caller gets [`CallError::Refused`](crate::CallError::Refused). An error of a layer becomes such a
    /// response with the status 503, and a panic ends the call with 500. [`Client::layer`](crate::Client::layer) is the counterpart on the side of the caller.
    pub fn call_layer<L>(mut self, layer: L) -> App<S>
    where
        L: Layer<CallService> + Send + 'static,
        L::Service: Service<Message, Response = Response> + Clone + Send + Sync + 'static,
        <L::Service as Service<Message>>::Error: Into<BoxError>,
        <L::Service as Service<Message>>::Future: Send,
    {
        self.settings.call_layers.push(box_call_layer(layer));
        self
    }

    /// Adds a [`tower_layer::Layer`] around the routes of a table: group middleware, such as an authorization.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use brubeck::testing::TestClient;
    /// use http::{Request, Response, StatusCode};
    /// use tower::{ServiceExt, layer::layer_fn, service_fn};
    ///
    /// mod admin {
    ///     use brubeck::prelude::*;
    ///
    ///     #[get("/users")]
    ///     async fn users() -> &'static str {
    ///         "users"
    ///     }
    ///
    ///     pub const ROUTES: Routes<()> = routes![users];
    /// }
    ///
    /// #[get("/")]
    /// async fn index() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![index, "/admin" => ..admin::ROUTES];
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// // Responds with 401 unless the request has the key.
    /// let only_with_key = layer_fn(|app: brubeck::AppService| {
    ///     service_fn(move |request: Request<Body>| {
    ///         let app = app.clone();
    ///         async move {
    ///             if request.headers().get("x-key").is_some_and(|key| key == "secret") {
    ///                 return app.oneshot(request).await;
    ///             }
    ///             let mut response = Response::new(Body::empty());
    ///             *response.status_mut() = StatusCode::UNAUTHORIZED;
    ///             Ok(response)
    ///         }
    ///     })
    /// });
    /// let client = TestClient::new(App::new(ROUTES, ()).route_layer(admin::ROUTES, only_with_key));
    /// client.get("/").await.assert_text("hello");
    /// client.get("/admin/users").await.assert_status(401);
    /// client.get("/admin/users").header("x-key", "secret").await.assert_text("users");
    /// # }
    /// ```
    ///
    /// The layer sees the requests that run a handler of the table, wherever the table is listed and below any prefix. It does not see
    /// requests that no route matches (404) or whose method no handler has (405, `OPTIONS`), as `route_layer` of axum. The layer that is
    /// added last is the outermost; the layers of [`layer`](App::layer) are outside of all of them. A layer may change the request; it
    /// is routed again afterwards.
    ///
    /// Starting the application fails if the table has no web handlers, or a handler that is not in the route list.
    pub fn route_layer<L, B>(mut self, routes: Routes<S>, layer: L) -> App<S>
    where
        L: Layer<AppService> + Send + 'static,
        L::Service: Service<Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.settings
            .route_layers
            .push((routes.listed(), box_layer(layer)));
        self
    }

    /// Mounts another HTTP service, such as a router of axum, below a path prefix.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// let old = axum::Router::new().route("/hello", axum::routing::get(|| async { "hello from axum" }));
    /// App::new(routes, ()).mount("/old", old) // serves /old/hello
    /// # }
    /// ```
    ///
    /// The service sees the path without the prefix. If several prefixes match, the longest wins. A prefix takes precedence
    /// over the routes, except for `/`: a service that is mounted there gets the requests that no route matches, unless there
    /// is a [fallback](App::fallback). A prefix is compared with the decoded path, as routes are. The service sees the rest of the
    /// path as it was sent, without dot segments.
    ///
    /// The layers and the [body limit](App::body_limit) of the application apply to the service. With the feature `axum`, that limit also
    /// replaces the default of 2 MB that the extractors of a mounted axum router have. The timeout, the hooks, the
    /// catchers and the protection against cross-site requests of the application do not.
    ///
    /// Starting the application fails if the prefix does not start with `/`.
    pub fn mount<T, B>(mut self, prefix: impl Into<String>, service: T) -> App<S>
    where
        T: Service<Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.settings.mounts.push((
            prefix.into(),
            Mounted::Service(AppService::new(TowerAdapter(service))),
        ));
        self
    }

    /// Serves the files of a folder below a path prefix. `files` is the path of the folder, or [`Files`](crate::Files) with settings.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).files("/static", "static") // serves static/logo.png at /static/logo.png
    /// # }
    /// ```
    ///
    /// Responses have a media type and validators, and support ranges and conditional requests. The path of a folder serves its
    /// `index.html`. A path cannot leave the folder, and hidden files are not served; [`Files`](crate::Files) has the details.
    ///
    /// Prefixes are those of [`mount`](App::mount). The layers of the application apply. Errors, such as the 404 of a missing file, have
    /// the [catchers](App::catch) and error pages of the application. Its hooks do not run.
    ///
    /// Starting the application fails if the prefix does not start with `/`. It logs a warning if there is no such folder. Requires the
    /// feature `files`.
    #[cfg(feature = "files")]
    #[cfg_attr(docsrs, doc(cfg(feature = "files")))]
    pub fn files(mut self, prefix: impl Into<String>, files: impl Into<crate::files::Files>) -> App<S> {
        let files = std::sync::Arc::new(files.into());
        self.settings.mounts.push((prefix.into(), Mounted::Files(files)));
        self
    }

    /// Sets the secret that signs cookies and sessions: at least 32 random bytes, as text.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> Result<App<()>, std::env::VarError> {
    /// let secret = std::env::var("COOKIE_SECRET")?;
    /// # Ok(
    /// App::new(routes, ()).cookie_secret(secret)
    /// # ) }
    /// ```
    ///
    /// Read it from the environment or a file; do not put it into the source. Starting the application fails if the secret
    /// is too short. There is no default: without a secret, extractors of signed cookies and sessions respond with 500.
    pub fn cookie_secret(mut self, secret: impl Into<CookieSecret>) -> App<S> {
        self.settings.cookie_secret = Some(secret.into());
        self
    }

    /// Keeps sessions in a store on the server: a [`MemoryStore`](crate::MemoryStore), or your own [`SessionStore`].
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// use brubeck::MemoryStore;
    ///
    /// # fn example(routes: Routes<()>, secret: &str) -> App<()> {
    /// App::new(routes, ()).cookie_secret(secret).sessions(MemoryStore::default())
    /// # }
    /// ```
    ///
    /// By default the values of a session are in its cookie: see [`Session`](crate::Session). With a store, the cookie has the id of the session.
    /// It is signed, so a [cookie secret](App::cookie_secret) is required in both cases.
    ///
    /// An error of the store is logged, and the handler runs or its response is sent nevertheless. If a session cannot be read, it is empty for
    /// that request, without a user; if it cannot be saved, the changes of that request are lost.
    pub fn sessions(mut self, store: impl SessionStore) -> App<S> {
        self.settings.sessions = Sessions::in_store(store);
        self
    }

    /// Sends cookies without `Secure`, for browsers that reach the application without TLS.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).plain_http() // only in a closed network
    /// # }
    /// ```
    ///
    /// Anyone on the network can read and change such cookies. By default cookies are `Secure`: see [`Cookie`](crate::Cookie). Responses to requests
    /// with TLS have `Secure` cookies in any case. Behind a proxy that ends TLS, use [`trusted_proxies`](App::trusted_proxies) instead.
    pub fn plain_http(mut self) -> App<S> {
        self.settings.plain_http = true;
        self
    }

    /// Says whether traces that begin in this application are marked as sampled. The default is `false`.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).sample_traces(true)
    /// # }
    /// ```
    ///
    /// A trace begins here if a request has no valid `traceparent`: see [`Trace`](crate::Trace). Services that follow the decision of their
    /// caller record every request of a sampled trace, so set it if this application records its requests too. The mark of a trace that began
    /// elsewhere is propagated in any case ([Trace Context], section 3.2.2.5.1).
    ///
    /// [Trace Context]: https://www.w3.org/TR/trace-context/#sampled-flag
    pub fn sample_traces(mut self, sample: bool) -> App<S> {
        self.settings.sample_traces = sample;
        self
    }

    /// Sets the development mode, or production with `false`.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).development(false) // in production, also in a build with debug assertions
    /// # }
    /// ```
    ///
    /// In development the application sends cookies without `Secure` to `localhost` and to loopback addresses, and a page whose template uses
    /// a name that a struct does not have, or a URL that cannot be built, is an error. In production such a mistake is logged once, at level
    /// WARN. In development [`start`](App::start) logs the routes at level INFO, in order, with a mark at each pattern that can match a part of
    /// the path only.
    ///
    /// By default, the environment variable `BRUBECK_ENV` decides with `development` or `production`; without it, a program that is
    /// compiled with debug assertions is in development mode.
    pub fn development(mut self, development: bool) -> App<S> {
        self.settings.development = Some(development);
        self
    }

    /// Sets the URL of the login page.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).login_url("/login")
    /// # }
    /// ```
    ///
    /// Clients without a login that prefer HTML are redirected there if a handler requires a
    /// [`CurrentUser`](crate::CurrentUser). By default, for other clients, and for a request for the login page itself, the response is
    /// 401. Starting the application fails unless it is a path that begins with a single `/`, or a URL of HTTP.
    pub fn login_url(mut self, url: impl Into<String>) -> App<S> {
        self.settings.login_url = Some(url.into());
        self
    }

    /// Trusts the headers `Forwarded` and `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` of these proxies.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).trusted_proxies(["127.0.0.1", "10.0.0.0/8"])
    /// # }
    /// ```
    ///
    /// A proxy is an address, a network such as `10.0.0.0/8`, or `unix` for all peers of a Unix socket. Starting the
    /// application fails for any other text. By default no proxy is trusted: [`RemoteAddr`](crate::RemoteAddr) is the peer of the
    /// connection, and [`Scheme`](crate::Scheme) and [`Authority`](crate::Authority) are those of the connection and the request.
    ///
    /// A trusted proxy must set or remove these headers in each request, or the client decides what they say. With nginx, these lines
    /// are enough for the right client, secure cookies and accepted forms:
    ///
    /// ```text
    /// proxy_pass http://127.0.0.1:6767;
    /// proxy_set_header Forwarded 'for="$remote_addr";host="$http_host";proto=$scheme';
    /// ```
    ///
    /// A request is never attributed to a trusted proxy, or to a loopback address that a header names. If the proxy does not say who the
    /// client is, or in no readable way, or if `Forwarded` and `X-Forwarded-For` differ, the address of the client is not known. A forwarded host or
    /// scheme that is invalid or contradictory is rejected with 400.
    pub fn trusted_proxies<T: Into<String>>(mut self, proxies: impl IntoIterator<Item = T>) -> App<S> {
        self.settings.proxies.extend(proxies.into_iter().map(Into::into));
        self
    }

    /// Accepts only requests for these hosts. By default an application accepts all.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).hosts(["example.org", "*.example.org", "localhost:6767"])
    /// # }
    /// ```
    ///
    /// Set it if links, redirects or mails of the application contain the [`Authority`](crate::Authority) of a request, which the client chooses.
    ///
    /// A host is a name, an address, or `*.` and a name for all of its subdomains. With a port, only that port is accepted. A request
    /// for another host is rejected with 421 (Misdirected Request; RFC 9110, section 15.5.20), and one without a host with 400,
    /// before layers and mounted services see it. Starting the application fails for any other text. A test sends its requests to
    /// `localhost`, unless it names the host: `client.get("https://example.org/")`.
    pub fn hosts<T: Into<String>>(mut self, hosts: impl IntoIterator<Item = T>) -> App<S> {
        self.settings.hosts.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Accepts cross-site requests from this origin, such as `https://pay.example.org`.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).trust_origin("https://pay.example.org").trust_origin("https://www.example.org")
    /// # }
    /// ```
    ///
    /// By default an application rejects with 403 any request that has an unsafe method (POST, PUT, PATCH, DELETE, ..),
    /// carries cookies, and was started by another origin according to its `sec-fetch-site` or `origin` header. Requests
    /// from other subdomains of the same site are rejected as well. This protects against cross-site request forgery without tokens in
    /// forms, as long as GET handlers do not change anything.
    ///
    /// Origins are equal if scheme, host and port are. Starting the application fails if the text is not an origin.
    pub fn trust_origin(mut self, origin: impl Into<String>) -> App<S> {
        self.settings.trusted_origins.push(origin.into());
        self
    }

    /// Accepts all cross-site requests.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).without_forgery_protection()
    /// # }
    /// ```
    ///
    /// Use this if the application has a protection of its own, or authenticates without cookies. See
    /// [`trust_origin`](App::trust_origin) for the default.
    pub fn without_forgery_protection(mut self) -> App<S> {
        self.settings.allow_cross_site = true;
        self
    }

    /// Runs an `async fn` of extractors before every web handler.
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
    ///
    /// It returns `()`, or a `Result` whose error is sent instead of the handler's response. A rejection of one of its
    /// extractors is sent as well. Hooks run in the order in which they were added.
    pub fn before<A: 'static>(mut self, hook: impl Hook<S, A, Output: Proceed>) -> App<S> {
        let hook = self.handlers.add_hook(erase_before_hook(hook));
        self.settings.hooks.before.push(hook);
        self
    }

    /// Runs a function on the response of every web handler.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).after(|message, response| response.with_header("x-path", message.path()))
    /// # }
    /// ```
    ///
    /// It also runs if the handler failed, panicked or timed out, or if a [`before`](App::before) hook responded. It does not
    /// run if the request is rejected before its hooks and its handler, for example with 404, 413 or 503. The functions run in
    /// the order in which they were added.
    pub fn after(mut self, hook: impl Fn(&Message, Response) -> Response + Send + Sync + 'static) -> App<S> {
        self.settings.hooks.after.push(Box::new(hook));
        self
    }

    /// Runs an `async fn` of extractors if no route matches the path of a web request.
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
    ///
    /// The message has no body. The hooks of [`before`](App::before) and [`after`](App::after) do not run. By default a service
    /// that is [mounted](App::mount) at `/` responds, or else the response is 404.
    pub fn fallback<A: 'static>(mut self, hook: impl Hook<S, A, Output: IntoReply>) -> App<S> {
        let hook = self.handlers.add_hook(erase_responder(hook));
        self.settings.hooks.fallback = Some(hook);
        self
    }

    /// Runs an `async fn` of extractors if the response to a web request is an error with this status code and without a body.
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
    ///
    /// Examples are 404 and 405 of the router, 500 after a panic, and rejections of extractors. The response keeps the status
    /// code, unless the function returns an error with a body. An error without a body is ignored, and the default response
    /// is sent. The message has no body. The first function for a code is used.
    ///
    /// By default the `accept` header selects HTML, JSON or plain text. HTML is an error page of the
    /// [template folder](App::templates), or a short built-in page.
    pub fn catch<A: 'static>(mut self, code: u16, hook: impl Hook<S, A, Output: IntoReply>) -> App<S> {
        let hook = self.handlers.add_hook(erase_responder(hook));
        self.settings.hooks.catchers.push((code, hook));
        self
    }
}

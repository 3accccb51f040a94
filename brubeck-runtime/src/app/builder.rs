//! What an application is told about its web side.

use super::hook::{answer, guard};
use super::tower::{TowerAdapter, wrap};
use super::trust::CrossSite;
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
    /// The largest body of a web request, in bytes; 1 MiB unless set. A larger one is answered with 413.
    pub fn body_limit(mut self, bytes: usize) -> App<S> {
        self.body_limit = bytes;
        self
    }

    /// How long a web handler, with the functions before it, may take to its answer; 60 seconds unless set, `None` for
    /// ever. Then it is dropped, and 504 is answered. Its calls have no more time than what is left of it.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use std::time::Duration;
    /// #[get("^/news$")]
    /// async fn news() -> &'static str {
    ///     "a long poll: answered when there are some"
    /// }
    ///
    /// const ROUTES: Routes<()> = routes![news];
    ///
    /// # fn example() -> App<()> {
    /// App::new(ROUTES, ()).timeout(Duration::from_secs(5)).limit::<news>(Limits::new().timeout(None))
    /// # }
    /// ```
    ///
    /// The time runs from when the request is whole; for an [`Upload`](crate::Upload), from when the handler has read it.
    /// It ends with the head of the answer: streams, events and WebSockets last as long as they like. What is
    /// [mounted](App::mount) keeps its own time.
    pub fn timeout(mut self, limit: impl Into<Option<Duration>>) -> App<S> {
        self.timeout = limit.into();
        self
    }

    /// Gives one route limits of its own: `app.limit::<upload>(Limits::new().body_limit(50 << 20))`.
    pub fn limit<H: Routed>(mut self, limits: Limits) -> App<S> {
        self.limits.add::<H>(limits);
        self
    }

    /// Wraps the web side of the application in a layer of the tower world; the layer added last is outermost.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// use tower_http::{compression::CompressionLayer, trace::TraceLayer};
    ///
    /// App::new(routes, ()).layer(CompressionLayer::new()).layer(TraceLayer::new_for_http())
    /// # }
    /// ```
    ///
    /// A layer whose error is not caught by another one, such as a timeout, is answered with 503.
    pub fn layer<L, B>(mut self, layer: L) -> App<S>
    where
        L: Layer<AppService> + Send + 'static,
        L::Service: Service<Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.layers.push(wrap(layer));
        self
    }

    /// Hands every request below a prefix to another HTTP service, which sees the path without the prefix: a router
    /// of axum, a folder of files. It runs behind every connection of the application.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// let old = axum::Router::new().route("/hello", axum::routing::get(|| async { "hello from axum" }));
    /// App::new(routes, ()).mount("/old", old) // answers /old/hello
    /// # }
    /// ```
    ///
    /// The longest prefix wins, and it comes before the routes; what is mounted at `/` is asked where no route
    /// matches. A prefix is matched as it was sent, without decoding.
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

    /// Serves the files of a folder below a prefix: with media types, ranges, `etag`, and never a file outside of it.
    /// Feature `files`.
    #[cfg(feature = "files")]
    pub fn files(self, prefix: impl Into<String>, folder: impl AsRef<std::path::Path>) -> App<S> {
        self.mount(prefix, tower_http::services::ServeDir::new(folder))
    }

    /// The secret that signs cookies and sessions: 32 random bytes or more, as text, not in the source.
    pub fn cookie_secret(mut self, secret: impl Into<CookieSecret>) -> App<S> {
        self.cookie_secret = Some(secret.into());
        self
    }

    /// Where browsers are sent that are not logged in and want a page of a [`CurrentUser`](crate::CurrentUser).
    pub fn login_url(mut self, url: impl Into<String>) -> App<S> {
        self.login_url = Some(url.into());
        self
    }

    /// Believes the `x-forwarded-for` of these proxies: addresses, networks such as `10.0.0.0/8`, or `unix` for
    /// whoever reaches a Unix socket. Without it, [`RemoteAddr`](crate::RemoteAddr) is the peer of the connection.
    pub fn trusted_proxies<T: Into<String>>(mut self, proxies: impl IntoIterator<Item = T>) -> App<S> {
        self.proxies.extend(proxies.into_iter().map(Into::into));
        self
    }

    /// Lets another site change things here with the cookies of its visitors: `https://pay.example.org`.
    ///
    /// A request that is not safe (POST, PUT, PATCH, DELETE, ..), that brings cookies, and that a browser says another
    /// site has started (`sec-fetch-site`, `origin`) is answered with 403 otherwise, as a protection against
    /// cross-site request forgery that needs no tokens in forms. GET must not change anything.
    pub fn trust_origin(mut self, origin: impl Into<String>) -> App<S> {
        if let CrossSite::Refused(trusted) = &mut self.cross_site {
            trusted.push(origin.into());
        }
        self
    }

    /// Takes forged requests: the application protects itself, or needs no protection.
    pub fn without_forgery_protection(mut self) -> App<S> {
        self.cross_site = CrossSite::Allowed;
        self
    }

    /// Runs an `async fn` of extractors before every web handler, in the order they were added. It returns `()`, or a
    /// `Result` whose error is answered instead; so is an extractor that refuses.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// async fn only_from_here(from: RemoteAddr) -> Result<(), Status> {
    ///     if from.0.is_loopback() { Ok(()) } else { Err(Status::FORBIDDEN) }
    /// }
    /// # fn example(routes: Routes<()>) -> App<()> {
    /// App::new(routes, ()).before(only_from_here)
    /// # }
    /// ```
    pub fn before<A: 'static>(mut self, hook: impl Hook<S, A, Output: Proceed>) -> App<S> {
        self.hooks.before.push(guard(hook));
        self
    }

    /// Runs a function on the response of every web handler, in the order they were added, also where the handler
    /// failed or panicked, or a function before it answered.
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

    /// Runs an `async fn` of extractors where no route matches a web request. Its message has no body.
    pub fn fallback<A: 'static>(mut self, hook: impl Hook<S, A, Output: IntoReply>) -> App<S> {
        self.hooks.fallback = Some(answer(hook));
        self
    }

    /// Runs an `async fn` of extractors where a web request ends in this status code without a page of its own: 404,
    /// 405, 500 after a panic, what an extractor refuses. Its reply has that code unless it says another error.
    /// Its message has no body.
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
    /// Where none is set, a browser is shown a page of the [template folder](App::templates), and every other client
    /// what went wrong in JSON or text, as it prefers.
    pub fn catch<A: 'static>(mut self, code: u16, hook: impl Hook<S, A, Output: IntoReply>) -> App<S> {
        self.hooks.catchers.push((code, answer(hook)));
        self
    }
}

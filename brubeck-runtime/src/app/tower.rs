//! The application as an HTTP service of the tower world, and such services around and within it.

use super::answer::ACCESS;
use super::assembled::Assembled;
use super::proxies::Proxies;
use crate::handler::{Answer, AtOnce};
use crate::message::RemoteAddr;
use crate::response::http_response::{Length, finish, refusal};
use crate::response::{Body, BoxError};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// An application, or a part of it, as a [`tower_service::Service`] of HTTP requests with any body.
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
/// const ROUTES: Routes<()> = routes![index];
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> brubeck::Result {
/// let service = App::new(ROUTES, ()).into_service()?;
/// let response = service.oneshot(http::Request::new(Body::empty())).await.unwrap();
/// assert_eq!(response.into_body().collect(100).await.unwrap(), "hello");
/// # Ok(())
/// # }
/// ```
///
/// Always ready, never fails, cheap to clone. Layers of an application wrap it; it nests in the routers of other
/// frameworks.
#[derive(Clone)]
pub struct AppService(pub(super) Arc<dyn HttpService>);

/// What answers HTTP requests, with its type erased.
pub(super) trait HttpService: Send + Sync + 'static {
    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

impl AppService {
    pub(super) fn new(service: impl HttpService) -> AppService {
        AppService(Arc::new(service))
    }

    pub(crate) fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        self.0.respond(request)
    }
}

impl<B> Service<Request<B>> for AppService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(self.respond(request.map(Body::new)).map(Ok))
    }
}

impl std::fmt::Debug for AppService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppService")
    }
}

/// A service of somebody else: a layer around the application, or what is mounted in it.
pub(super) struct Tower<T>(pub(super) T);

impl<T, B> HttpService for Tower<T>
where
    T: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let mut service = self.0.clone();
        Box::pin(async move {
            let answered = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            };
            match answered.await {
                Ok(response) => response.map(Body::new),
                Err(error) => {
                    // The errors of layers say that they gave up: too late, too much at once.
                    let error: BoxError = error.into();
                    tracing::warn!(error, "a layer or a mounted service failed");
                    refusal(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                }
            }
        })
    }
}

/// A layer, until the application that it wraps is there.
pub(super) type Wrap = Box<dyn FnOnce(AppService) -> AppService + Send>;

pub(super) fn wrap<L, B>(layer: L) -> Wrap
where
    L: Layer<AppService> + Send + 'static,
    L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
    <L::Service as Service<Request<Body>>>::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Box::new(move |inner| AppService::new(Tower(layer.layer(inner))))
}

/// The outermost: who asks, what was answered, and a panic of any layer.
pub(super) struct Front<S: 'static> {
    pub(super) site: Arc<Assembled<S>>,
    /// The site within its layers, where it has some.
    pub(super) layered: Option<AppService>,
    pub(super) proxies: Proxies,
}

impl<S: Send + Sync + 'static> HttpService for Front<S> {
    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        match self.answer(request, None, Length::Told, AtOnce::No) {
            Either::Left(answered) => Box::pin(answered),
            Either::Right(answer) => answer,
        }
    }
}

impl<S: Send + Sync + 'static> Front<S> {
    /// Answers a request; `remote` is its peer, where the request does not say so itself.
    pub(super) fn answer(
        &self,
        mut request: Request<Body>,
        mut remote: Option<RemoteAddr>,
        length: Length,
        at_once: AtOnce,
    ) -> Answer {
        if self.layered.is_some() || self.proxies.are_trusted() {
            if let Some(remote) = remote.take() {
                request.extensions_mut().insert(remote);
            }
            self.proxies.resolve(&mut request);
        }
        let asked = Asked {
            // Timed only where somebody reads it.
            began: tracing::enabled!(target: ACCESS, tracing::Level::INFO).then(Instant::now),
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            remote: remote.or_else(|| request.extensions().get().copied()),
            length,
        };
        if let Some(layered) = &self.layered {
            return Either::Right(Box::pin(asked.answered(layered.respond(request))));
        }
        let site = &self.site;
        let mut way = site.way(request, remote, at_once == AtOnce::IfQuick);
        let here = match at_once {
            AtOnce::No => false,
            AtOnce::IfQuick => way.is_quick(),
            AtOnce::Yes => true,
        };
        if here {
            match catch_unwind(AssertUnwindSafe(|| site.at_once(&mut way))) {
                Ok(None) => {}
                Ok(Some(mut response)) => {
                    asked.finish(&mut response);
                    return Either::Left(ready(response));
                }
                Err(_) => return Either::Left(ready(asked.panicked())),
            }
        }
        Either::Right(Box::pin(asked.answered(site.clone().go(way))))
    }
}

/// What must be known of a request once it is handed on.
struct Asked {
    began: Option<Instant>,
    method: Method,
    target: Option<PathAndQuery>,
    remote: Option<RemoteAddr>,
    length: Length,
}

impl Asked {
    async fn answered(self, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(mut response) => {
                self.finish(&mut response);
                response
            }
            Err(_) => self.panicked(),
        }
    }

    fn panicked(&self) -> Response<Body> {
        tracing::error!(method = %self.method, path = self.path(), "a layer or a mounted service panicked");
        let mut refused = refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        self.finish(&mut refused);
        refused
    }

    fn finish(&self, response: &mut Response<Body>) {
        if let Some(began) = self.began {
            let (method, path) = (&self.method, self.path());
            tracing::info!(
                target: ACCESS,
                remote = self.remote.map(tracing::field::display),
                "{} {method} {path} in {:?}", response.status().as_u16(), began.elapsed()
            );
        }
        finish(response, self.method == Method::HEAD, self.length);
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }
}

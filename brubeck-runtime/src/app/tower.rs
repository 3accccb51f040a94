//! Adapters between the application and [`tower_service::Service`]: layers around it, services mounted in it.

use crate::error::{Error, Result};
#[cfg(feature = "files")]
use crate::files::Files;
use crate::response::http_response::error_response;
use crate::response::{Body, BoxError};
use crate::target::{CanonicalPath, without_dot_segments};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::uri::Uri;
use http::{Request, Response, StatusCode};
use std::borrow::Cow;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// An application as a [`tower_service::Service`] for HTTP requests with any body.
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
/// [`App::into_service`](crate::App::into_service) returns one, to nest in the router of another framework or to call in a
/// test. [Layers](crate::App::layer) of an application wrap one too. It is always ready, never fails, and is cheap to clone.
#[derive(Clone)]
pub struct AppService(pub(super) Arc<dyn HttpService>);

/// An HTTP service that can be a trait object.
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
    type Future = BoxFuture<'static, std::result::Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
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

/// Adapts a tower service, which is a layer around the application or mounted in it.
pub(super) struct TowerAdapter<T>(pub(super) T);

impl<T, B> HttpService for TowerAdapter<T>
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
            let outcome = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            };
            match outcome.await {
                Ok(response) => response.map(Body::new),
                Err(error) => {
                    // Layers fail to shed load: a timeout, a concurrency limit. So 503, not 500.
                    let error: BoxError = error.into();
                    tracing::warn!(error, "layer or mounted service failed");
                    error_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                }
            }
        })
    }
}

/// A layer with its type erased: a function that wraps the application.
pub(super) type BoxedLayer = Box<dyn FnOnce(AppService) -> AppService + Send>;

pub(super) fn box_layer<L, B>(layer: L) -> BoxedLayer
where
    L: Layer<AppService> + Send + 'static,
    L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
    <L::Service as Service<Request<Body>>>::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Box::new(move |inner| AppService::new(TowerAdapter(layer.layer(inner))))
}

/// A service or a folder that responds below a path prefix, instead of the routes.
#[derive(Clone)]
pub(super) enum Mounted {
    Service(AppService),
    #[cfg(feature = "files")]
    Files(Arc<Files>),
}

/// The mounted services and folders, and their prefixes without a trailing `/`. Longer prefixes come first.
pub(super) struct Mounts(Vec<(String, Mounted)>);

impl Mounts {
    /// # Errors
    ///
    /// Returns an error if no path can begin with a prefix.
    pub(super) fn new(mut mounts: Vec<(String, Mounted)>) -> Result<Mounts> {
        for (prefix, mounted) in &mut mounts {
            let refuse = |reason: &str| {
                Err(Error::new(format!(
                    "cannot mount a service at `{prefix}`: {reason}"
                )))
            };
            if !prefix.starts_with('/') {
                return refuse("the prefix must start with `/`");
            }
            if prefix.split('/').any(|segment| matches!(segment, "." | "..")) || prefix.contains('\0') {
                return refuse("the path of a request has no segments `.` and `..`, and no NUL");
            }
            prefix.truncate(prefix.trim_end_matches('/').len());
            match mounted {
                #[cfg(feature = "files")]
                Mounted::Files(files) if !files.folder().is_dir() => {
                    let folder = files.folder().display();
                    tracing::warn!(%folder, prefix, "the folder of static files does not exist");
                }
                _ => {}
            }
        }
        mounts.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Mounts(mounts))
    }

    /// Returns the service whose prefix matches, and the URI without the prefix. Ignores services at `/`.
    pub(super) fn find(&self, uri: &Uri, path: &CanonicalPath<'_>) -> Option<(Mounted, Uri)> {
        self.first(uri, path, |prefix| !prefix.is_empty())
    }

    /// Returns the service at `/`, which responds to requests without a route.
    pub(super) fn find_root(&self, uri: &Uri, path: &CanonicalPath<'_>) -> Option<(Mounted, Uri)> {
        self.first(uri, path, str::is_empty)
    }

    fn first(
        &self,
        uri: &Uri,
        path: &CanonicalPath<'_>,
        eligible: impl Fn(&str) -> bool,
    ) -> Option<(Mounted, Uri)> {
        self.0
            .iter()
            .filter(|(prefix, _)| eligible(prefix))
            .find_map(|(prefix, mounted)| {
                // The prefix must end at a segment boundary: `/old` does not match `/older`.
                let rest = path.bytes().strip_prefix(prefix.as_bytes())?;
                let at_boundary = matches!(rest.first(), None | Some(b'/'));
                let uri = at_boundary.then(|| without_prefix(uri, path, prefix))??;
                Some((mounted.clone(), uri))
            })
    }
}

/// Returns a URI without the prefix that its path begins with. The rest of the path stays percent-encoded, but loses dot segments,
/// because these could refer to segments of the prefix.
fn without_prefix(uri: &Uri, path: &CanonicalPath<'_>, prefix: &str) -> Option<Uri> {
    let sent = match path {
        CanonicalPath::AsSent(path) => Cow::Borrowed(*path),
        CanonicalPath::Decoded { .. } => Cow::Owned(without_dot_segments(uri.path())),
    };
    // A segment of the prefix may be percent-encoded, so segments are counted and not bytes.
    let segments = prefix.matches('/').count();
    let rest = sent
        .match_indices('/')
        .nth(segments)
        .map_or("", |(at, _)| sent.get(at..).unwrap_or_default());
    let path = if rest.is_empty() { "/" } else { rest };
    match uri.query() {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}

//! The outermost service of an application: client address, access log, framing, and panics that nothing else catches.

use super::inner::{ACCESS_LOG, AppInner};
use super::tower::{AppService, HttpService};
use super::trusted_proxies::TrustedProxies;
use crate::handler::{DispatchMode, HttpResponseFuture};
use crate::message::RemoteAddr;
use crate::response::Body;
use crate::response::http_response::{LengthSource, apply_framing, error_response};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::StatusCode;
use http::uri::PathAndQuery;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// The outermost service: applies the trusted proxies, writes the access log, and catches panics of layers, mounted services
/// and `after` hooks.
pub(super) struct RootService<S: 'static> {
    pub(super) app: Arc<AppInner<S>>,
    /// The application within its layers, if it has any.
    pub(super) layered: Option<AppService>,
    pub(super) proxies: TrustedProxies,
}

impl<S: Send + Sync + 'static> HttpService for RootService<S> {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        match self.handle(request, None, LengthSource::Response, DispatchMode::Deferred) {
            Either::Left(ready) => Box::pin(ready),
            Either::Right(pending) => pending,
        }
    }
}

impl<S: Send + Sync + 'static> RootService<S> {
    /// Responds to a request of `peer`. If that is `None`, the address may be in the extensions of the request.
    ///
    /// With layers the response is never ready at once: they are not polled inline.
    pub(super) fn handle(
        &self,
        mut request: http::Request<Body>,
        mut peer: Option<RemoteAddr>,
        length: LengthSource,
        mode: DispatchMode,
    ) -> HttpResponseFuture {
        // Layers and proxies need the address in the extensions. Otherwise it is passed as an argument, because the first
        // insertion into the extensions allocates.
        if self.layered.is_some() || self.proxies.is_enabled() {
            if let Some(peer) = peer.take() {
                request.extensions_mut().insert(peer);
            }
            self.proxies.resolve(&mut request);
        }
        let meta = RequestMeta {
            // Read the clock only if the access log is enabled.
            received: tracing::enabled!(target: ACCESS_LOG, tracing::Level::INFO).then(Instant::now),
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            peer: peer.or_else(|| request.extensions().get().copied()),
            length,
        };
        if let Some(layered) = &self.layered {
            return Either::Right(Box::pin(meta.complete_after(layered.respond(request))));
        }
        let app = &self.app;
        let measure_latency = mode == DispatchMode::InlineIfFast;
        let mut dispatch = app.dispatch(request, peer, measure_latency);
        let inline = match mode {
            DispatchMode::Deferred => false,
            DispatchMode::InlineIfFast => dispatch.is_fast(),
            DispatchMode::Inline => true,
        };
        if inline {
            match catch_unwind(AssertUnwindSafe(|| app.run_inline(&mut dispatch))) {
                Ok(None) => {}
                Ok(Some(mut response)) => {
                    meta.complete(&mut response);
                    return Either::Left(ready(response));
                }
                Err(_) => return Either::Left(ready(meta.panic_response())),
            }
        }
        Either::Right(Box::pin(meta.complete_after(app.clone().run(dispatch))))
    }
}

/// Request metadata for the access log and for the framing of the response.
struct RequestMeta {
    received: Option<Instant>,
    method: http::Method,
    target: Option<PathAndQuery>,
    peer: Option<RemoteAddr>,
    length: LengthSource,
}

impl RequestMeta {
    async fn complete_after(
        self,
        response: impl Future<Output = http::Response<Body>>,
    ) -> http::Response<Body> {
        match AssertUnwindSafe(response).catch_unwind().await {
            Ok(mut response) => {
                self.complete(&mut response);
                response
            }
            Err(_) => self.panic_response(),
        }
    }

    fn panic_response(&self) -> http::Response<Body> {
        let (method, path) = (&self.method, self.path());
        // Panics of handlers, `before` hooks, fallbacks and catchers are caught closer to their source.
        tracing::error!(%method, path, "layer, mounted service or `after` hook panicked");
        let mut response = error_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
        self.complete(&mut response);
        response
    }

    /// Logs the request, with the time until the head of its response, and completes the framing of the response.
    fn complete(&self, response: &mut http::Response<Body>) {
        if let Some(received) = self.received {
            tracing::info!(
                target: ACCESS_LOG,
                method = %self.method,
                path = self.path(),
                status = response.status().as_u16(),
                elapsed = ?received.elapsed(),
                peer = self.peer.map(tracing::field::display),
                "request completed"
            );
        }
        apply_framing(response, self.method == http::Method::HEAD, self.length);
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }
}

/// The application without its layers: the innermost service.
pub(super) struct RouterService<S: 'static>(pub(super) Arc<AppInner<S>>);

impl<S: Send + Sync + 'static> HttpService for RouterService<S> {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let app = self.0.clone();
        let dispatch = app.dispatch(request, None, false);
        Box::pin(app.run(dispatch))
    }
}

//! The outermost service of an application: client and authority, access log, framing, and panics that nothing else catches.

use super::addressing::Addressing;
use super::call_layers::CallService;
use super::inner::{ACCESS_LOG, AppInner};
use super::route_layers::PassedLayers;
use super::tower::{AppService, HttpService};
use crate::handler::{DispatchMode, HttpResponseFuture};
use crate::peer::{RemoteAddr, WebClient};
use crate::response::Body;
use crate::response::http_response::{LengthSource, apply_framing, error_response};
use crate::target::path_for_log;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::StatusCode;
use http::uri::PathAndQuery;
use std::borrow::Cow;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The outermost service: decides the client and the authority of a request, writes the access log, and catches panics of layers, mounted services
/// and `after` hooks.
pub(super) struct RootService {
    pub(super) app: Arc<AppInner>,
    /// The application within its layers, if it has any.
    pub(super) layered: Option<AppService>,
    /// The calls of the application within their layers, if they have any.
    pub(super) layered_calls: Option<CallService>,
    pub(super) addressing: Addressing,
}

impl HttpService for RootService {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        match self.handle(
            request,
            WebClient::default(),
            LengthSource::Response,
            DispatchMode::Deferred,
        ) {
            Either::Left(ready) => Box::pin(ready),
            Either::Right(pending) => pending,
        }
    }
}

impl RootService {
    /// Responds to a request of `client`. An address or a scheme that `client` lacks may be in the extensions of the request.
    ///
    /// With layers the response is never ready at once: they are not polled inline.
    pub(super) fn handle(
        &self,
        mut request: http::Request<Body>,
        mut client: WebClient,
        length: LengthSource,
        mode: DispatchMode,
    ) -> HttpResponseFuture {
        // Read the clock only if the access log is enabled.
        let received = tracing::enabled!(target: ACCESS_LOG, tracing::Level::INFO).then(Instant::now);
        let refusal = self.addressing.resolve(&mut request, &mut client).err();
        let meta = RequestMeta {
            received,
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            peer: client.address,
            length,
        };
        if let Some((code, reason)) = refusal {
            let mut response = error_response(code, reason);
            meta.complete(&mut response);
            return Either::Left(ready(response));
        }
        if let Some(layered) = &self.layered {
            // Layers need them in the extensions. Otherwise they are passed as an argument, because the first insertion into the
            // extensions allocates.
            client.add_to(request.extensions_mut());
            return Either::Right(Box::pin(meta.complete_after(layered.respond(request))));
        }
        let app = &self.app;
        let measure_latency = mode == DispatchMode::InlineIfFast;
        let mut dispatch = app.dispatch(request, client, measure_latency);
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
        let (method, path) = (&self.method, &*self.path());
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
                path = &*self.path(),
                status = response.status().as_u16(),
                elapsed = ?received.elapsed(),
                peer = self.peer.map(tracing::field::display),
                "request completed"
            );
        }
        apply_framing(response, self.method == http::Method::HEAD, self.length);
    }

    fn path(&self) -> Cow<'_, str> {
        path_for_log(self.target.as_ref().map_or("/", PathAndQuery::path))
    }
}

/// The application without its layers: the innermost service.
pub(super) struct RouterService(pub(super) Arc<AppInner>);

impl HttpService for RouterService {
    fn respond(&self, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let app = self.0.clone();
        let dispatch = app.dispatch(request, WebClient::default(), false);
        Box::pin(app.run(dispatch))
    }
}

/// The application inside a layer of its routes. It routes the request again, because a layer may have changed it.
pub(super) struct LayeredRoutes {
    /// Weak, because the application owns its layers.
    pub(super) app: Weak<AppInner>,
    /// The index of the layer.
    pub(super) index: usize,
}

impl HttpService for LayeredRoutes {
    fn respond(&self, mut request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        let Some(app) = self.app.upgrade() else {
            let stopped = error_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
            return Box::pin(ready(stopped));
        };
        PassedLayers::add(request.extensions_mut(), self.index);
        let dispatch = app.dispatch(request, WebClient::default(), false);
        Box::pin(app.run(dispatch))
    }
}

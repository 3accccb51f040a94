//! Builds the running application from its configuration, and implements [`Application`] for it.

use super::App;
use super::inner::AppInner;
use super::root::{RootService, RouterService};
use super::tower::{AppService, BoxedLayer, Mounts};
use super::trusted_proxies::TrustedProxies;
use crate::error::{Error, Result};
use crate::extract::AppContext;
use crate::handler::{Application, CallFuture, DispatchMode, HttpResponseFuture, LatencyTracker};
use crate::message::{Message, RemoteAddr};
use crate::method::Kind;
use crate::response::http_response::LengthSource;
use crate::response::{Body, IntoReply, Response};
use crate::routing::{Router, find_unhandled_response};
use crate::rpc::api::{OpenLink, ResponseHandlers, Services};
use crate::spec::Spec;
use crate::status::Status;
use crate::template::Templates;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Weak};

/// An application that is ready to serve: calls go to the router, web requests through the layers.
pub(crate) struct AssembledApp<S: 'static> {
    root: Arc<RootService<S>>,
    pub(super) web: AppService,
}

impl<S: Send + Sync + 'static> App<S> {
    /// Validates the configuration and builds the application.
    ///
    /// # Errors
    ///
    /// Returns the first mistake of the configuration; see [`App::serve`].
    pub(crate) fn assemble(self, open_link: OpenLink) -> Result<Arc<AssembledApp<S>>> {
        let router = Router::new(self.routes)
            .map_err(|error| Error::because("cannot compile the route patterns", error))?;
        if let Some(unhandled) = find_unhandled_response(self.routes, &router) {
            return Err(Error::new(unhandled));
        }
        let templates = Templates::new(self.templates.as_deref()).map_err(|error| {
            let folder = self.templates.unwrap_or_default();
            Error::because(
                format!("cannot read the template folder `{}`", folder.display()),
                error,
            )
        })?;
        let limits = self.limits.resolve(self.routes)?;
        let cookie_keys = self.cookie_secret.map(|secret| secret.keys()).transpose()?;
        let mut proxies = TrustedProxies::default();
        self.proxies.iter().try_for_each(|proxy| proxies.add(proxy))?;
        let mounts = Mounts::new(self.mounts)?;
        let services = Services::new(open_link);
        let latency = self
            .routes
            .specs()
            .map(|_| Arc::new(LatencyTracker::new()))
            .collect();
        // Cyclic: the response of a call that a handler sends with `nowait` or `handled` runs a response handler of the same
        // application.
        let inner = Arc::new_cyclic(|weak: &Weak<AppInner<S>>| {
            let response_handlers: Weak<dyn ResponseHandlers> = weak.clone();
            AppInner {
                router,
                context: Arc::new(AppContext {
                    state: self.state,
                    services,
                    response_handlers,
                    cookie_keys,
                    login_url: self.login_url,
                }),
                templates: Arc::new(templates),
                body_limit: self.body_limit,
                timeout: self.timeout,
                limits,
                mounts,
                latency,
                cross_site: self.cross_site,
                hooks: self.hooks,
            }
        });
        let add_layer = |layered: Option<AppService>, layer: BoxedLayer| {
            let inner = layered.unwrap_or_else(|| AppService::new(RouterService(inner.clone())));
            Some(layer(inner))
        };
        let root = Arc::new(RootService {
            layered: self.layers.into_iter().fold(None, add_layer),
            app: inner,
            proxies,
        });
        let web = AppService(root.clone());
        Ok(Arc::new(AssembledApp { root, web }))
    }
}

impl<S: Send + Sync + 'static> Application for AssembledApp<S> {
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Response> {
        match message.kind() {
            Kind::Web => Box::pin(self.answer_web(message)),
            Kind::Service | Kind::Response => Box::pin(self.call(message).1),
        }
    }

    fn call(self: Arc<Self>, message: Message) -> (Option<&'static Spec>, CallFuture) {
        self.root.app.clone().handle_call(message)
    }

    fn serve(self: Arc<Self>, request: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
        self.web.respond(request)
    }

    fn serve_peer(
        &self,
        request: http::Request<Body>,
        peer: Option<RemoteAddr>,
        mode: DispatchMode,
    ) -> HttpResponseFuture {
        self.root.handle(request, peer, LengthSource::Connection, mode)
    }

    fn body_limit(&self) -> usize {
        self.root.app.body_limit
    }

    fn specs(&self) -> Vec<&'static Spec> {
        self.root.app.router.specs().collect()
    }
}

impl<S: Send + Sync + 'static> AssembledApp<S> {
    /// Responds to a web message. It is converted to an HTTP request, and passes the layers like one from a front end.
    async fn answer_web(self: Arc<Self>, mut message: Message) -> Response {
        let target = message.query().map_or_else(
            || message.path().to_owned(),
            |query| format!("{}?{query}", message.path()),
        );
        let request = http::Request::builder()
            .method(message.method().as_http())
            .uri(target);
        let Ok(mut request) = request.body(Body::from(message.body().clone())) else {
            return Status::BAD_REQUEST.into_reply();
        };
        *request.headers_mut() = message.headers().clone();
        *request.extensions_mut() = std::mem::take(message.extensions_mut());
        self.web.respond(request).await.into_reply()
    }
}

//! How an application is put together, and what connections see of it.

use super::App;
use super::inner::AppInner;
use super::request::{RootService, RouterService};
use super::tower::{AppService, Mounts, Wrap};
use super::trust::Proxies;
use crate::error::{Error, Result};
use crate::extract::AppContext;
use crate::handler::{Application, CallFuture, DispatchMode, HttpResponseFuture, LatencyTracker};
use crate::message::{Message, RemoteAddr};
use crate::method::Kind;
use crate::response::http_response::LengthSource;
use crate::response::{Body, Response};
use crate::routing::{Router, find_unhandled_response};
use crate::rpc::api::{OpenLink, ResponseHandlers, Services};
use crate::spec::Spec;
use crate::template::Templates;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Weak};

/// What connections see: messages of services, and web requests, which pass the layers.
pub(crate) struct Served<S: 'static> {
    root: Arc<RootService<S>>,
    pub(super) web: AppService,
}

impl<S: Send + Sync + 'static> App<S> {
    pub(crate) fn assemble(self, open: OpenLink) -> Result<Arc<Served<S>>> {
        let router = Router::new(self.routes)
            .map_err(|error| Error::because("the routes cannot be matched", error))?;
        if let Some(lost) = find_unhandled_response(self.routes, &router) {
            return Err(Error::new(lost));
        }
        let templates = Templates::new(self.templates.as_deref()).map_err(|error| {
            let folder = self.templates.unwrap_or_default();
            Error::because(
                format!("the template folder `{}` cannot be read", folder.display()),
                error,
            )
        })?;
        let limits = self.limits.resolve(self.routes)?;
        let keys = self.cookie_secret.map(|secret| secret.keys()).transpose()?;
        let mut proxies = Proxies::default();
        self.proxies.iter().try_for_each(|proxy| proxies.add(proxy))?;
        let mounts = Mounts::new(self.mounts)?;
        let services = Services::new(open);
        let latency = self
            .routes
            .specs()
            .map(|_| Arc::new(LatencyTracker::new()))
            .collect();
        let inner = Arc::new_cyclic(|itself: &Weak<AppInner<S>>| {
            let response_handlers: Weak<dyn ResponseHandlers> = itself.clone();
            AppInner {
                router,
                context: Arc::new(AppContext {
                    state: self.state,
                    services,
                    response_handlers,
                    cookie_keys: keys,
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
        let wrapped = |layered: Option<AppService>, wrap: Wrap| {
            Some(wrap(
                layered.unwrap_or_else(|| AppService::new(RouterService(inner.clone()))),
            ))
        };
        let root = Arc::new(RootService {
            layered: self.layers.into_iter().fold(None, wrapped),
            app: inner,
            proxies,
        });
        let web = AppService(root.clone());
        Ok(Arc::new(Served { root, web }))
    }
}

impl<S: Send + Sync + 'static> Application for Served<S> {
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Response> {
        match message.kind() {
            Kind::Web => Box::pin(self.answer_web(message)),
            Kind::Service | Kind::Response => Box::pin(self.call(message).1),
        }
    }

    fn call(self: Arc<Self>, message: Message) -> (Option<&'static Spec>, CallFuture) {
        self.root.app.clone().answer_service(message)
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
        self.root.answer(request, peer, LengthSource::Connection, mode)
    }

    fn body_limit(&self) -> usize {
        self.root.app.body_limit
    }

    fn specs(&self) -> Vec<&'static Spec> {
        self.root.app.router.specs().collect()
    }
}

impl<S: Send + Sync + 'static> Served<S> {
    async fn answer_web(self: Arc<Self>, mut message: Message) -> Response {
        use crate::response::IntoReply;
        let target = message.query().map_or_else(
            || message.path().to_owned(),
            |query| format!("{}?{query}", message.path()),
        );
        let request = http::Request::builder()
            .method(message.method().as_http())
            .uri(target);
        let Ok(mut request) = request.body(Body::from(message.body().clone())) else {
            return crate::status::Status::BAD_REQUEST.into_reply();
        };
        *request.headers_mut() = message.headers().clone();
        *request.extensions_mut() = std::mem::take(message.extensions_mut());
        self.web.respond(request).await.into_reply()
    }
}

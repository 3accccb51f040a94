//! Builds the running application from its configuration, and implements [`Application`] for it.

use super::App;
use super::addressing::Addressing;
use super::contract_differences::ContractDifferences;
use super::cross_site::CrossSitePolicy;
use super::environment;
use super::inner::AppInner;
use super::root::{LayeredRoutes, RootService, RouterService};
use super::route_layers::RouteLayers;
use super::tower::{AppService, BoxedLayer, Mounts};
use super::trusted_proxies::TrustedProxies;
use crate::error::{Error, Result};
use crate::extract::AppContext;
use crate::handler::{Application, CallFuture, DispatchMode, HttpResponseFuture, LatencyTracker};
use crate::message::{Message, WebClient};
use crate::method::Kind;
use crate::response::http_response::LengthSource;
use crate::response::{Body, IntoReply, Response};
use crate::routing::{Router, find_unhandled_response, record_mounts};
use crate::rpc::api::{OpenLink, ResponseHandlers, Services};
use crate::spec::{Spec, listing};
use crate::status::Status;
use crate::template::Templates;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Weak};
use std::time::Duration;

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
        if self.timeout == Some(Duration::ZERO) {
            let effect = "each request that waits would fail";
            return Err(Error::zero_setting(
                "start the application",
                "App::timeout",
                effect,
            ));
        }
        let router = Router::new(self.routes)
            .map_err(|error| Error::because("cannot compile the route patterns", error))?;
        if let Some(unhandled) = find_unhandled_response(self.routes, &router) {
            return Err(Error::new(unhandled));
        }
        let development = match self.development {
            Some(development) => development,
            None => environment::is_development()?,
        };
        let templates = Templates::new(self.templates, development, self.routes)?;
        let limits = self.limits.resolve(self.routes)?;
        let cookie_keys = self.cookie_secret.map(|secret| secret.keys()).transpose()?;
        let mut proxies = TrustedProxies::default();
        self.proxies.iter().try_for_each(|proxy| proxies.add(proxy))?;
        let hosts = self.hosts.iter().map(|host| host.parse()).collect::<Result<_>>();
        let hosts = hosts.map_err(|error| Error::because("`App::hosts`", error))?;
        let origins = self
            .trusted_origins
            .iter()
            .map(|origin| origin.parse())
            .collect::<Result<_>>();
        let trusted_origins = origins.map_err(|error| Error::because("`App::trust_origin`", error))?;
        let cross_site = if self.allow_cross_site {
            CrossSitePolicy::Allow
        } else {
            CrossSitePolicy::Reject { trusted_origins }
        };
        if let Some(url) = &self.login_url
            && (!url.starts_with('/') || url.starts_with("//"))
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return Err(Error::new(format!(
                "`{url}` is not the URL of a login page: expected a path such as `/login`, or `https://accounts.example.org/login`"
            )));
        }
        let mounts = Mounts::new(self.mounts)?;
        let services = Services::new(open_link);
        let latency = self
            .routes
            .specs()
            .map(|_| Arc::new(LatencyTracker::new()))
            .collect();
        record_mounts(self.routes);
        let mut route_layers_error = None;
        // Cyclic: the response of a call that a handler sends with `nowait` or `handled` runs a response handler of the same
        // application.
        let inner = Arc::new_cyclic(|weak: &Weak<AppInner<S>>| {
            let response_handlers: Weak<dyn ResponseHandlers> = weak.clone();
            let route_layers = RouteLayers::new(self.route_layers, self.routes, |index| {
                AppService::new(LayeredRoutes {
                    app: weak.clone(),
                    index,
                })
            });
            AppInner {
                router,
                context: Arc::new(AppContext {
                    state: self.state,
                    services,
                    response_handlers,
                    cookie_keys,
                    login_url: self.login_url,
                    sessions: self.sessions,
                    plain_http: self.plain_http,
                    sample_traces: self.sample_traces,
                    development,
                }),
                templates: Arc::new(templates),
                body_limit: self.body_limit,
                message_limit: self.message_limit,
                timeout: self.timeout,
                limits,
                mounts,
                route_layers: route_layers.unwrap_or_else(|error| {
                    route_layers_error = Some(error);
                    RouteLayers::default()
                }),
                latency,
                cross_site,
                contract_differences: ContractDifferences::default(),
                hooks: self.hooks,
            }
        });
        if let Some(error) = route_layers_error {
            return Err(error);
        }
        let add_layer = |layered: Option<AppService>, layer: BoxedLayer| {
            let inner = layered.unwrap_or_else(|| AppService::new(RouterService(inner.clone())));
            Some(layer(inner))
        };
        let root = Arc::new(RootService {
            layered: self.layers.into_iter().fold(None, add_layer),
            app: inner,
            addressing: Addressing { proxies, hosts },
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
        client: WebClient,
        mode: DispatchMode,
    ) -> HttpResponseFuture {
        self.root.handle(request, client, LengthSource::Connection, mode)
    }

    fn body_limit(&self) -> usize {
        self.root.app.body_limit
    }

    fn message_limit(&self) -> usize {
        self.root.app.message_limit
    }

    fn running_handlers(&self) -> usize {
        // Each running handler holds the context, and the application does.
        Arc::strong_count(&self.root.app.context) - 1
    }

    fn specs(&self) -> Vec<&'static Spec> {
        self.root.app.router.specs().collect()
    }
}

impl<S: Send + Sync + 'static> AssembledApp<S> {
    /// Logs the routes in development.
    pub(super) fn log_routes(&self) {
        let app = &self.root.app;
        if app.context.development && tracing::enabled!(tracing::Level::INFO) {
            let specs: Vec<&Spec> = app.router.specs().collect();
            tracing::info!("routes:{}", listing(&specs));
        }
    }

    /// Responds to a web message. It is converted to an HTTP request, and passes the layers like one from a front end.
    async fn answer_web(self: Arc<Self>, mut message: Message) -> Response {
        let target = message.query().map_or_else(
            || message.path_as_sent().to_owned(),
            |query| format!("{}?{query}", message.path_as_sent()),
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

//! Builds the running application from its configuration, and implements [`Application`] for it.

use super::addressing::Addressing;
use super::call_layers::CallService;
use super::contract_differences::ContractDifferences;
use super::cross_site::CrossSitePolicy;
use super::environment;
use super::handlers::UnboundHandlers;
use super::inner::AppInner;
use super::root::{LayeredRoutes, RootService, RouterService};
use super::route_layers::RouteLayers;
use super::run::Running;
use super::settings::AppSettings;
use super::tower::{AppService, BoxedLayer, Mounts};
use super::trusted_proxies::TrustedProxies;
use crate::error::{Error, Result};
use crate::extract::ContextSettings;
use crate::handler::{
    Application, CallFuture, CatchPanic, Connection, DispatchMode, HandlerEnvironment, HttpResponseFuture,
    LatencyTracker,
};
use crate::message::Message;
use crate::method::Kind;
use crate::peer::WebClient;
use crate::response::http_response::LengthSource;
use crate::response::{Body, IntoReply, Response};
use crate::routing::{RouteList, Router, find_unhandled_response, record_mounts};
use crate::rpc::api::{DetachedCalls, OpenLink, ResponseHandlers, ServiceNetwork, Services};
use crate::spec::{Spec, listing};
use crate::status::Status;
use crate::template::Templates;
use crate::websocket::SocketSender;
use futures_util::future::{BoxFuture, Either};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// An application that is ready to serve: calls go to the router, web requests through the layers.
struct AssembledApp {
    root: Arc<RootService>,
    web: AppService,
}

/// An application whose type does not depend on its state.
///
/// Its futures are boxed here, or else each program would compile them again.
pub(crate) struct ErasedApp {
    pub(super) routes: RouteList,
    pub(super) handlers: Box<dyn UnboundHandlers>,
    pub(super) settings: Box<AppSettings>,
}

impl ErasedApp {
    /// See [`App::serve`](crate::App::serve).
    pub(super) fn serve(self, connection: Box<dyn Connection>) -> BoxFuture<'static, Result> {
        Box::pin(async move { self.start(connection).await?.until_signal().await })
    }

    /// See [`App::start`](crate::App::start).
    pub(super) fn start(mut self, connection: Box<dyn Connection>) -> BoxFuture<'static, Result<Running>> {
        Box::pin(async move {
            self.settings.connections.insert(0, connection);
            let connections = std::mem::take(&mut self.settings.connections);
            let drain = self.settings.drain;
            let application = self.assemble(ServiceNetwork::sockets(open_link()))?;
            application.log_routes();
            Running::open(application, connections, drain).await
        })
    }

    /// See [`App::into_service`](crate::App::into_service).
    pub(super) fn into_service(self) -> Result<AppService> {
        Ok(self.assemble(ServiceNetwork::sockets(open_link()))?.web.clone())
    }

    /// Returns the time that a stop waits for the requests in progress.
    pub(crate) fn drain(&self) -> Duration {
        self.settings.drain
    }

    /// Builds the application of a `TestClient`, without its connections.
    pub(crate) fn into_application(self) -> Result<(Arc<dyn Application>, AppService)> {
        self.application(ServiceNetwork::of_test_client(open_link()))
    }

    /// Builds the application without its connections. Its clients open their links in `network`.
    pub(crate) fn application(self, network: ServiceNetwork) -> Result<(Arc<dyn Application>, AppService)> {
        let assembled = self.assemble(network)?;
        let web = assembled.web.clone();
        Ok((assembled, web))
    }

    /// Validates the configuration and builds the application.
    ///
    /// # Errors
    ///
    /// Returns the first mistake of the configuration; see [`App::serve`](crate::App::serve).
    fn assemble(self, network: ServiceNetwork) -> Result<Arc<AssembledApp>> {
        let ErasedApp {
            routes,
            handlers,
            settings,
        } = self;
        // Its fields are moved out of it one by one.
        let settings = *settings;
        if settings.timeout == Some(Duration::ZERO) {
            let effect = "each request that waits would fail";
            return Err(Error::zero_setting(
                "start the application",
                "App::timeout",
                effect,
            ));
        }
        let router = Router::new(&routes)
            .map_err(|error| Error::because("cannot compile the route patterns", error))?;
        if let Some(unhandled) =
            find_unhandled_response(&routes, &router, |operation| handlers.is_answered(operation))
        {
            return Err(Error::new(unhandled));
        }
        let development = match settings.development {
            Some(development) => development,
            None => environment::is_development()?,
        };
        let templates = Templates::new(settings.templates, development, &routes)?;
        let limits = settings.limits.resolve(&routes)?;
        let cookie_keys = settings.cookie_secret.map(|secret| secret.keys()).transpose()?;
        let mut proxies = TrustedProxies::default();
        settings.proxies.iter().try_for_each(|proxy| proxies.add(proxy))?;
        let hosts = settings
            .hosts
            .iter()
            .map(|host| host.parse())
            .collect::<Result<_>>();
        let hosts = hosts.map_err(|error| Error::because("`App::hosts`", error))?;
        let origins = settings
            .trusted_origins
            .iter()
            .map(|origin| origin.parse())
            .collect::<Result<_>>();
        let trusted_origins = origins.map_err(|error| Error::because("`App::trust_origin`", error))?;
        let cross_site = if settings.allow_cross_site {
            CrossSitePolicy::Allow
        } else {
            CrossSitePolicy::Reject { trusted_origins }
        };
        if let Some(url) = &settings.login_url
            && (!url.starts_with('/') || url.starts_with("//"))
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return Err(Error::new(format!(
                "`{url}` is not the URL of a login page: expected a path such as `/login`, or `https://accounts.example.org/login`"
            )));
        }
        let mounts = Mounts::new(settings.mounts)?;
        let services = Services::new(network);
        let latency = routes.iter().map(|_| Arc::new(LatencyTracker::new())).collect();
        record_mounts(&routes);
        let mut route_layers_error = None;
        // Cyclic: the response of a call that a handler sends with `nowait` or `handled` runs a response handler of the same
        // application.
        let inner = Arc::new_cyclic(|weak: &Weak<AppInner>| {
            let response_handlers: Weak<dyn ResponseHandlers> = weak.clone();
            let route_layers = RouteLayers::new(settings.route_layers, &routes, |index| {
                AppService::new(LayeredRoutes {
                    app: weak.clone(),
                    index,
                })
            });
            AppInner {
                router,
                handlers: handlers.bind(ContextSettings {
                    services,
                    response_handlers,
                    cookie_keys,
                    login_url: settings.login_url,
                    sessions: settings.sessions,
                    plain_http: settings.plain_http,
                    sample_traces: settings.sample_traces,
                    development,
                }),
                environment: Arc::new(HandlerEnvironment::new(templates)),
                draining: watch::Sender::new(false),
                detached_calls: DetachedCalls::default(),
                body_limit: settings.body_limit,
                message_limit: settings.message_limit,
                timeout: settings.timeout,
                limits,
                mounts,
                route_layers: route_layers.unwrap_or_else(|error| {
                    route_layers_error = Some(error);
                    RouteLayers::default()
                }),
                latency,
                cross_site,
                contract_differences: ContractDifferences::default(),
                hooks: settings.hooks,
            }
        });
        if let Some(error) = route_layers_error {
            return Err(error);
        }
        let add_layer = |layered: Option<AppService>, layer: BoxedLayer| {
            let inner = layered.unwrap_or_else(|| AppService::new(RouterService(inner.clone())));
            Some(layer(inner))
        };
        let layered_calls = settings.call_layers.into_iter().fold(None, |layered, layer| {
            Some(layer(layered.unwrap_or_else(|| CallService::new(inner.clone()))))
        });
        let root = Arc::new(RootService {
            layered_calls,
            layered: settings.layers.into_iter().fold(None, add_layer),
            app: inner,
            addressing: Addressing { proxies, hosts },
        });
        let web = AppService(root.clone());
        Ok(Arc::new(AssembledApp { root, web }))
    }
}

impl Application for AssembledApp {
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Response> {
        match message.kind() {
            Kind::Web => Box::pin(self.answer_web(message)),
            Kind::Service | Kind::Response => Box::pin(self.call(message).1),
        }
    }

    fn call(self: Arc<Self>, message: Message) -> (Option<&'static Spec>, CallFuture) {
        let app = &self.root.app;
        let is_call = message.kind() == Kind::Service && message.extension::<SocketSender>().is_none();
        match &self.root.layered_calls {
            Some(calls) if is_call => {
                let route = app.route_of_call(&message);
                let response =
                    CatchPanic::new("a layer of calls", calls.run(message), app.environment.clone());
                (route, CallFuture(Either::Left(response)))
            }
            _ => app.clone().handle_call(message),
        }
    }

    fn route_of_call(&self, message: &Message) -> Option<&'static Spec> {
        self.root.app.route_of_call(message)
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

    fn begin_drain(&self) {
        self.root.app.draining.send_replace(true);
    }

    fn give_up_handlers(&self) {
        self.root.app.environment.give_up();
        self.root.app.detached_calls.give_up();
    }

    fn detached_calls(&self) -> Option<&DetachedCalls> {
        Some(&self.root.app.detached_calls)
    }

    fn running_handlers(&self) -> usize {
        self.root.app.handlers.running()
    }

    fn specs(&self) -> Vec<&'static Spec> {
        self.root.app.router.specs().collect()
    }
}

impl AssembledApp {
    /// Logs the routes in development.
    pub(super) fn log_routes(&self) {
        let app = &self.root.app;
        if app.settings().development && tracing::enabled!(tracing::Level::INFO) {
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

/// Returns the function that opens links to services.
fn open_link() -> OpenLink {
    #[cfg(feature = "services")]
    return Arc::new(super::client::open_client);
    #[cfg(not(feature = "services"))]
    Arc::new(|service| {
        Err(crate::Error::new(format!(
            "cannot call the service at {}: enable the feature `services` of the crate `brubeck`",
            service.address()
        )))
    })
}

//! The shared state of a running application.

use super::contract_differences::ContractDifferences;
use super::cross_site::CrossSitePolicy;
use super::handlers::Handlers;
use super::hook::HookId;
use super::limits::{Limits, RouteLimits};
use super::route_layers::RouteLayers;
use super::tower::Mounts;
use crate::extract::ContextSettings;
use crate::handler::{CatchPanic, HandlerEnvironment, LatencyTracker};
use crate::message::Message;
use crate::response::Response;
use crate::routing::Router;
use crate::rpc::api::DetachedCalls;
use crate::spec::Spec;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The target of the access log.
pub(super) const ACCESS_LOG: &str = "brubeck::access";

/// The shared state of a running application: everything but the layers and the trusted proxies, which
/// [`RootService`](super::root::RootService) has.
pub(super) struct AppInner {
    pub(super) router: Router,
    pub(super) handlers: Box<dyn Handlers>,
    pub(super) environment: Arc<HandlerEnvironment>,
    /// `true` once the application drains.
    pub(super) draining: watch::Sender<bool>,
    /// The `nowait` calls of the handlers.
    pub(super) detached_calls: DetachedCalls,
    pub(super) body_limit: usize,
    pub(super) message_limit: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) limits: RouteLimits,
    pub(super) mounts: Mounts,
    pub(super) route_layers: RouteLayers,
    pub(super) cross_site: CrossSitePolicy,
    /// The latency of each handler, by its position in the route table.
    pub(super) latency: Box<[Arc<LatencyTracker>]>,
    pub(super) hooks: Hooks,
    pub(super) contract_differences: ContractDifferences,
}

/// The functions that run around handlers or in place of them.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) before: Vec<HookId>,
    pub(super) after: Vec<AfterHook>,
    pub(super) fallback: Option<HookId>,
    /// By the status code that they catch.
    pub(super) catchers: Vec<(u16, HookId)>,
}

pub(super) type AfterHook = Box<dyn Fn(&Message, Response) -> Response + Send + Sync>;

impl AppInner {
    /// Wraps the future of a handler: renders the template of its response, and turns a panic into a 500 response.
    #[inline]
    pub(super) fn catch_panic<'a, F>(
        &'a self,
        route: &Spec,
        future: F,
    ) -> CatchPanic<F, &'a HandlerEnvironment> {
        CatchPanic::new(route.name, future, &self.environment)
    }

    #[inline]
    pub(super) fn settings(&self) -> &ContextSettings {
        self.handlers.settings()
    }

    /// Returns the timeout of a route with these limits.
    #[inline]
    pub(super) fn timeout_for(&self, limits: Option<&Limits>) -> Option<Duration> {
        limits.and_then(|limits| limits.timeout).unwrap_or(self.timeout)
    }
}

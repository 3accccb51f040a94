//! An application that is put together, as everything that answers sees it.

use super::hook::Erased;
use super::limits::{Limits, RouteLimits};
use super::tower::Mounts;
use super::trust::CrossSite;
use crate::extract::{AppContext, Captures, Context};
use crate::handler::{CatchPanic, LatencyTracker};
use crate::message::Message;
use crate::response::Response;
use crate::routing::{Entry, Router};
use crate::template::Templates;
use std::sync::Arc;
use std::time::Duration;

/// The target of the access log: one line for each request.
pub(super) const ACCESS: &str = "brubeck::access";

/// What answers messages.
pub(super) struct AppInner<S: 'static> {
    pub(super) router: Router<S>,
    pub(super) context: Arc<AppContext<S>>,
    pub(super) templates: Arc<Templates>,
    pub(super) body_limit: usize,
    pub(super) timeout: Option<std::time::Duration>,
    pub(super) limits: RouteLimits,
    pub(super) mounts: Mounts,
    pub(super) cross_site: CrossSite,
    /// How long each handler takes, by its place in the router.
    pub(super) latency: Box<[Arc<LatencyTracker>]>,
    pub(super) hooks: Hooks<S>,
}

/// The functions that run beside the handlers.
pub(super) struct Hooks<S> {
    pub(super) before: Vec<Erased<S>>,
    pub(super) after: Vec<After>,
    pub(super) fallback: Option<Erased<S>>,
    pub(super) catchers: Vec<(u16, Erased<S>)>,
}

pub(super) type After = Box<dyn Fn(&Message, Response) -> Response + Send + Sync>;

impl<S: Send + Sync + 'static> AppInner<S> {
    /// Wraps the future of a handler: renders its template and turns a panic into a 500 response.
    pub(super) fn catching<'a, R>(&'a self, entry: &Entry<S>, run: R) -> CatchPanic<R, &'a Templates> {
        CatchPanic::new(entry.spec.name, run, &self.templates)
    }

    pub(super) fn context(&self, message: Message, captures: Captures) -> Context<S> {
        Context::new(self.context.clone(), message, captures)
    }

    /// How long a handler has until its answer.
    pub(super) fn time(&self, limits: Option<&Limits>) -> Option<Duration> {
        limits.and_then(|limits| limits.time).unwrap_or(self.timeout)
    }
}

//! The part of an application that depends on the type of its state.
//!
//! Each program has a state of its own, so rustc compiles code that depends on its type again for each program, after each edit. It is kept small
//! here, behind a trait; the rest of an application is compiled once.

use super::hook::{ErasedHook, HookId};
use crate::extract::{AppContext, Captures, Context, ContextSettings};
use crate::message::Message;
use crate::response::Response;
use crate::routing::{BoxFuture as HandlerFuture, Routes, is_answered};
use crate::scope::RequestScope;
use crate::spec::Spec;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The handlers, the hooks and the state of an application, before the rest of it is built.
pub(super) trait UnboundHandlers: Send {
    /// Returns `true` if it is proven that a response handler handles the responses of an operation.
    fn is_answered(&self, operation: &Spec) -> bool;

    /// Adds the settings that extractors use.
    fn bind(self: Box<Self>, settings: ContextSettings) -> Box<dyn Handlers>;
}

/// The handlers and the hooks of an application, with its state.
pub(super) trait Handlers: Send + Sync {
    /// Starts the handler at this position of the route table.
    fn start(
        &self,
        index: usize,
        message: Message,
        captures: Captures,
        scope: Option<Arc<RequestScope>>,
    ) -> HandlerFuture;

    /// Creates a context for hooks. Handlers that run without hooks need none.
    fn hook_context(
        &self,
        message: Message,
        captures: Captures,
        scope: Arc<RequestScope>,
    ) -> Box<dyn HookContext>;

    fn settings(&self) -> &ContextSettings;

    /// Returns the number of handlers and hooks that run.
    fn running(&self) -> usize;
}

/// A message and the application, for hooks and for the handler after them.
pub(super) trait HookContext: Send + Sync {
    fn message(&self) -> &Message;

    /// Runs a hook. `Err` is a response, `Ok` means that the request proceeds.
    fn run(&self, hook: HookId) -> BoxFuture<'_, Result<(), Response>>;

    /// Starts the handler at this position of the route table.
    fn start(self: Box<Self>, index: usize) -> HandlerFuture;
}

/// The only implementation of [`UnboundHandlers`].
pub(super) struct TypedHandlers<S: 'static> {
    pub(super) routes: Routes<S>,
    pub(super) state: S,
    pub(super) hooks: Vec<ErasedHook<S>>,
}

impl<S: Send + Sync + 'static> TypedHandlers<S> {
    pub(super) fn add_hook(&mut self, hook: ErasedHook<S>) -> HookId {
        self.hooks.push(hook);
        HookId(self.hooks.len() - 1)
    }
}

struct BoundHandlers<S: 'static> {
    app: Arc<AppContext<S>>,
    table: HandlerTable<S>,
}

/// Handlers and hooks. Cloned for each message that has hooks.
struct HandlerTable<S: 'static> {
    routes: Routes<S>,
    hooks: Arc<[ErasedHook<S>]>,
}

struct TypedContext<S: 'static> {
    cx: Context<S>,
    table: HandlerTable<S>,
}

impl<S: Send + Sync + 'static> UnboundHandlers for TypedHandlers<S> {
    fn is_answered(&self, operation: &Spec) -> bool {
        is_answered(self.routes, operation)
    }

    fn bind(self: Box<Self>, settings: ContextSettings) -> Box<dyn Handlers> {
        let TypedHandlers { routes, state, hooks } = *self;
        let hooks = hooks.into();
        Box::new(BoundHandlers {
            app: Arc::new(AppContext { state, settings }),
            table: HandlerTable { routes, hooks },
        })
    }
}

impl<S: Send + Sync + 'static> Handlers for BoundHandlers<S> {
    fn start(
        &self,
        index: usize,
        message: Message,
        captures: Captures,
        scope: Option<Arc<RequestScope>>,
    ) -> HandlerFuture {
        let handle = self.table.routes.entries()[index].handle;
        handle(Context::new(self.app.clone(), message, captures, scope))
    }

    fn hook_context(
        &self,
        message: Message,
        captures: Captures,
        scope: Arc<RequestScope>,
    ) -> Box<dyn HookContext> {
        Box::new(TypedContext {
            cx: Context::new(self.app.clone(), message, captures, Some(scope)),
            table: HandlerTable {
                routes: self.table.routes,
                hooks: self.table.hooks.clone(),
            },
        })
    }

    fn settings(&self) -> &ContextSettings {
        &self.app.settings
    }

    fn running(&self) -> usize {
        // Each context and each running handler holds the application, and so does `self`.
        Arc::strong_count(&self.app) - 1
    }
}

impl<S: Send + Sync + 'static> HookContext for TypedContext<S> {
    fn message(&self) -> &Message {
        self.cx.message()
    }

    fn run(&self, hook: HookId) -> BoxFuture<'_, Result<(), Response>> {
        (self.table.hooks[hook.0])(&self.cx)
    }

    fn start(self: Box<Self>, index: usize) -> HandlerFuture {
        (self.table.routes.entries()[index].handle)(self.cx)
    }
}

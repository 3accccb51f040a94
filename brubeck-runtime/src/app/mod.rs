//! The application: routes, state, templates and connections, put together and run.

mod answer;
mod run;

pub use run::{Handle, Running};

use crate::call::{Open, ResponseHandlers, Services};
use crate::connect::{Application, Connection};
use crate::context::Lent;
use crate::error::{Error, Result};
use crate::route::{Router, Routes, Spec};
use crate::template::Templates;
use http::Extensions;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// An application: its routes and its state.
///
/// ```no_run
/// use brubeck::prelude::*;
///
/// #[get("^/$")]
/// async fn index() -> &'static str {
///     "hello"
/// }
///
/// const ROUTES: Routes<()> = routes![index];
///
/// #[tokio::main]
/// async fn main() -> brubeck::Result {
///     App::new(ROUTES, ()).serve(Http::bind("127.0.0.1:6767")).await
/// }
/// ```
#[must_use = "an application does nothing until it is served"]
pub struct App<S: 'static> {
    routes: Routes<S>,
    state: S,
    templates: Option<PathBuf>,
    body_limit: usize,
    drain: Duration,
    connections: Vec<Box<dyn Connection>>,
}

impl<S: Send + Sync + 'static> App<S> {
    /// An application with these routes, in this order, and this state.
    pub fn new(routes: Routes<S>, state: S) -> App<S> {
        App {
            routes,
            state,
            templates: None,
            body_limit: 1 << 20,
            drain: Duration::from_secs(30),
            connections: Vec::new(),
        }
    }

    /// Reads templates from this folder, and again whenever one changes. Without it, pages are rendered
    /// from what `#[derive(Template)]` built in.
    pub fn templates(mut self, folder: impl Into<PathBuf>) -> App<S> {
        self.templates = Some(folder.into());
        self
    }

    /// The largest body of a web request, in bytes; 1 MiB unless set. A larger one is answered with 413.
    pub fn body_limit(mut self, bytes: usize) -> App<S> {
        self.body_limit = bytes;
        self
    }

    /// How long a shutdown waits for what was accepted; 30 seconds unless set.
    pub fn drain(mut self, limit: Duration) -> App<S> {
        self.drain = limit;
        self
    }

    /// Adds a connection to serve beside the one given to [`serve`](App::serve).
    pub fn also(mut self, connection: impl Connection) -> App<S> {
        self.connections.push(Box::new(connection));
        self
    }

    /// Serves until SIGINT or SIGTERM, then finishes what was accepted.
    ///
    /// # Errors
    ///
    /// An address that cannot be bound, an endpoint that is none, a template folder that is not there,
    /// a route pattern that is too large for the matcher.
    pub async fn serve(self, connection: impl Connection) -> Result {
        self.start(connection).await?.until_signal().await
    }

    /// Opens the connections and serves in the background, until the handle is told to stop.
    ///
    /// # Errors
    ///
    /// As [`serve`](App::serve).
    pub async fn start(mut self, connection: impl Connection) -> Result<Running> {
        self.connections.insert(0, Box::new(connection));
        let connections = std::mem::take(&mut self.connections);
        let drain = self.drain;
        let application = self.assemble(Arc::new(crate::connect::open_client))?;
        Running::open(application, connections, drain).await
    }

    /// The application alone, whose services are opened in this way.
    pub(crate) fn application(self, open: Open) -> Result<Arc<dyn Application>> {
        Ok(self.assemble(open)?)
    }

    fn assemble(self, open: Open) -> Result<Arc<Assembled<S>>> {
        let router = Router::new(self.routes)
            .map_err(|error| Error::because("the routes cannot be matched", error))?;
        let templates = Templates::new(self.templates.as_deref()).map_err(|error| {
            let folder = self.templates.unwrap_or_default();
            Error::because(
                format!("the template folder `{}` cannot be read", folder.display()),
                error,
            )
        })?;
        let services = Services::new(open);
        Ok(Arc::new_cyclic(|itself: &Weak<Assembled<S>>| {
            let handlers: Weak<dyn ResponseHandlers> = itself.clone();
            let mut lent = Extensions::new();
            lent.insert(handlers);
            lent.insert(services);
            Assembled {
                router,
                state: Arc::new(self.state),
                templates,
                body_limit: self.body_limit,
                lent: Arc::new(lent),
            }
        }))
    }
}

/// An application that is put together: what connections answer from.
struct Assembled<S: 'static> {
    router: Router<S>,
    state: Arc<S>,
    templates: Templates,
    body_limit: usize,
    lent: Lent,
}

impl<S: Send + Sync + 'static> Application for Assembled<S> {
    fn answer(
        self: Arc<Self>,
        message: crate::message::Message,
    ) -> futures_util::future::BoxFuture<'static, crate::reply::Response> {
        Box::pin(self.answer_any(message))
    }

    fn body_limit(&self) -> usize {
        self.body_limit
    }

    fn specs(&self) -> Vec<&'static Spec> {
        self.router.specs().collect()
    }
}

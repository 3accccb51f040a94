//! Applications and services without a socket, for tests.

use super::TestClient;
use crate::app::{App, AppService, Service};
use crate::error::{Error, Result};
use crate::handler::{Application, Stop};
use crate::message::Message;
use crate::response::Response;
use crate::routing::Routes;
use crate::rpc::api::{Client, Link, OpenLink, ServiceAddress};
use crate::rpc::client::Pool;
use brubeck_zmtp::{InMemory, Transport};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An application and the services that it calls, in memory: no socket, no port, no other process, and yet every call
/// goes through the protocol that it goes through in the field.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::TestSite;
/// use std::time::Duration;
///
/// #[service_handler(path = "^/service/slow", method = "request")]
/// async fn slow(text: Arg<String>) -> Json<String> {
///     tokio::time::sleep(Duration::from_secs(5)).await;
///     Json(text.0)
/// }
///
/// #[response_handler("^/service/slow")]
/// async fn on_slow(reply: ServiceResponse<String>) -> usize {
///     reply.body.len()
/// }
///
/// #[get("^/service/sync")]
/// async fn call_sync(services: Services) -> Result<String, CallError> {
///     let slow = services.register("ipc://run/slow", "my_shared_secret")?;
///     let (reply, handled) = slow.request("/service/slow").argument("text", "hello").handled().await?;
///     Ok(format!("{} {:?}", reply.body, handled.downcast::<usize>()))
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
/// # async fn main() -> brubeck::Result {
/// let site = TestSite::new(routes![on_slow, call_sync], ())
///     .service(Service::bind("ipc://run/slow", "my_shared_secret"), App::new(routes![slow], ()))
///     .start()
///     .await?;
/// site.browser().get("/service/sync").await.assert_status(200).assert_text("\"hello\" Some(5)");
/// site.stop().await;
/// # Ok(()) }
/// ```
///
/// With tokio's paused time the five seconds of this example take none.
#[must_use = "nothing runs before `start`"]
pub struct TestSite {
    application: Assemble,
    services: Vec<(Service, Assemble)>,
}

type Assemble = Box<dyn FnOnce(OpenLink) -> Result<(Arc<dyn Application>, AppService)> + Send>;

impl TestSite {
    /// An application with these routes and this state.
    pub fn new<S: Send + Sync + 'static>(routes: Routes<S>, state: S) -> TestSite {
        TestSite::of(App::new(routes, state))
    }

    /// This application. What it serves over its connections it does not serve here.
    pub fn of<S: Send + Sync + 'static>(app: App<S>) -> TestSite {
        TestSite {
            application: Box::new(|open| app.application(open)),
            services: Vec::new(),
        }
    }

    /// A service that is there for whoever calls its address: this application, and the other services.
    pub fn service<S: Send + Sync + 'static>(mut self, service: Service, app: App<S>) -> TestSite {
        self.services
            .push((service, Box::new(|open| app.application(open))));
        self
    }

    /// Starts all of it. Every `TestSite` is a world of its own: the same addresses in two tests do not meet.
    ///
    /// # Errors
    ///
    /// As [`App::start`]; two services at one address.
    pub async fn start(self) -> Result<TestSiteHandle> {
        let network = InMemory::default();
        let inside = network.clone();
        let open: OpenLink = Arc::new(move |service| open_link(&inside, service));
        let (stop, told) = Stop::new();
        let mut serving = JoinSet::new();
        for (service, assemble) in self.services {
            let (application, _) = assemble(open.clone())?;
            let opened = service.open_over(&network, application).await?;
            serving.spawn((opened.serve)(told.clone()));
        }
        let (application, web) = (self.application)(open.clone())?;
        Ok(TestSiteHandle {
            application,
            web,
            open,
            stop,
            serving,
        })
    }
}

fn open_link(network: &InMemory, service: &ServiceAddress) -> Result<Arc<dyn Link>> {
    if let Some(dialect) = service.selected_dialect() {
        return Err(Error::new(format!(
            "the service at {} cannot be called in memory in the dialect {dialect}: leave `.dialect(..)` out in tests",
            service.address()
        )));
    }
    let transport: Arc<dyn Transport> = Arc::new(network.clone());
    let pool = Pool::open(transport, service, None)?;
    Ok(Arc::new(pool))
}

/// What a [`TestSite`] has started. Dropping it stops it at once.
#[must_use = "dropping it stops everything"]
pub struct TestSiteHandle {
    application: Arc<dyn Application>,
    web: AppService,
    open: OpenLink,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl TestSiteHandle {
    /// A browser of the application, with cookies of its own.
    pub fn browser(&self) -> TestClient {
        TestClient::over(self.web.clone())
    }

    /// What the application answers to this message, be it from a browser or from another application. Dropping the
    /// future is what a browser does that closes, and a caller that gives up.
    pub async fn ask(&self, message: Message) -> Response {
        self.application.clone().answer(message).await
    }

    /// A client of the service at this address that belongs to no application.
    ///
    /// # Errors
    ///
    /// The address is none, or the service is spoken to in a dialect of the original.
    pub fn client(&self, service: &ServiceAddress) -> Result<Client> {
        Ok(Client::over((self.open)(service)?))
    }

    /// Ends the services when they have answered what they took.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.serving.join_next().await.is_some() {}
    }
}

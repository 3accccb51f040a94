//! An application and its services in memory, for tests.

use super::TestClient;
use super::sockets::TestSockets;
use crate::app::{App, AppService, ErasedApp, Service, give_up};
use crate::error::{Error, Result};
use crate::handler::{Application, Stop};
use crate::message::Message;
use crate::response::Response;
use crate::routing::Routes;
use crate::rpc::api::{Client, Link, OpenLink, RuntimeLinks, ServiceAddress, ServiceNetwork};
use crate::rpc::client::Pool;
use brubeck_zmtp::{InMemory, Transport};
use futures_util::future::{BoxFuture, Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An application and the services that it calls, in one process and without sockets.
///
/// ```
/// use brubeck::{Service, TestSite};
/// use brubeck::prelude::*;
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
/// Calls go over an in-memory transport, but use the same protocol as in production, including handshakes, retries and
/// deadlines. Each site has a network of its own: tests that use the same addresses do not interfere.
///
/// With the paused clock of tokio, the sleep of this example takes no real time.
#[must_use = "a site does nothing until it is started"]
pub struct TestSite {
    application: SiteApp,
    services: Vec<(Service, SiteApp)>,
}

/// An application of a site, before it is started.
struct SiteApp {
    assemble: AssembleFn,
    drain: Duration,
}

/// Assembles an application whose clients open their links in the network that is passed.
type AssembleFn = Box<dyn FnOnce(ServiceNetwork) -> Result<(Arc<dyn Application>, AppService)> + Send>;

impl SiteApp {
    fn new(app: ErasedApp) -> SiteApp {
        SiteApp {
            drain: app.drain(),
            assemble: Box::new(|network| app.application(network)),
        }
    }
}

/// Runs a service until it has ended, or until its drain limit after the stop. Then its handlers are given up.
async fn serve_within_drain(
    serving: BoxFuture<'static, ()>,
    mut stop: Stop,
    application: Arc<dyn Application>,
    drain: Duration,
) {
    let limit = async {
        stop.requested().await;
        application.begin_drain();
        tokio::time::sleep(drain).await;
    };
    let served = async {
        serving.await;
        all_calls_ended(&*application).await;
    };
    if let Either::Right(_) = select(pin!(served), pin!(limit)).await {
        give_up(&*application).await;
    }
}

/// Waits until the `nowait` calls of an application have ended.
async fn all_calls_ended(application: &dyn Application) {
    if let Some(calls) = application.detached_calls() {
        calls.all_ended().await;
    }
}

impl TestSite {
    /// Creates a site with an application of these routes and this state: see the example of [`TestSite`].
    ///
    /// For more settings use [`of`](TestSite::of).
    pub fn new<S: Send + Sync + 'static>(routes: Routes<S>, state: S) -> TestSite {
        TestSite::of(App::new(routes, state))
    }

    /// Creates a site with this application. Connections that were added with [`App::also`] are not opened.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::*;
    /// # fn example(routes: Routes<()>) -> TestSite {
    /// TestSite::of(App::new(routes, ()).body_limit(100))
    /// # }
    /// ```
    pub fn of<S: Send + Sync + 'static>(app: App<S>) -> TestSite {
        TestSite {
            application: SiteApp::new(app.erase()),
            services: Vec::new(),
        }
    }

    /// Adds a service: see the example of [`TestSite`].
    ///
    /// The application and all services of the site can call it at its address, in brubeck's protocol.
    ///
    /// The settings of `service` apply, such as its passphrase and its concurrency.
    pub fn service<S: Send + Sync + 'static>(mut self, service: Service, app: App<S>) -> TestSite {
        self.services.push((service, SiteApp::new(app.erase())));
        self
    }

    /// Starts the application and the services: see the example of [`TestSite`].
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the configuration of an application is not valid, like [`App::start`]; if the address of a service is not a
    /// valid endpoint, or that of another service; if a limit of a service is 0, its passphrase for [`dialects`](Service::dialects) is empty, a
    /// pin of [`serve_key`](Service::serve_key) is malformed, or keys are listed together with dialects; or if
    /// [`serve_key_for`](Service::serve_key_for) does not name exactly one of its operations. The length of a secret and the files of a key
    /// pair are not checked: connections in memory need neither.
    pub async fn start(self) -> Result<TestSiteHandle> {
        let network = InMemory::default();
        let client_network = network.clone();
        let open_link: OpenLink = Arc::new(move |service| open_in_memory_link(&client_network, service));
        let (stop, stop_signal) = Stop::new(Duration::ZERO);
        let mut running_services = JoinSet::new();
        for (service, app) in self.services {
            let (application, _) = (app.assemble)(ServiceNetwork::of_site(open_link.clone()))?;
            let connection = service.open_in_memory(&network, application.clone()).await?;
            let serving = (connection.serve)(stop_signal.clone());
            let serving = serve_within_drain(serving, stop_signal.clone(), application, app.drain);
            let listeners = connection.listeners;
            running_services.spawn(async move {
                serving.await;
                drop(listeners);
            });
        }
        let drain = self.application.drain;
        let (application, web) = (self.application.assemble)(ServiceNetwork::of_site(open_link.clone()))?;
        Ok(TestSiteHandle {
            sockets: TestSockets::new(application.clone(), Some(stop_signal)),
            application,
            web,
            open_link,
            stop,
            drain,
            running_services,
        })
    }
}

fn open_in_memory_link(network: &InMemory, service: &ServiceAddress) -> Result<Arc<dyn Link>> {
    if let Some(dialect) = service.selected_dialect() {
        return Err(Error::new(format!(
            "cannot call the service at {} in memory: the dialect {dialect} is not supported there; \
             remove `.dialect(..)` in tests",
            service.address()
        )));
    }
    let transport: Arc<dyn Transport> = Arc::new(network.clone());
    let pool = Pool::open(transport, service, None, None)?;
    Ok(Arc::new(pool))
}

/// A running [`TestSite`].
///
/// ```
/// # use brubeck::TestSite;
/// use brubeck::TestSiteHandle;
/// use brubeck::prelude::*;
///
/// #[get("^/$")]
/// async fn index() -> &'static str {
///     "hello"
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> brubeck::Result {
/// let site: TestSiteHandle = TestSite::new(routes![index], ()).start().await?;
/// site.browser().get("/").await.assert_text("hello");
/// site.stop().await;
/// # Ok(()) }
/// ```
///
/// [`stop`](TestSiteHandle::stop) completes the calls in progress. Dropping the handle stops the site without waiting for them.
#[must_use = "dropping the handle stops the site"]
pub struct TestSiteHandle {
    application: Arc<dyn Application>,
    web: AppService,
    sockets: TestSockets,
    open_link: OpenLink,
    stop: watch::Sender<bool>,
    drain: Duration,
    running_services: JoinSet<()>,
}

impl TestSiteHandle {
    /// Creates a client for web requests to the application, with no cookies.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestSiteHandle;
    /// # async fn example(site: TestSiteHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// site.browser().get("/").await.assert_status(200);
    /// # Ok(()) }
    /// ```
    pub fn browser(&self) -> TestClient {
        TestClient::over(self.web.clone(), self.sockets.clone())
    }

    /// Sends a message to the application, as from a browser or from another application, and returns its response.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestSiteHandle;
    /// # async fn example(site: TestSiteHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// use brubeck::{Message, Method};
    ///
    /// let response = site.ask(Message::web(Method::Get, "/")).await;
    /// assert_eq!(response.status().code(), 200);
    /// # Ok(()) }
    /// ```
    ///
    /// Dropping the future corresponds to a browser that disconnects or a caller that cancels.
    pub async fn ask(&self, message: Message) -> Response {
        self.application.clone().answer(message).await
    }

    /// Creates a client of a service of the site.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// # use brubeck::testing::TestSiteHandle;
    /// # async fn example(site: TestSiteHandle) -> Result<(), Box<dyn std::error::Error>> {
    /// use brubeck::ServiceAddress;
    ///
    /// let slow = site.client(&ServiceAddress::new("ipc://run/slow", "my_shared_secret"))?;
    /// let response = slow.request("/service/slow").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The client belongs to no application, so no response handlers run for its calls.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the address is not a valid endpoint, or if a dialect of the Python original is selected for it.
    pub fn client(&self, service: &ServiceAddress) -> Result<Client> {
        Ok(Client::over(RuntimeLinks::open(service, self.open_link.clone())?))
    }

    /// Closes the WebSockets with code 1001 and stops the services. Returns when the handlers of the WebSockets have returned and the calls in
    /// progress are complete, those with [`nowait`](crate::Call::nowait) and their response handlers included.
    ///
    /// ```
    /// # use brubeck::testing::TestSiteHandle;
    /// # async fn example(site: TestSiteHandle) {
    /// site.stop().await;
    /// # }
    /// ```
    ///
    /// It ends event streams, and waits for each application at most for the time of its [`App::drain`]. Handlers that run longer are given up: their callers
    /// get [`CallError::Lost`](crate::CallError::Lost).
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.application.begin_drain();
        let ended = async {
            self.sockets.all_ended().await;
            all_calls_ended(&*self.application).await;
        };
        if tokio::time::timeout(self.drain, ended).await.is_err() {
            give_up(&*self.application).await;
        }
        while self.running_services.join_next().await.is_some() {}
    }
}

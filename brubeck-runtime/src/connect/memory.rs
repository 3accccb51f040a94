//! Applications and services without a socket, for tests.

use super::service::Service;
use super::transport::{InMemory, Transport};
use super::v2::Pool;
use super::{Application, Stop};
use crate::app::App;
use crate::call::{Client, Link, Open, ServiceAddress};
use crate::error::{Error, Result};
use crate::message::Message;
use crate::method::Method;
use crate::reply::Response;
use crate::route::Routes;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An application and the services that it calls, in memory: no socket, no port, no other process, and yet every call
/// goes through the protocol that it goes through in the field.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::{Memory, Payload};
/// use std::time::Duration;
///
/// #[service_handler(path = "^/service/slow", method = "request")]
/// async fn slow(text: Arg<String>) -> Json<String> {
///     tokio::time::sleep(Duration::from_secs(5)).await;
///     Json(text.0)
/// }
///
/// #[response_handler("^/service/slow")]
/// async fn on_slow(reply: Answer<String>) -> usize {
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
/// let site = Memory::new(routes![on_slow, call_sync], ())
///     .service(Service::bind("ipc://run/slow", "my_shared_secret"), App::new(routes![slow], ()))
///     .start()
///     .await?;
/// let (status, _, payload) = site.get("/service/sync").await.into_parts();
/// assert_eq!(status.code(), 200);
/// assert!(matches!(payload, Payload::Bytes(text) if text == "\"hello\" Some(5)"));
/// site.stop().await;
/// # Ok(()) }
/// ```
///
/// With tokio's paused time the five seconds of this example take none.
#[must_use = "nothing runs before `start`"]
pub struct Memory {
    application: Assemble,
    services: Vec<(Service, Assemble)>,
}

type Assemble = Box<dyn FnOnce(Open) -> Result<Arc<dyn Application>> + Send>;

impl Memory {
    /// An application with these routes and this state.
    pub fn new<S: Send + Sync + 'static>(routes: Routes<S>, state: S) -> Memory {
        Memory::of(App::new(routes, state))
    }

    /// This application. What it serves over its connections it does not serve here.
    pub fn of<S: Send + Sync + 'static>(app: App<S>) -> Memory {
        Memory {
            application: Box::new(|open| app.application(open)),
            services: Vec::new(),
        }
    }

    /// A service that is there for whoever calls its address: this application, and the other services.
    pub fn service<S: Send + Sync + 'static>(mut self, service: Service, app: App<S>) -> Memory {
        self.services
            .push((service, Box::new(|open| app.application(open))));
        self
    }

    /// Starts all of it. Every `Memory` is a world of its own: the same addresses in two tests do not meet.
    ///
    /// # Errors
    ///
    /// As [`App::start`]; two services at one address.
    pub async fn start(self) -> Result<InsideMemory> {
        let network = InMemory::default();
        let inside = network.clone();
        let open: Open = Arc::new(move |service| open_link(&inside, service));
        let (stop, told) = Stop::new();
        let mut serving = JoinSet::new();
        for (service, assemble) in self.services {
            let application = assemble(open.clone())?;
            let opened = service.open_over(&network, application).await?;
            serving.spawn((opened.serve)(told.clone()));
        }
        Ok(InsideMemory {
            application: (self.application)(open.clone())?,
            open,
            stop,
            serving,
        })
    }
}

fn open_link(network: &InMemory, service: &ServiceAddress) -> Result<Arc<dyn Link>> {
    if let Some(dialect) = service.spoken() {
        return Err(Error::new(format!(
            "the service at {} cannot be called in memory in the dialect {dialect}: leave `.dialect(..)` out in tests",
            service.address()
        )));
    }
    let addresses: Vec<String> = service.addresses().map(str::to_owned).collect();
    let transport: Arc<dyn Transport> = Arc::new(network.clone());
    let pool = Pool::open(transport, &addresses, service.passphrase().clone(), None)?;
    Ok(Arc::new(pool))
}

/// What a [`Memory`] has started. Dropping it stops it at once.
#[must_use = "dropping it stops everything"]
pub struct InsideMemory {
    application: Arc<dyn Application>,
    open: Open,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl InsideMemory {
    /// What the application answers to this message. Dropping the future is what a browser does that closes.
    pub async fn ask(&self, message: Message) -> Response {
        self.application.clone().answer(message).await
    }

    /// What the application answers to a `GET` of this path, with or without `?query`.
    pub async fn get(&self, target: &str) -> Response {
        self.ask(Message::web(Method::Get, target)).await
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

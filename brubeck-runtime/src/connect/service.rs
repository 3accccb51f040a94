//! The serving side of a service: requests come in, each is answered in its own dialect.

mod answering;
mod encode;

use super::transport::{
    self, Endpoint, LINGER, Limits, ServerEvent, Timing, Transport, TransportError, ZeroMq,
};
use super::{Application, Connection, Opened, Stop};
use crate::error::Error;
use crate::wire::service::Secret;
use answering::{Answering, Arrived};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(super) use answering::headers;

/// How many requests of one service are worked on at once.
const IN_FLIGHT: usize = 1024;

/// Answers the calls of other applications.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Service::bind("ipc://run/slow", "my_shared_secret")).await
/// # }
/// ```
///
/// Requests run side by side, at most 1,024 at once; what comes beyond waits in the sockets. Each is
/// answered in the dialect in which it came. A request with another passphrase is answered with 401, one
/// that cannot be read with 400 where it still says who asked.
///
/// Callers send the passphrase in clear, so it is taken only on ipc and loopback addresses, unless
/// [`allow_clear_text`](Service::allow_clear_text) says otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct Service {
    place: Place,
    passphrase: Secret,
    clear_text: bool,
}

#[derive(Clone, Debug)]
enum Place {
    /// Callers come here.
    Bound(String),
    /// The two addresses of one caller.
    Connected { requests: String, responses: String },
}

impl Service {
    /// Binds `ipc://path/of/socket` or `tcp://host:port`; callers must know the passphrase.
    ///
    /// They may speak [`Dialect::Seed`](crate::Dialect::Seed) and [`Dialect::Branch`](crate::Dialect::Branch).
    pub fn bind(address: impl Into<String>, passphrase: impl Into<String>) -> Service {
        Service::new(Place::Bound(address.into()), passphrase)
    }

    /// Connects to the two addresses that a caller has bound: it puts requests into the first and takes answers from
    /// the second, and shares its requests among all services that connect.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(routes: Routes<()>) -> brubeck::Result {
    /// let service = Service::connect("ipc://run/slow", "ipc://run/slow_response", "my_shared_secret");
    /// App::new(routes, ()).serve(service).await
    /// # }
    /// ```
    ///
    /// So do the services of the released package `brubeck-service`, in [`Dialect::Pypi`](crate::Dialect::Pypi) and
    /// [`Dialect::Pypi01x`](crate::Dialect::Pypi01x); of the latter neither registration nor heartbeats. The caller may
    /// start later, and start again. For a second caller add a second connection with [`App::also`](crate::App::also).
    pub fn connect(
        requests: impl Into<String>,
        responses: impl Into<String>,
        passphrase: impl Into<String>,
    ) -> Service {
        let (requests, responses) = (requests.into(), responses.into());
        Service::new(Place::Connected { requests, responses }, passphrase)
    }

    fn new(place: Place, passphrase: impl Into<String>) -> Service {
        Service {
            place,
            passphrase: Secret::new(passphrase.into()),
            clear_text: false,
        }
    }

    /// Takes and sends passphrases in clear to other machines: whoever can read the network can then call the service.
    pub fn allow_clear_text(mut self) -> Service {
        self.clear_text = true;
        self
    }

    fn endpoint(&self, text: &str) -> crate::Result<Endpoint> {
        let endpoint: Endpoint = text
            .parse()
            .map_err(|error| cannot(text, TransportError::from(error)))?;
        if self.clear_text || endpoint.is_loopback() {
            return Ok(endpoint);
        }
        Err(Error::new(format!(
            "cannot serve at {text}: callers on other machines would send the passphrase in clear; \
             take an ipc or loopback address, or say `.allow_clear_text()`"
        )))
    }
}

fn cannot(address: &str, error: TransportError) -> Error {
    Error::because(format!("cannot serve at {address}"), error)
}

impl Connection for Service {
    fn open(self: Box<Self>, application: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<Opened>> {
        Box::pin(async move {
            let answering = |passphrase: Secret| Arc::new(Answering::new(passphrase, application));
            match &self.place {
                Place::Bound(address) => {
                    let server = ZeroMq
                        .server(self.endpoint(address)?, Limits::default())
                        .await
                        .map_err(|error| cannot(address, error))?;
                    let answering = answering(self.passphrase);
                    Ok(Opened {
                        address: server.local.to_string(),
                        serve: Box::new(|stop| Box::pin(serve_bound(server, answering, stop))),
                    })
                }
                Place::Connected { requests, responses } => {
                    let worker = ZeroMq
                        .worker(
                            self.endpoint(requests)?,
                            self.endpoint(responses)?,
                            Timing::default(),
                        )
                        .map_err(|error| cannot(requests, error))?;
                    let address = format!("{requests} and {responses}");
                    let answering = answering(self.passphrase);
                    Ok(Opened {
                        address,
                        serve: Box::new(|stop| Box::pin(serve_connected(worker, answering, stop))),
                    })
                }
            }
        })
    }
}

async fn serve_bound(mut server: transport::Server, answering: Arc<Answering>, mut stop: Stop) {
    let mut handlers = Handlers::new(answering, server.outbound.clone());
    while let Some((place, event)) = handlers.next(&mut stop, server.inbound.recv()).await {
        if let ServerEvent::Message { peer, frames } = event {
            handlers.run(place, Arrived::from_router(&peer, frames));
        }
    }
    handlers.finish().await;
    server.shutdown(LINGER).await;
}

async fn serve_connected(mut worker: transport::Worker, answering: Arc<Answering>, mut stop: Stop) {
    let mut handlers = Handlers::new(answering, worker.outbound.clone());
    while let Some((place, frames)) = handlers.next(&mut stop, worker.inbound.recv()).await {
        handlers.run(place, Arrived::from_pull(frames));
    }
    handlers.finish().await;
    worker.shutdown(LINGER).await;
}

/// The handlers of one service that run.
struct Handlers {
    answering: Arc<Answering>,
    outbound: transport::ServerOutbox,
    places: Arc<Semaphore>,
    running: JoinSet<()>,
}

impl Handlers {
    fn new(answering: Arc<Answering>, outbound: transport::ServerOutbox) -> Handlers {
        Handlers {
            answering,
            outbound,
            places: Arc::new(Semaphore::new(IN_FLIGHT)),
            running: JoinSet::new(),
        }
    }

    /// What comes next, once there is a place for it; `None` when it is time to stop.
    async fn next<T>(
        &mut self,
        stop: &mut Stop,
        arrival: impl Future<Output = Option<T>>,
    ) -> Option<(tokio::sync::OwnedSemaphorePermit, T)> {
        let arrived = async {
            let place = self.places.clone().acquire_owned().await.ok()?;
            Some((place, arrival.await?))
        };
        let arrived = tokio::select! {
            biased;
            () = stop.requested() => None,
            arrived = arrived => arrived,
        };
        while self.running.try_join_next().is_some() {}
        arrived
    }

    fn run(&mut self, place: tokio::sync::OwnedSemaphorePermit, arrived: Arrived) {
        let (answering, outbound) = (self.answering.clone(), self.outbound.clone());
        self.running.spawn(async move {
            answering.take(arrived, outbound).await;
            drop(place);
        });
    }

    async fn finish(mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

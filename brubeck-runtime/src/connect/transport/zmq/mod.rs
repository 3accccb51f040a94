//! The transport over ZeroMQ. The sockets of services that connect are those of the `zeromq` crate, and live where
//! [`io_thread`] says; all others are our own, and live where their messages are handled.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{
    Carried, Client, Endpoint, Hub, Limits, Server, Timing, Transport, TransportError, Worker, client,
    io_thread,
};

mod backoff;
mod dealer;
mod dial;
mod hub;
mod listener;
mod mongrel2;
mod quiet;
mod router;
mod socket;
mod worker;
mod zmtp;

/// ZeroMQ over TCP and Unix sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZeroMq;

impl Transport for ZeroMq {
    fn server(&self, endpoint: Endpoint, limits: Limits) -> BoxFuture<'_, Result<Server, TransportError>> {
        async move {
            endpoint.check()?;
            router::open(endpoint, limits).await
        }
        .boxed()
    }

    fn client(&self, endpoint: Endpoint, timing: Timing) -> Result<Client, TransportError> {
        endpoint.check_connect()?;
        let (client, driver) = client::client(&timing);
        spawn(dealer::supervise(endpoint, timing, driver))?;
        Ok(client)
    }

    fn mongrel2(
        &self,
        send_spec: Endpoint,
        recv_spec: Endpoint,
        timing: Timing,
    ) -> Result<Carried, TransportError> {
        send_spec.check_connect()?;
        recv_spec.check_connect()?;
        let (link, line) = super::mongrel2::mongrel2(&timing);
        Ok((
            link,
            mongrel2::supervise(send_spec, recv_spec, timing, line).boxed(),
        ))
    }

    fn hub(&self, requests: Endpoint, responses: Endpoint, timing: Timing) -> Result<Hub, TransportError> {
        requests.check()?;
        responses.check()?;
        hub::open(&requests, &responses, &timing)
    }

    fn worker(
        &self,
        requests: Endpoint,
        responses: Endpoint,
        timing: Timing,
    ) -> Result<Worker, TransportError> {
        requests.check_connect()?;
        responses.check_connect()?;
        let (worker, driver) = super::worker::worker(&timing);
        io_thread::spawn(worker::supervise(requests, responses, timing, driver))?;
        Ok(worker)
    }
}

/// Runs what owns a socket of our own, where it is opened if tasks can live there.
fn spawn(socket: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    match tokio::runtime::Handle::try_current() {
        Ok(here) => drop(here.spawn(socket)),
        Err(_) => drop(io_thread::spawn(socket)?),
    }
    Ok(())
}

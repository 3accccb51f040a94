//! What connects to Mongrel2, and to services that connect.

mod crate_sockets;
mod hub;
mod hub_sockets;
mod io_thread;
mod mongrel2;
mod mongrel2_connect;
mod mongrel2_sockets;
#[cfg(test)]
mod test_support;
mod worker;
mod worker_sockets;

pub use hub::{Hub, HubEvent, HubOutbox};
use io_thread::with_runtime;
pub use mongrel2::{Carried, LinkEvent, Mongrel2Link};
pub use worker::Worker;

use brubeck_zmtp::{Client, Endpoint, Timing, Transport, TransportError};
use futures_util::FutureExt;

/// Connects to the server at `endpoint`, from anywhere: outside of a runtime the connection lives on the I/O thread.
///
/// # Errors
/// The endpoint cannot be connected to, by its form; or the I/O thread cannot be started.
pub(crate) fn client(
    transport: &dyn Transport,
    endpoint: Endpoint,
    timing: Timing,
) -> Result<Client, TransportError> {
    with_runtime(|| transport.client(endpoint, timing))?
}

/// Connects to a Mongrel2 server: to `send_spec` for the requests it sends, to `recv_spec` for the replies it
/// receives, both as its configuration names them. Returns at once; wait for [`LinkEvent::Up`].
///
/// # Errors
/// The endpoints cannot be connected to, by their form.
pub fn mongrel2(send_spec: Endpoint, recv_spec: Endpoint, timing: Timing) -> Result<Carried, TransportError> {
    send_spec.check_connect()?;
    recv_spec.check_connect()?;
    let (link, line) = mongrel2::mongrel2(&timing);
    Ok((
        link,
        mongrel2_sockets::supervise(send_spec, recv_spec, timing, line).boxed(),
    ))
}

/// Binds `requests` and `responses` for services that connect to both.
///
/// # Errors
/// One of the endpoints cannot be bound: see [`TransportError`].
pub fn hub(requests: Endpoint, responses: Endpoint, timing: Timing) -> Result<Hub, TransportError> {
    requests.check()?;
    responses.check()?;
    hub_sockets::open(&requests, &responses, &timing)
}

/// Connects to a client that has bound `requests` and `responses`, whenever it is there. Returns at once.
///
/// # Errors
/// The endpoints cannot be connected to, by their form.
pub fn worker(requests: Endpoint, responses: Endpoint, timing: Timing) -> Result<Worker, TransportError> {
    requests.check_connect()?;
    responses.check_connect()?;
    let (worker, driver) = worker::worker(&timing);
    io_thread::spawn(worker_sockets::supervise(requests, responses, timing, driver))?;
    Ok(worker)
}

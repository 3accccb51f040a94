//! The links to Mongrel2, and both sides of services that connect, on the sockets of [`brubeck_zmtp`].
//!
//! Only [`worker`] uses the sockets of the `zeromq` crate. They block whole worker threads of a runtime if tasks that
//! share a socket run in parallel, so they run where [`io_thread`] says.

mod hub;
mod io_thread;
mod mongrel2;
#[cfg(test)]
mod test_support;
mod worker;
mod zeromq_sockets;

pub(crate) use hub::{HubEvent, HubSender, bind_hub};
pub(crate) use mongrel2::{LinkEvent, Mongrel2Link, mongrel2_link};
pub(crate) use worker::{Worker, connect_worker};

use brubeck_zmtp::{Client, Endpoint, LinkConfig, Transport, TransportError};

/// Creates a client from any thread. Outside of a runtime it runs on the I/O thread.
///
/// # Errors
/// Returns an error if it is not possible to connect to such an endpoint, or if the I/O thread cannot be started.
pub(crate) fn connect_client(
    transport: &dyn Transport,
    endpoint: Endpoint,
    config: LinkConfig,
) -> Result<Client, TransportError> {
    io_thread::with_runtime(|| transport.client(endpoint, config))?
}

//! The ends of a service that connects to its client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use brubeck_zmtp::link::shutdown::{Closing, Stop, closing};
use brubeck_zmtp::queue::counts::Counters;
use brubeck_zmtp::queue::events::{Inbox, Inlet, inbox};
use brubeck_zmtp::server::{Outgoing, ServerOutbox, outbox};
use brubeck_zmtp::{LinkState, Timing};

/// A supervised connection to a client that binds (PULL for its requests, ROUTER for the answers).
///
/// It is connected for the answers first, and pulls requests only then. An answer that its client cannot be sent now
/// waits a few seconds for the client to come back.
#[derive(Debug)]
pub struct Worker {
    /// The requests, each with its frames. Dropping it closes the link.
    pub inbound: Inbox<Vec<Bytes>>,
    /// Answers, by the identity of the client. Dropping all clones closes the link.
    pub outbound: ServerOutbox,
    /// Whether there is a connection now.
    pub state: watch::Receiver<LinkState>,
    /// Shuts the link down.
    pub closing: Closing,
}

impl Worker {
    /// Sends what was accepted, for at most `linger`, then closes. Returns whether everything left in time.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.closing.shutdown(linger).await
    }
}

/// The supervisor's side of a [`Worker`].
#[derive(Debug)]
pub(crate) struct WorkerDriver {
    pub(crate) inlet: Inlet<Vec<Bytes>>,
    pub(crate) outbox: mpsc::Receiver<Outgoing>,
    pub(crate) state: watch::Sender<LinkState>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: Stop,
}

pub(crate) fn worker(timing: &Timing) -> (Worker, WorkerDriver) {
    let (inlet, inbound) = inbox(timing.inbound_messages, timing.inbound_bytes);
    let (outbound, outbox, counters) = outbox();
    let (set_state, state) = watch::channel(LinkState::Connecting);
    let (closing, stop) = closing();
    (
        Worker {
            inbound,
            outbound,
            state,
            closing,
        },
        WorkerDriver {
            inlet,
            outbox,
            state: set_state,
            counters,
            stop,
        },
    )
}

//! The ends of a client that its services connect to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select_all;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use brubeck_zmtp::link::shutdown::{Closing, Stop, closing};
use brubeck_zmtp::queue::events::{Inbox, Inlet, inbox};
use brubeck_zmtp::{Endpoint, Generation, SendError, Timing};

/// What happens at a [`Hub`]. A generation is one service process, for as long as it stays connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubEvent {
    /// A service sent a message; the sockets do not tell which.
    Message {
        /// Its frames; at least one.
        frames: Vec<Bytes>,
    },
    /// A service is gone. Whatever was sent to it may or may not have been read; answers that it had sent have come.
    Down {
        /// Its number; never given to another one.
        generation: Generation,
        /// Why, for the log.
        reason: String,
    },
}

/// A client that binds (PUSH for the requests, DEALER for the answers); any number of services connect to both.
///
/// Requests go to one service after another. A service is handed none before it is connected for the answers, too: its
/// first answer would be lost.
#[derive(Debug)]
pub struct Hub {
    /// Where services pull requests, with the real port.
    pub requests: Endpoint,
    /// Where services send their answers, with the real port.
    pub responses: Endpoint,
    /// The identity that services must send their answers to.
    pub identity: Bytes,
    /// What happens. Dropping it closes the hub.
    pub inbound: Inbox<HubEvent>,
    /// Requests to the services. Dropping all clones closes the hub.
    pub outbound: HubOutbox,
    /// Shuts the hub down.
    pub closing: Closing,
}

impl Hub {
    /// Sends what was accepted, for at most `linger`, then closes. Returns whether everything left in time.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.closing.shutdown(linger).await
    }
}

/// The services that can be handed requests; `None` once the hub is closed.
pub(crate) type Ready = Option<Arc<[Queue]>>;

/// The requests that one service has not been sent yet.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) generation: Generation,
    pub(crate) requests: mpsc::Sender<Bytes>,
}

impl Queue {
    fn place_now(&self) -> Option<Place> {
        let permit = self.requests.clone().try_reserve_owned().ok()?;
        Some(Place {
            queue: self.clone(),
            permit,
        })
    }

    /// Waits for a place; for ever, if the service is gone, which the list of services will say.
    async fn place(&self) -> Place {
        match self.requests.clone().reserve_owned().await {
            Ok(permit) => Place {
                queue: self.clone(),
                permit,
            },
            Err(_) => std::future::pending().await,
        }
    }
}

/// The sending end of a [`Hub`].
#[derive(Clone, Debug)]
pub struct HubOutbox {
    ready: watch::Receiver<Ready>,
    turn: Arc<AtomicUsize>,
}

impl HubOutbox {
    /// A place for one request in the queue of the service whose turn it is, as soon as any has one.
    ///
    /// # Errors
    /// [`SendError::Deadline`] and [`SendError::Closed`].
    pub async fn place_by(&self, deadline: Instant) -> Result<Place, SendError> {
        timeout_at(deadline, self.place())
            .await
            .unwrap_or(Err(SendError::Deadline))
    }

    async fn place(&self) -> Result<Place, SendError> {
        let mut ready = self.ready.clone();
        loop {
            let services = ready.borrow_and_update().clone().ok_or(SendError::Closed)?;
            let turn = self.turn.fetch_add(1, Relaxed) % services.len().max(1);
            let (before, after) = services.split_at(turn);
            if let Some(place) = after.iter().chain(before).find_map(Queue::place_now) {
                return Ok(place);
            }
            // The place that comes free is taken, not only heard of: among many who wait it would be gone again.
            let waiting: Vec<_> = services.iter().map(|queue| Box::pin(queue.place())).collect();
            let some_place = async {
                match waiting.is_empty() {
                    true => std::future::pending().await,
                    false => select_all(waiting).await.0,
                }
            };
            tokio::select! {
                place = some_place => return Ok(place),
                changed = ready.changed() => changed.map_err(|_| SendError::Closed)?,
            }
        }
    }
}

/// A place in the queue of one service.
#[derive(Debug)]
#[must_use = "a place is given back unless something is sent"]
pub struct Place {
    queue: Queue,
    permit: mpsc::OwnedPermit<Bytes>,
}

impl Place {
    /// The service it belongs to. Note it before sending: its [`HubEvent::Down`] may come at any time from then on.
    pub fn generation(&self) -> Generation {
        self.queue.generation
    }

    /// Hands the request over.
    ///
    /// # Errors
    /// [`SendError::LinkDown`]: that service is gone, and the request was not sent.
    pub fn send(self, request: Bytes) -> Result<(), SendError> {
        if self.queue.requests.is_closed() {
            return Err(SendError::LinkDown);
        }
        self.permit.send(request);
        Ok(())
    }
}

/// The sockets' side of a [`Hub`].
#[derive(Debug)]
pub(crate) struct HubDriver {
    pub(crate) inlet: Inlet<HubEvent>,
    pub(crate) ready: watch::Sender<Ready>,
    pub(crate) stop: Stop,
}

pub(crate) fn hub(
    requests: Endpoint,
    responses: Endpoint,
    identity: Bytes,
    timing: &Timing,
) -> (Hub, HubDriver) {
    let (inlet, inbound) = inbox(timing.inbound_messages, timing.inbound_bytes);
    let (set_ready, ready) = watch::channel(Some(Arc::from([])));
    let (closing, stop) = closing();
    let outbound = HubOutbox {
        ready,
        turn: Arc::default(),
    };
    (
        Hub {
            requests,
            responses,
            identity,
            inbound,
            outbound,
            closing,
        },
        HubDriver {
            inlet,
            ready: set_ready,
            stop,
        },
    )
}

#[cfg(test)]
mod tests;

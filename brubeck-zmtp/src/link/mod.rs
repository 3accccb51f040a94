//! Links: connections that are made again after each loss.

mod reconnect;
mod shutdown;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

pub use self::reconnect::{BoxError, Connector, LinkHandler, Outcome, RunLink, run_link};
pub use self::shutdown::{ShutdownHandle, ShutdownReason, ShutdownRequest, ShutdownSignal, shutdown_channel};

use crate::queue::{Counters, Counts, EventReceiver, EventSender, event_queue};
use crate::{LinkConfig, SendError};

/// The number of a connection within its link: 1 for the first one, larger for each that follows.
pub type Generation = u64;

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is no connection; the link keeps trying.
    Connecting,
    /// There is a connection.
    Up(Generation),
    /// The link was shut down.
    Closed,
}

/// The sending end of a link.
///
/// Each message is meant for one connection, by its [`Generation`]. It is sent there or not at all.
#[derive(Debug)]
pub struct LinkSender<M> {
    queue: mpsc::Sender<(Generation, M)>,
    state: watch::Receiver<LinkState>,
    counters: Arc<Counters>,
}

impl<M> Clone for LinkSender<M> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            state: self.state.clone(),
            counters: self.counters.clone(),
        }
    }
}

impl<M> LinkSender<M> {
    /// Returns the generation of the current connection.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`] if there is none, or [`SendError::Closed`].
    #[inline]
    pub fn generation(&self) -> Result<Generation, SendError> {
        match *self.state.borrow() {
            LinkState::Up(generation) => Ok(generation),
            LinkState::Connecting => Err(SendError::LinkDown),
            LinkState::Closed => Err(SendError::Closed),
        }
    }

    /// Waits for a connection. Returns its generation.
    ///
    /// # Errors
    /// Returns [`SendError::Closed`].
    pub async fn connected(&self) -> Result<Generation, SendError> {
        let mut state = self.state.clone();
        match state
            .wait_for(|state| *state != LinkState::Connecting)
            .await
            .as_deref()
        {
            Ok(LinkState::Up(generation)) => Ok(*generation),
            _ => Err(SendError::Closed),
        }
    }

    /// Queues a message if this connection is the current one and there is space.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`], [`SendError::Full`] or [`SendError::Closed`].
    #[inline]
    pub fn try_send(&self, generation: Generation, message: M) -> Result<(), SendError> {
        self.try_reserve(generation).map(|permit| permit.send(message))
    }

    /// Reserves space for a message if this connection is the current one.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`], [`SendError::Full`] or [`SendError::Closed`].
    #[inline]
    pub fn try_reserve(&self, generation: Generation) -> Result<LinkPermit<'_, M>, SendError> {
        self.check(generation)?;
        match self.queue.try_reserve() {
            Ok(permit) => Ok(LinkPermit { generation, permit }),
            Err(mpsc::error::TrySendError::Full(())) => Err(SendError::Full),
            Err(mpsc::error::TrySendError::Closed(())) => Err(SendError::Closed),
        }
    }

    /// Waits for space, then queues the message.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`] if the connection is lost or was lost while waiting, or [`SendError::Closed`]; with
    /// the message.
    pub async fn send(&self, generation: Generation, message: M) -> Result<(), (SendError, M)> {
        if let Err(error) = self.check(generation) {
            return Err((error, message));
        }
        let Ok(permit) = self.queue.reserve().await else {
            return Err((SendError::Closed, message));
        };
        // The connection may have been lost while this waited.
        if let Err(error) = self.check(generation) {
            return Err((error, message));
        }
        permit.send((generation, message));
        Ok(())
    }

    #[inline]
    fn check(&self, generation: Generation) -> Result<(), SendError> {
        if self.generation()? == generation {
            Ok(())
        } else {
            Err(SendError::LinkDown)
        }
    }

    /// Returns the counters of the link, for counting messages that were refused.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the number of messages so far, by what happened to them.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }
}

/// Space for one message to one connection.
#[derive(Debug)]
pub struct LinkPermit<'a, M> {
    generation: Generation,
    permit: mpsc::Permit<'a, (Generation, M)>,
}

impl<M> LinkPermit<'_, M> {
    /// Queues the message.
    #[inline]
    pub fn send(self, message: M) {
        self.permit.send((self.generation, message));
    }
}

/// The user's ends of a link that receives events `E` and sends messages `M`.
#[derive(Debug)]
pub struct LinkHandles<E, M> {
    /// Events of the link.
    pub inbound: EventReceiver<E>,
    /// Messages to the peer.
    pub outbound: LinkSender<M>,
    /// The state of the link.
    pub state: watch::Receiver<LinkState>,
    /// Shuts the link down.
    pub shutdown: ShutdownHandle,
}

/// The ends of a link that its [`LinkHandler`] holds.
#[derive(Debug)]
pub struct LinkDriver<E, M> {
    /// Events to the user.
    pub inbound: EventSender<E>,
    /// Messages from the user, each with the generation it is meant for.
    pub outbound: mpsc::Receiver<(Generation, M)>,
    /// Counts messages.
    pub counters: Arc<Counters>,
    /// Requests to shut down.
    pub shutdown: ShutdownSignal,
}

/// Creates both ends of a link. The state belongs to [`run_link`].
pub fn link<E, M>(config: &LinkConfig) -> (LinkHandles<E, M>, LinkDriver<E, M>, watch::Sender<LinkState>) {
    let (inbound, events) = event_queue(config.inbound_messages, config.inbound_bytes);
    let (queue, outbound) = mpsc::channel(config.outbound_messages.max(1));
    let (set_state, state) = watch::channel(LinkState::Connecting);
    let (shutdown, signal) = shutdown_channel();
    let counters = Arc::new(Counters::default());
    let handles = LinkHandles {
        inbound: events,
        outbound: LinkSender {
            queue,
            state: state.clone(),
            counters: counters.clone(),
        },
        state,
        shutdown,
    };
    let driver = LinkDriver {
        inbound,
        outbound,
        counters,
        shutdown: signal,
    };
    (handles, driver, set_state)
}

impl<E, M> LinkDriver<E, M> {
    /// Waits for the end of a link that has no connection. Drops messages to lost connections in the meantime.
    pub async fn wait_for_shutdown(&mut self) -> ShutdownReason {
        loop {
            tokio::select! {
                stale = self.outbound.recv() => match stale {
                    Some(_) => self.counters.record_dropped(1),
                    None => return ShutdownReason::Unused,
                },
                () = self.inbound.closed() => return ShutdownReason::Unused,
                reason = self.shutdown.requested() => return reason,
            }
        }
    }

    /// Drops the messages to a connection that was lost. Call it only when the state is not [`LinkState::Up`] any more.
    pub fn drop_outbound(&mut self) {
        // Ends, because nothing is queued for a connection that is not up.
        while self.outbound.try_recv().is_ok() {
            self.counters.record_dropped(1);
        }
    }

    /// Waits for space and passes an event to the user.
    ///
    /// # Errors
    /// Returns the reason if the link ends first.
    pub async fn emit(&mut self, event: E) -> Result<(), ShutdownReason> {
        tokio::select! {
            permit = self.inbound.reserve() => match permit {
                Some(permit) => {
                    permit.send(event, 0);
                    Ok(())
                }
                None => Err(ShutdownReason::Unused),
            },
            reason = self.shutdown.requested() => Err(reason),
        }
    }
}

//! Links: connections that are reopened after each loss.

mod reconnect;
mod shutdown;

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};

pub(crate) use self::reconnect::{Backoff, STABLE_AFTER};
pub use self::reconnect::{ConnectError, ConnectionOutcome, Connector, LinkHandler, LinkSettings, run_link};
pub use self::shutdown::{ShutdownHandle, ShutdownReason, ShutdownRequest, ShutdownSignal, shutdown_channel};

use crate::queue::{EventReceiver, EventSender, MessageCounters, MessageCounts, event_queue};
use crate::{LinkConfig, SendError};

/// The number of a connection within its link: 1 for the first connection, and larger for each later one.
pub type Generation = u64;

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is no connection. The link is trying to connect.
    Connecting,
    /// The link is connected.
    Up(Generation),
    /// The link was shut down.
    Closed,
}

/// The sending end of a link.
///
/// Each message belongs to the connection with its [`Generation`], and must not be sent on another connection: see
/// [`LinkDriver::outbound`].
#[derive(Debug)]
pub struct LinkSender<M> {
    queue: mpsc::Sender<(Generation, M)>,
    state: watch::Receiver<LinkState>,
    counters: Arc<MessageCounters>,
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
    /// Returns [`SendError::LinkDown`] if there is no connection, and [`SendError::Closed`] if the link was shut down.
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
    /// Returns [`SendError::Closed`] if the link was shut down.
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

    /// Queues a message if `generation` is the current connection and the queue has space.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`], [`SendError::Full`] or [`SendError::Closed`].
    #[inline]
    pub fn try_send(&self, generation: Generation, message: M) -> Result<(), SendError> {
        self.try_reserve(generation).map(|permit| permit.send(message))
    }

    /// Reserves space for a message if `generation` is the current connection.
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

    /// Waits for space in the queue, then queues the message.
    ///
    /// # Errors
    /// Returns the message with [`SendError::LinkDown`] if `generation` is not, or no longer, the current connection, or with
    /// [`SendError::Closed`].
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

    /// Returns the counters of the link. A user that drops messages itself counts them here.
    pub fn counters(&self) -> &MessageCounters {
        &self.counters
    }

    /// Returns the numbers of sent messages, dropped messages and stalls so far.
    pub fn counts(&self) -> MessageCounts {
        self.counters.read()
    }
}

/// Reserved space for one message on one connection.
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

/// The user's channel ends of a link with events `E` and messages `M`.
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

/// The [`LinkHandler`]'s channel ends of a link.
#[derive(Debug)]
pub struct LinkDriver<E, M> {
    /// Events to the user.
    pub inbound: EventSender<E>,
    /// Messages from the user, each with the generation of its connection. Drop and count the messages of other generations:
    /// a message may be queued just after its connection was lost.
    pub outbound: mpsc::Receiver<(Generation, M)>,
    /// Counts the messages that were sent, dropped or stalled.
    pub counters: Arc<MessageCounters>,
    /// Requests to shut down.
    pub shutdown: ShutdownSignal,
}

/// Creates the channels of a link. Pass the state sender to [`run_link`] in its [`LinkSettings`].
pub fn link_channel<E, M>(
    config: &LinkConfig,
) -> (LinkHandles<E, M>, LinkDriver<E, M>, watch::Sender<LinkState>) {
    let (inbound, events) = event_queue(config.inbound_messages, config.inbound_bytes);
    // `mpsc::channel` panics outside of this range.
    let (queue, outbound) = mpsc::channel(config.outbound_messages.clamp(1, Semaphore::MAX_PERMITS));
    let (set_state, state) = watch::channel(LinkState::Connecting);
    let (shutdown, signal) = shutdown_channel();
    let counters = Arc::new(MessageCounters::default());
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
    /// Waits until a link without a connection is shut down. Drops messages for lost connections until then.
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

    /// Drops the queued messages of a lost connection. Call it after the state has changed from [`LinkState::Up`].
    pub fn drop_outbound(&mut self) {
        // The loop ends, because senders check that the state is `Up` before they queue a message.
        while self.outbound.try_recv().is_ok() {
            self.counters.record_dropped(1);
        }
    }

    /// Waits for space in the event queue, then sends an event to the user.
    ///
    /// # Errors
    /// Returns the reason if the link is shut down first.
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

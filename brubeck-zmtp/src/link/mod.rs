//! What every link that connects is made of: its state, its two queues, its end.

pub mod reconnect;
pub mod shutdown;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use self::shutdown::{Ask, Closing, Stop, closing};
use crate::queue::counts::{Counters, Counts};
use crate::queue::events::{Inbox, Inlet, inbox};
use crate::{SendError, Timing};

/// The number of a connection within its link: 1 for the first one, larger for each that follows.
pub type Generation = u64;

/// Whether a link that connects has a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is none; the link is trying, for as long as it lives.
    Connecting,
    /// There is one.
    Up(Generation),
    /// The link was shut down.
    Closed,
}

/// The way out of a link: what is sent is meant for one generation, and goes there or nowhere.
#[derive(Debug)]
pub struct WayOut<M> {
    queue: mpsc::Sender<(Generation, M)>,
    state: watch::Receiver<LinkState>,
    counters: Arc<Counters>,
}

impl<M> Clone for WayOut<M> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            state: self.state.clone(),
            counters: self.counters.clone(),
        }
    }
}

impl<M> WayOut<M> {
    /// The connection there is now.
    pub fn now(&self) -> Result<Generation, SendError> {
        match *self.state.borrow() {
            LinkState::Up(generation) => Ok(generation),
            LinkState::Connecting => Err(SendError::LinkDown),
            LinkState::Closed => Err(SendError::Closed),
        }
    }

    /// Waits until there is a connection.
    pub async fn up(&self) -> Result<Generation, SendError> {
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

    pub fn try_send(&self, generation: Generation, message: M) -> Result<(), SendError> {
        self.room(generation).map(|room| room.send((generation, message)))
    }

    /// Room for a message to this connection, if there is some now.
    pub fn room(&self, generation: Generation) -> Result<mpsc::Permit<'_, (Generation, M)>, SendError> {
        self.check(generation)?;
        self.queue.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => SendError::Full,
            mpsc::error::TrySendError::Closed(()) => SendError::Closed,
        })
    }

    /// Waits for room in the queue; the message is given back if its connection is lost meanwhile.
    pub async fn send(&self, generation: Generation, message: M) -> Result<(), (SendError, M)> {
        if let Err(error) = self.check(generation) {
            return Err((error, message));
        }
        let Ok(room) = self.queue.reserve().await else {
            return Err((SendError::Closed, message));
        };
        // The connection may have been lost while this waited for room.
        if let Err(error) = self.check(generation) {
            return Err((error, message));
        }
        room.send((generation, message));
        Ok(())
    }

    fn check(&self, generation: Generation) -> Result<(), SendError> {
        if self.now()? == generation {
            Ok(())
        } else {
            Err(SendError::LinkDown)
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn counts(&self) -> Counts {
        self.counters.read()
    }
}

/// The user's ends of a link.
pub struct Ends<E, M> {
    pub inbound: Inbox<E>,
    pub way_out: WayOut<M>,
    pub state: watch::Receiver<LinkState>,
    pub closing: Closing,
}

/// The supervisor's ends of a link.
#[derive(Debug)]
pub struct Line<E, M> {
    pub inlet: Inlet<E>,
    pub outbox: mpsc::Receiver<(Generation, M)>,
    pub state: watch::Sender<LinkState>,
    pub counters: Arc<Counters>,
    pub stop: Stop,
}

/// How a link ended: somebody asked for it, or nobody is left who could use it.
pub type End = Option<Ask>;

pub fn line<E, M>(timing: &Timing) -> (Ends<E, M>, Line<E, M>) {
    let (inlet, inbound) = inbox(timing.inbound_messages, timing.inbound_bytes);
    let (queue, outbox) = mpsc::channel(timing.outbound_messages.max(1));
    let (set_state, state) = watch::channel(LinkState::Connecting);
    let (closing, stop) = closing();
    let counters = Arc::new(Counters::default());
    let way_out = WayOut {
        queue,
        state: state.clone(),
        counters: counters.clone(),
    };
    let line = Line {
        inlet,
        outbox,
        state: set_state,
        counters,
        stop,
    };
    (
        Ends {
            inbound,
            way_out,
            state,
            closing,
        },
        line,
    )
}

impl<E, M> Line<E, M> {
    /// Waits, without a connection, for the end of the link; meanwhile drops what was meant for lost connections.
    pub async fn interrupted(&mut self) -> End {
        loop {
            tokio::select! {
                stale = self.outbox.recv() => match stale {
                    Some(_) => self.counters.gone(1),
                    None => return None,
                },
                () = self.inlet.closed() => return None,
                ask = self.stop.asked() => return Some(ask),
            }
        }
    }

    /// Notes that the connection is lost, and drops what waited for it.
    pub fn lost(&mut self) {
        self.state.send_replace(LinkState::Connecting);
        // Ends, because nothing new is taken for a connection that is not up.
        while self.outbox.try_recv().is_ok() {
            self.counters.gone(1);
        }
    }

    /// Puts an event into the inbox, unless the link ends first.
    pub async fn tell(&mut self, event: E) -> Result<(), End> {
        tokio::select! {
            room = self.inlet.room() => room.ok_or(None).map(|room| room.put(event, 0)),
            ask = self.stop.asked() => Err(Some(ask)),
        }
    }
}

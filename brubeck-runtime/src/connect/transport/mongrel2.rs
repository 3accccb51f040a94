//! The ends of a link to one Mongrel2 server.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use brubeck_zmtp::link::{Ends, Line, WayOut, line};
use brubeck_zmtp::{Closing, Counts, Generation, Inbox, LinkState, SendError, Timing};

/// What happens at a [`Mongrel2Link`], in order. The generations of one link only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Mongrel2 is there, and is ready for replies.
    Up {
        /// The number of this connection. Mongrel2 may be another run of itself than at the last number, so connection
        /// ids of requests mean something only together with it.
        generation: Generation,
        /// What Mongrel2 subscribed to: a reply must begin with it. Empty if it takes every reply.
        recv_ident: Bytes,
    },
    /// Mongrel2 sent a request or a notice.
    Message {
        /// The connection it came on.
        generation: Generation,
        /// The message.
        bytes: Bytes,
    },
    /// The connection is lost, and with it everything that belonged to it. A new one is being made.
    Down {
        /// Its number.
        generation: Generation,
        /// Why, for the log.
        reason: String,
    },
}

/// A supervised connection to one Mongrel2 (PULL for the requests, XPUB for the replies).
///
/// It comes up only once Mongrel2 has subscribed to the replies, so the first reply is not lost. Requests go on coming in
/// while a reply waits for Mongrel2 to read it.
#[derive(Debug)]
pub struct Mongrel2Link {
    /// What happens. Dropping it closes the link.
    pub inbound: Inbox<LinkEvent>,
    /// Replies. Dropping all clones closes the link.
    pub outbound: Mongrel2Outbox,
    /// Whether there is a connection now.
    pub state: watch::Receiver<LinkState>,
    /// Shuts the link down.
    pub closing: Closing,
}

/// A link, and what carries it, which ends with it: nothing moves unless that is polled.
pub type Carried = (Mongrel2Link, BoxFuture<'static, ()>);

impl Mongrel2Link {
    /// Sends what was accepted, for at most `linger`, then closes. Returns whether everything left in time.
    ///
    /// Requests that come in meanwhile are still put into the inbox, as far as there is room.
    pub async fn shutdown(self, linger: Duration) -> bool {
        self.closing.shutdown(linger).await
    }
}

/// The sending end of a [`Mongrel2Link`].
#[derive(Clone, Debug)]
pub struct Mongrel2Outbox {
    way_out: WayOut<Bytes>,
}

impl Mongrel2Outbox {
    /// Hands a reply over to the connection its request came on; waits for room while Mongrel2 is slow.
    ///
    /// After a restart of Mongrel2 the same connection id may belong to another browser. So a reply is dropped, and
    /// counted as gone, unless its generation is the one that is up.
    ///
    /// # Errors
    /// [`SendError::LinkDown`] if that connection is lost, and [`SendError::Closed`].
    pub async fn send(&self, generation: Generation, reply: Bytes) -> Result<(), SendError> {
        let sent = self
            .way_out
            .send(generation, reply)
            .await
            .map_err(|(error, _)| error);
        self.noted(sent)
    }

    /// Hands a reply over if there is room now.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Full`].
    pub fn try_send(&self, generation: Generation, reply: Bytes) -> Result<(), SendError> {
        self.try_send_noted(generation, reply, || {})
    }

    /// The same; `note` is called before anybody can see that the reply was sent.
    pub(crate) fn try_send_noted(
        &self,
        generation: Generation,
        reply: Bytes,
        note: impl FnOnce(),
    ) -> Result<(), SendError> {
        let room = self.noted(self.way_out.room(generation))?;
        note();
        room.send((generation, reply));
        Ok(())
    }

    fn noted<T>(&self, sent: Result<T, SendError>) -> Result<T, SendError> {
        if let Err(SendError::LinkDown) = sent {
            self.way_out.counters().gone(1);
        }
        sent
    }

    /// What became of the replies so far.
    pub fn counts(&self) -> Counts {
        self.way_out.counts()
    }
}

pub(crate) fn mongrel2(timing: &Timing) -> (Mongrel2Link, Line<LinkEvent, Bytes>) {
    let (
        Ends {
            inbound,
            way_out,
            state,
            closing,
        },
        line,
    ) = line(timing);
    (
        Mongrel2Link {
            inbound,
            outbound: Mongrel2Outbox { way_out },
            state,
            closing,
        },
        line,
    )
}

#[cfg(test)]
mod tests;

//! The way of a service to its callers.

use brubeck_zmtp::{Peer, ServerSender};
use bytes::Bytes;
use std::collections::VecDeque;

/// The way to the socket, in order: what does not fit into its queue waits here, and the core bounds how much
/// that is for each caller.
pub(super) struct Outlet {
    outbound: ServerSender,
    waiting: VecDeque<(Peer, Vec<Bytes>)>,
    flushing: bool,
}

impl Outlet {
    pub(super) fn new(outbound: ServerSender) -> Outlet {
        Outlet {
            outbound,
            waiting: VecDeque::new(),
            flushing: false,
        }
    }

    /// Sends, or keeps it for later; `true` asks for somebody who sends [what is left](Outlet::left).
    pub(super) fn send(&mut self, peer: Peer, frames: Vec<Bytes>) -> bool {
        let waits = match self.flushing {
            true => Some((peer, frames)),
            false => match self.outbound.try_send_or_return(peer, frames) {
                Err(given_back) => given_back,
                Ok(()) => None,
            },
        };
        let Some(waits) = waits else { return false };
        self.waiting.push_back(waits);
        !std::mem::replace(&mut self.flushing, true)
    }

    pub(super) fn cut(&mut self, peer: Peer) {
        self.waiting.retain(|(waiting, _)| *waiting != peer);
        let outbound = self.outbound.clone();
        tokio::spawn(async move { outbound.disconnect(peer).await });
    }

    /// What has waited longest, and the way it is to go; `None` ends the sending.
    pub(super) fn left(&mut self) -> Option<(ServerSender, Peer, Vec<Bytes>)> {
        let left = self.waiting.pop_front();
        self.flushing = left.is_some();
        left.map(|(peer, frames)| (self.outbound.clone(), peer, frames))
    }
}

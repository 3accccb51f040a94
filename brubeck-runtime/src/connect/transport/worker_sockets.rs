//! The PULL and the ROUTER behind a [`Worker`](super::Worker), and who replaces them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout};
use zeromq::{PullSocket, RouterSocket, Socket, SocketEvent, SocketRecv, ZmqError, ZmqMessage};

use super::crate_sockets::{self as socket, Monitor, Pull, Sent, connecting, reason, send_now, written};
use super::worker::WorkerDriver;
use brubeck_zmtp::limits::{BATCH, LINGER};
use brubeck_zmtp::link::End;
use brubeck_zmtp::link::reconnect::{Backoff, GOOD};
use brubeck_zmtp::server::Outgoing;
use brubeck_zmtp::server::peers::size;
use brubeck_zmtp::{Endpoint, Generation, LinkState, Peer, Timing};

/// How long an answer waits for its client to be connected again.
const HELD: Duration = Duration::from_secs(5);

/// Answers that wait, and their bytes; beyond this the oldest go.
const HELD_MESSAGES: usize = 1024;
const HELD_BYTES: usize = 16 << 20;

/// Keeps one connection to a client until the link is closed. Runs on the I/O thread.
pub(crate) async fn supervise(requests: Endpoint, responses: Endpoint, timing: Timing, driver: WorkerDriver) {
    let mut worker = Worker {
        requests: requests.to_string(),
        responses: responses.to_string(),
        timing,
        driver,
        generation: 0,
        held: Held::default(),
    };
    let (end, all_left) = worker.keep_connected().await;
    worker.driver.state.send_replace(LinkState::Closed);
    if let Some(ask) = end {
        ask.done(all_left);
    }
}

struct Worker {
    requests: String,
    responses: String,
    timing: Timing,
    driver: WorkerDriver,
    generation: Generation,
    held: Held,
}

/// One connection.
struct Sockets {
    router: RouterSocket,
    router_monitor: Monitor,
    pull: Pull,
    pull_monitor: Monitor,
}

impl Worker {
    /// Works until the link ends. Tells also whether all that was accepted has left.
    async fn keep_connected(&mut self) -> (End, bool) {
        let mut backoff = Backoff::new(self.timing.backoff_min, self.timing.backoff_max);
        let mut warned = false;
        loop {
            let connect = connect(self.requests.clone(), self.responses.clone(), self.timing.connect);
            let attempt = tokio::select! {
                attempt = connect => attempt,
                end = self.interrupted() => return (end, self.held.is_empty()),
            };
            match attempt {
                Ok(sockets) => {
                    warned = false;
                    let since = Instant::now();
                    if let Some(end) = self.live(sockets).await {
                        return end;
                    }
                    if since.elapsed() >= GOOD {
                        backoff.reset();
                    }
                }
                Err(reason) if !warned => {
                    warned = true;
                    tracing::warn!(requests = %self.requests, reason, "no connection to the client; trying on");
                }
                Err(reason) => {
                    tracing::debug!(requests = %self.requests, reason, "still no connection to the client");
                }
            }
            let wait = backoff.next();
            tokio::select! {
                () = sleep(wait) => {}
                end = self.interrupted() => return (end, self.held.is_empty()),
            }
        }
    }

    /// Waits, without a connection, for the end of the link; meanwhile keeps what is to be sent.
    async fn interrupted(&mut self) -> End {
        let WorkerDriver {
            inlet,
            outbox,
            stop,
            counters,
            ..
        } = &mut self.driver;
        loop {
            tokio::select! {
                outgoing = outbox.recv() => match outgoing {
                    Some(Outgoing::Message { peer, frames }) => counters.gone(self.held.keep(peer, frames)),
                    Some(Outgoing::Cut { .. }) => {}
                    None => return None,
                },
                () = inlet.closed() => return None,
                ask = stop.asked() => return Some(ask),
            }
        }
    }

    /// Lives one connection; gives the end of the link if that came, `None` if only the connection was lost.
    async fn live(&mut self, mut sockets: Sockets) -> Option<(End, bool)> {
        self.generation += 1;
        self.driver.state.send_replace(LinkState::Up(self.generation));
        tracing::info!(requests = %self.requests, generation = self.generation, "connected to the client");
        // What waits is for this client, or for one that will not come back.
        for (peer, frames) in self.held.take() {
            if self.send(&mut sockets.router, &peer, frames).is_err() {
                self.driver.counters.gone(1);
            }
        }
        match self.serve(&mut sockets).await {
            Err(reason) => {
                self.driver.state.send_replace(LinkState::Connecting);
                tracing::warn!(requests = %self.requests, reason, "the connection to the client is lost; making a new one");
                None
            }
            Ok(end) => {
                let limit = end.as_ref().map_or(LINGER, |ask| ask.linger);
                let all_left = self.close(sockets, limit).await;
                Some((end, all_left))
            }
        }
    }

    /// Carries requests and answers until the link ends; fails, with the reason, if the connection is lost first.
    async fn serve(&mut self, sockets: &mut Sockets) -> Result<End, String> {
        let inlet = self.driver.inlet.clone();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let receive = async {
                let room = inlet.room().await?;
                Some((room, sockets.pull.0.recv().await))
            };
            tokio::select! {
                received = receive => match received {
                    Some((room, Ok(message))) => {
                        let frames = message.into_vec();
                        let bytes = size(&frames);
                        room.put(frames, bytes);
                    }
                    Some((_, Err(error))) => return Err(reason(&error)),
                    None => return Ok(None),
                },
                taken = self.driver.outbox.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return Ok(None);
                    }
                    for outgoing in batch.drain(..) {
                        self.carry_out(&mut sockets.router, outgoing);
                    }
                    // Without this a busy outbox would starve every other task of the thread.
                    tokio::task::yield_now().await;
                }
                // Clients send nothing here, but only who reads notices that they are gone.
                received = sockets.router.recv() => if let Err(error) = received {
                    return Err(reason(&error));
                },
                () = disconnected(&mut sockets.router_monitor) => return Err("it closed the connection for answers".into()),
                () = disconnected(&mut sockets.pull_monitor) => return Err("it closed the connection for requests".into()),
                // A receive that waits for the client does not notice this.
                () = inlet.closed() => return Ok(None),
                ask = self.driver.stop.asked() => return Ok(Some(ask)),
            }
        }
    }

    fn carry_out(&mut self, router: &mut RouterSocket, outgoing: Outgoing) {
        // One client is all there is to cut, and its socket goes when its connection does.
        if let Outgoing::Message { peer, frames } = outgoing
            && let Err(frames) = self.send(router, &peer, frames)
        {
            let dropped = self.held.keep(peer, frames);
            self.driver.counters.gone(dropped);
        }
    }

    /// Sends one answer; gives it back if its client is not connected.
    fn send(&self, router: &mut RouterSocket, peer: &Peer, frames: Vec<Bytes>) -> Result<(), Vec<Bytes>> {
        let Ok(mut message) = ZmqMessage::try_from(frames.clone()) else {
            return Ok(());
        };
        message.push_front(peer.identity().clone());
        match send_now(router, message) {
            Sent::Yes => self.driver.counters.sent(),
            Sent::Gone => return Err(frames),
            Sent::Stalled => {
                self.driver.counters.stalled();
                tracing::warn!(?peer, "cutting off a client that does not read its answers");
                if let Ok(identity) = peer.identity().clone().try_into() {
                    router.backend().peer_disconnected(&identity);
                }
            }
        }
        Ok(())
    }

    /// Sends what was accepted, then lets the sockets go. Returns whether all of it left the process.
    async fn close(&mut self, mut sockets: Sockets, limit: Duration) -> bool {
        self.driver.outbox.close();
        let mut batch = Vec::with_capacity(BATCH);
        while self.driver.outbox.recv_many(&mut batch, BATCH).await > 0 {
            for outgoing in batch.drain(..) {
                self.carry_out(&mut sockets.router, outgoing);
            }
            tokio::task::yield_now().await;
        }
        let Sockets {
            router,
            mut router_monitor,
            ..
        } = sockets;
        drop(router);
        timeout(limit, written(&mut router_monitor)).await.is_ok() && self.held.is_empty()
    }
}

/// Answers whose client is not connected.
#[derive(Default)]
struct Held {
    answers: VecDeque<(Instant, Peer, Vec<Bytes>)>,
    bytes: usize,
}

impl Held {
    /// Keeps one more; returns how many were dropped for it, or because they had waited long enough.
    fn keep(&mut self, peer: Peer, frames: Vec<Bytes>) -> usize {
        let now = Instant::now();
        self.bytes += size(&frames);
        self.answers.push_back((now, peer, frames));
        let mut dropped = 0;
        while let Some((since, ..)) = self.answers.front()
            && (now.duration_since(*since) >= HELD
                || self.answers.len() > HELD_MESSAGES
                || self.bytes > HELD_BYTES)
        {
            if let Some((_, _, frames)) = self.answers.pop_front() {
                self.bytes -= size(&frames);
                dropped += 1;
            }
        }
        dropped
    }

    fn take(&mut self) -> Vec<(Peer, Vec<Bytes>)> {
        self.bytes = 0;
        let fresh = |since: &Instant| since.elapsed() < HELD;
        self.answers
            .drain(..)
            .filter(|(since, ..)| fresh(since))
            .map(|(_, peer, frames)| (peer, frames))
            .collect()
    }

    fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

/// Waits until the socket loses its connection.
async fn disconnected(monitor: &mut Monitor) {
    while let Some(event) = monitor.next().await {
        if let SocketEvent::Disconnected(_) = event {
            return;
        }
    }
}

/// Connects the answers first: a request that came before the client is known for them could not be answered.
async fn connect(requests: String, responses: String, limit: Duration) -> Result<Sockets, String> {
    let failed = |address: &str, error: ZmqError| format!("{address}: {error}");
    let options = || connecting(limit).map_err(|error| error.to_string());
    let mut router = RouterSocket::with_options(options()?);
    let router_monitor = socket::monitor(&mut router);
    router
        .connect(&responses)
        .await
        .map_err(|error| failed(&responses, error))?;
    let mut pull = Pull(PullSocket::with_options(options()?));
    let pull_monitor = socket::monitor(&mut pull.0);
    pull.0
        .connect(&requests)
        .await
        .map_err(|error| failed(&requests, error))?;
    Ok(Sockets {
        router,
        router_monitor,
        pull,
        pull_monitor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_are_held_for_a_while_and_within_bounds() {
        let mut held = Held::default();
        let peer = || Peer::new("client");
        let large = Bytes::from(vec![0; HELD_BYTES / 2]);
        assert_eq!(held.keep(peer(), vec![large.clone()]), 0);
        assert_eq!(held.keep(peer(), vec![large.clone()]), 0);
        assert_eq!(held.keep(peer(), vec![large]), 1);
        assert_eq!(held.take().len(), 2);
        for _ in 0..HELD_MESSAGES {
            assert_eq!(held.keep(peer(), vec![Bytes::new()]), 0);
        }
        assert_eq!(held.keep(peer(), vec![Bytes::new()]), 1);
        tokio::time::advance(HELD).await;
        assert_eq!(held.keep(peer(), vec![Bytes::new()]), HELD_MESSAGES);
        tokio::time::advance(HELD).await;
        assert!(held.take().is_empty());
        assert!(held.is_empty());
    }
}

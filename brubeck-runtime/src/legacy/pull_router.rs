//! The service's sockets in the `Pypi` dialects: a `PULL` for requests and a `ROUTER` for responses.
//!
//! The service connects both sockets, which are those of the `zeromq` crate, to a client that binds.

use std::collections::VecDeque;
use std::time::Duration;

use brubeck_zmtp::{
    ConnectError, ConnectionOutcome, Connector, Endpoint, EventReceiver, EventSender, Generation, LinkConfig,
    LinkHandler, LinkSettings, LinkState, OutgoingQueue, RoutingId, ServerCommand, ServerSender,
    ShutdownHandle, ShutdownReason, ShutdownSignal, TransportError, event_queue, message_size, run_link,
    shutdown_channel,
};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use zeromq::{PullSocket, RouterSocket, Socket, SocketRecv, ZmqMessage};

use super::io_thread;
use super::zeromq_sockets::{
    Monitor, Pull, SendNowResult, all_written, disconnected, error_text, monitor, options, send_now,
};

/// Maximum number of messages taken from the send queue before the task yields.
const BATCH: usize = 64;

/// Maximum time that a response waits for its client to reconnect.
const MAX_HOLD_TIME: Duration = Duration::from_secs(5);

/// Limits on the responses that wait for their client. Beyond a limit, the oldest responses are dropped.
const MAX_HELD_RESPONSES: usize = 1024;
const MAX_HELD_BYTES: usize = 16 << 20;

/// A supervised connection to a client that binds.
///
/// The `ROUTER` connects before the `PULL`, so that the first request can be answered. A response waits for up to
/// [`MAX_HOLD_TIME`] if its client is not connected.
#[derive(Debug)]
pub(crate) struct PullRouterService {
    /// Receives requests, each as its frames. Dropping the receiver closes the link.
    pub(crate) inbound: EventReceiver<Vec<Bytes>>,
    /// Responses, addressed by the identity of the client. Dropping all clones closes the link.
    pub(crate) outbound: ServerSender,
    shutdown: ShutdownHandle,
}

impl PullRouterService {
    /// Sends the accepted responses for at most `linger`, then closes the link. Returns `false` if the time was too short, or if a
    /// response waits for a client that is not connected.
    pub(crate) async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

/// Connects to the client that binds `requests` and `responses`, in the background, as soon as the client is running.
///
/// # Errors
/// Returns an error if an endpoint is malformed or only valid for binding, or if the I/O thread cannot be started. It is not
/// an error if the client is not running yet.
pub(crate) fn connect_pull_router(
    requests: Endpoint,
    responses: Endpoint,
    config: &LinkConfig,
) -> Result<PullRouterService, TransportError> {
    open(requests, responses, config).map(|(service, _)| service)
}

/// Connects a service. Also returns the state of its link.
pub(super) fn open(
    requests: Endpoint,
    responses: Endpoint,
    config: &LinkConfig,
) -> Result<(PullRouterService, watch::Receiver<LinkState>), TransportError> {
    requests.check_connect()?;
    responses.check_connect()?;
    let (sender, inbound) = event_queue(config.inbound_messages, config.inbound_bytes);
    let (outbound, queue) = ServerSender::to_queue();
    let (set_state, state) = watch::channel(LinkState::Connecting);
    let (shutdown, signal) = shutdown_channel();
    let mut settings = LinkSettings::new(format!("client {requests} {responses}"), config, set_state);
    // One attempt connects two sockets.
    settings.connect_timeout = 2 * config.connect_timeout;
    let connector = PullRouterConnector {
        requests: requests.to_string(),
        responses: responses.to_string(),
        connect_timeout: config.connect_timeout,
    };
    let handler = PullRouterHandler {
        inbound: sender,
        queue,
        shutdown: signal,
        held: HeldResponses::default(),
    };
    io_thread::spawn(run_link(settings, connector, handler))?;
    let service = PullRouterService {
        inbound,
        outbound,
        shutdown,
    };
    Ok((service, state))
}

struct PullRouterConnector {
    requests: String,
    responses: String,
    connect_timeout: Duration,
}

/// The two sockets of one connection.
struct Sockets {
    router: RouterSocket,
    router_monitor: Monitor,
    pull: Pull,
    pull_monitor: Monitor,
}

impl Connector for PullRouterConnector {
    type Connection = Sockets;

    /// Connects the `ROUTER` first. A request that arrived before could not be answered.
    async fn connect(&self) -> Result<Sockets, ConnectError> {
        let Self {
            requests, responses, ..
        } = self;
        let mut router = RouterSocket::with_options(options(self.connect_timeout)?);
        let router_monitor = monitor(&mut router);
        router
            .connect(responses)
            .await
            .map_err(|error| format!("{responses}: {error}"))?;
        let mut pull = Pull(PullSocket::with_options(options(self.connect_timeout)?));
        let pull_monitor = monitor(&mut pull.0);
        pull.0
            .connect(requests)
            .await
            .map_err(|error| format!("{requests}: {error}"))?;
        Ok(Sockets {
            router,
            router_monitor,
            pull,
            pull_monitor,
        })
    }
}

struct PullRouterHandler {
    inbound: EventSender<Vec<Bytes>>,
    queue: OutgoingQueue,
    shutdown: ShutdownSignal,
    held: HeldResponses,
}

impl LinkHandler<Sockets> for PullRouterHandler {
    async fn run_connection(&mut self, mut sockets: Sockets, _: Generation) -> ConnectionOutcome {
        self.send_held(&mut sockets.router);
        match self.serve(&mut sockets).await {
            Ok(reason) => {
                let flushed = self.close(sockets, reason.linger()).await;
                ConnectionOutcome::Shutdown { reason, flushed }
            }
            Err(reason) => ConnectionOutcome::Lost {
                reason,
                responsive: false,
            },
        }
    }

    async fn connection_lost(&mut self, _: Generation, _: String) -> Result<(), ShutdownReason> {
        // Keep the queue: a response belongs to a client, which may reconnect, and not to a connection.
        Ok(())
    }

    /// Waits until the link is shut down. Holds responses until then.
    async fn wait_for_shutdown(&mut self) -> (ShutdownReason, bool) {
        let reason = loop {
            tokio::select! {
                command = self.queue.commands.recv() => match command {
                    Some(ServerCommand::Message { peer, frames }) => self.hold(peer, frames),
                    Some(ServerCommand::Disconnect { .. }) => {}
                    None => break ShutdownReason::Unused,
                },
                () = self.inbound.closed() => break ShutdownReason::Unused,
                reason = self.shutdown.requested() => break reason,
            }
        };
        (reason, self.held.is_empty())
    }
}

impl PullRouterHandler {
    fn hold(&mut self, peer: RoutingId, frames: Vec<Bytes>) {
        let dropped = self.held.push(peer, frames);
        self.queue.counters.record_dropped(dropped);
    }

    /// Sends the held responses on a new connection. Responses for other clients are dropped, because these clients do not return:
    /// a client that restarts has a new identity.
    fn send_held(&mut self, router: &mut RouterSocket) {
        for (peer, frames) in self.held.take() {
            if self.try_send(router, &peer, frames).is_err() {
                self.queue.counters.record_dropped(1);
            }
        }
    }

    /// Transfers requests and responses until the link is shut down. Returns the reason as an error if the connection is lost.
    async fn serve(&mut self, sockets: &mut Sockets) -> Result<ShutdownReason, String> {
        let inbound = self.inbound.clone();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let receive = async {
                let permit = inbound.reserve().await?;
                Some((permit, sockets.pull.0.recv().await))
            };
            tokio::select! {
                received = receive => match received {
                    Some((permit, Ok(message))) => {
                        let frames = message.into_vec();
                        let bytes = message_size(&frames);
                        permit.send(frames, bytes);
                    }
                    Some((_, Err(error))) => return Err(error_text(&error)),
                    None => return Ok(ShutdownReason::Unused),
                },
                count = self.queue.commands.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Ok(ShutdownReason::Unused);
                    }
                    self.send_batch(&mut sockets.router, &mut batch).await;
                }
                // Clients send nothing to the `ROUTER`, but a receive is needed to detect that they disconnected.
                received = sockets.router.recv() => if let Err(error) = received {
                    return Err(error_text(&error));
                },
                () = disconnected(&mut sockets.router_monitor) => {
                    return Err("the client closed the connection for responses".to_owned());
                }
                () = disconnected(&mut sockets.pull_monitor) => {
                    return Err("the client closed the connection for requests".to_owned());
                }
                // `receive` notices a dropped receiver only before it waits for the client.
                () = inbound.closed() => return Ok(ShutdownReason::Unused),
                reason = self.shutdown.requested() => return Ok(reason),
            }
        }
    }

    async fn send_batch(&mut self, router: &mut RouterSocket, batch: &mut Vec<ServerCommand>) {
        for command in batch.drain(..) {
            // `Disconnect` needs no action: the only client is disconnected when the socket is dropped.
            if let ServerCommand::Message { peer, frames } = command
                && let Err(frames) = self.try_send(router, &peer, frames)
            {
                self.hold(peer, frames);
            }
        }
        // Sending never waits, so without a yield, a busy queue would starve the other tasks of this thread.
        tokio::task::yield_now().await;
    }

    /// Sends one response. Returns the response if its client is not connected. If the send queue of the client is full, drops
    /// the response and disconnects the client.
    fn try_send(
        &self,
        router: &mut RouterSocket,
        peer: &RoutingId,
        frames: Vec<Bytes>,
    ) -> Result<(), Vec<Bytes>> {
        let Ok(mut message) = ZmqMessage::try_from(frames.clone()) else {
            // Fails only for a response without frames.
            return Ok(());
        };
        message.push_front(peer.identity().clone());
        match send_now(router, message) {
            SendNowResult::Queued => self.queue.counters.record_sent(1),
            SendNowResult::NotConnected => return Err(frames),
            SendNowResult::QueueFull => {
                self.queue.counters.record_stalled();
                tracing::warn!(?peer, "disconnecting a client that does not read its responses");
                if let Ok(identity) = peer.identity().clone().try_into() {
                    router.backend().peer_disconnected(&identity);
                }
            }
        }
        Ok(())
    }

    /// Sends the accepted responses, then drops the sockets. Returns `false` if `linger` was too short to write them, or if a
    /// response waits for a client that is not connected.
    async fn close(&mut self, mut sockets: Sockets, linger: Duration) -> bool {
        self.queue.commands.close();
        let mut batch = Vec::with_capacity(BATCH);
        while self.queue.commands.recv_many(&mut batch, BATCH).await > 0 {
            self.send_batch(&mut sockets.router, &mut batch).await;
        }
        let Sockets {
            router,
            mut router_monitor,
            ..
        } = sockets;
        // The writing tasks of the `ROUTER` continue after the drop, until everything is written.
        drop(router);
        timeout(linger, all_written(&mut router_monitor)).await.is_ok() && self.held.is_empty()
    }
}

/// Responses that wait for their client to reconnect.
#[derive(Default)]
struct HeldResponses {
    responses: VecDeque<(Instant, RoutingId, Vec<Bytes>)>,
    bytes: usize,
}

impl HeldResponses {
    /// Adds a response. Drops responses that are too old or exceed the limits, and returns their number.
    fn push(&mut self, peer: RoutingId, frames: Vec<Bytes>) -> usize {
        let now = Instant::now();
        self.bytes += message_size(&frames);
        self.responses.push_back((now, peer, frames));
        let mut dropped = 0;
        while let Some((since, ..)) = self.responses.front()
            && (now.duration_since(*since) >= MAX_HOLD_TIME
                || self.responses.len() > MAX_HELD_RESPONSES
                || self.bytes > MAX_HELD_BYTES)
        {
            if let Some((_, _, frames)) = self.responses.pop_front() {
                self.bytes -= message_size(&frames);
                dropped += 1;
            }
        }
        dropped
    }

    /// Removes all responses, and returns those that are not too old.
    fn take(&mut self) -> Vec<(RoutingId, Vec<Bytes>)> {
        self.bytes = 0;
        let fresh = |since: &Instant| since.elapsed() < MAX_HOLD_TIME;
        self.responses
            .drain(..)
            .filter(|(since, ..)| fresh(since))
            .map(|(_, peer, frames)| (peer, frames))
            .collect()
    }

    fn is_empty(&self) -> bool {
        self.responses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn held_responses_are_dropped_by_age_and_limits() {
        let mut held = HeldResponses::default();
        let peer = || RoutingId::new("client");
        let large = Bytes::from(vec![0; MAX_HELD_BYTES / 2]);
        assert_eq!(held.push(peer(), vec![large.clone()]), 0);
        assert_eq!(held.push(peer(), vec![large.clone()]), 0);
        assert_eq!(held.push(peer(), vec![large]), 1);
        assert_eq!(held.take().len(), 2);
        for _ in 0..MAX_HELD_RESPONSES {
            assert_eq!(held.push(peer(), vec![Bytes::new()]), 0);
        }
        assert_eq!(held.push(peer(), vec![Bytes::new()]), 1);
        tokio::time::advance(MAX_HOLD_TIME).await;
        assert_eq!(held.push(peer(), vec![Bytes::new()]), MAX_HELD_RESPONSES);
        tokio::time::advance(MAX_HOLD_TIME).await;
        assert!(held.take().is_empty());
        assert!(held.is_empty());
    }
}

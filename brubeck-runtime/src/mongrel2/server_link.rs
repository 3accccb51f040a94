//! The ZeroMQ connections to one Mongrel2 server: a `PULL` socket for requests and an `XPUB` socket for responses,
//! which are connected, supervised and reconnected together.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use brubeck_zmtp::codec::{Decoded, FrameLimits};
use brubeck_zmtp::{
    ConnectError, ConnectionError, ConnectionOutcome, Connector, Endpoint, EventReceiver, EventSender,
    Generation, LinkConfig, LinkDriver, LinkHandler, LinkSender, LinkSettings, MessageCounters, Role,
    SendError, ShutdownHandle, ShutdownReason, SocketType, Traffic, TransportError, ZmtpConnection,
    link_channel, run_link,
};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// Limit of responses taken from the queue before they are written.
const MAX_WRITE_BATCH: usize = 256;

/// Time for Mongrel2 to send its subscription.
const SUBSCRIPTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits of a message: the largest body that Mongrel2 supports, and its headers. Memory grows with the bytes that
/// have arrived, not with the announced size.
const LIMITS: FrameLimits = FrameLimits {
    max_message_bytes: (1 << 31) + (1 << 20),
    max_frames: 2,
};

const REQUESTS: Role = Role {
    socket_type: SocketType::Pull,
    accepted: &[SocketType::Push],
    limits: LIMITS,
    traffic: Traffic::Inbound,
};

const RESPONSES: Role = Role {
    socket_type: SocketType::XPub,
    accepted: &[SocketType::Sub],
    limits: LIMITS,
    traffic: Traffic::Outbound,
};

/// An event of a [`ServerLink`]. The messages of a connection come after its [`Up`](LinkEvent::Up) and before its
/// [`Down`](LinkEvent::Down), and each connection has a higher generation than the preceding one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// Mongrel2 is connected and receives responses.
    Up {
        /// The number of this connection. Mongrel2 may have been restarted since the previous connection, so the
        /// connection ids in requests are valid only in the same generation.
        generation: Generation,
        /// The topic that Mongrel2 subscribed to: each response must begin with it. Empty if Mongrel2 receives every
        /// response.
        recv_ident: Bytes,
    },
    /// Mongrel2 sent a request or a notice.
    Message {
        /// The number of the connection on which it arrived.
        generation: Generation,
        /// The message.
        bytes: Bytes,
    },
    /// The connection is lost. The link reconnects.
    Down {
        /// The number of the lost connection.
        generation: Generation,
        /// The reason, for the log.
        reason: String,
    },
}

/// A supervised connection to one Mongrel2.
///
/// It is up once Mongrel2 has subscribed to the responses, so the first response is not lost. Requests are received
/// even while a response waits for Mongrel2 to read it.
#[derive(Debug)]
pub(crate) struct ServerLink {
    /// Receives events. Dropping it closes the link.
    pub(crate) inbound: EventReceiver<LinkEvent>,
    /// Sends responses. Dropping all clones closes the link.
    pub(crate) outbound: ServerLinkSender,
    shutdown: ShutdownHandle,
}

impl ServerLink {
    /// Sends the queued responses for at most `linger`, then closes the connections. Returns `true` if all were sent.
    ///
    /// Requests that arrive in the meantime are dropped. They are read as long as there is space in the queue, because
    /// Mongrel2 may not read responses while it sends.
    pub(crate) async fn shutdown(self, linger: Duration) -> bool {
        self.shutdown.shutdown(linger).await
    }
}

/// The sending end of a [`ServerLink`].
#[derive(Clone, Debug)]
pub(crate) struct ServerLinkSender {
    link: LinkSender<Bytes>,
}

impl ServerLinkSender {
    /// Queues a response for the connection of its request. Waits for space if Mongrel2 is slow.
    ///
    /// After a restart of Mongrel2 the same connection id may belong to another client. So a response is dropped and
    /// counted unless `generation` is the current one.
    ///
    /// # Errors
    /// Returns [`SendError::LinkDown`] if that connection is lost, or [`SendError::Closed`] if the link is closed.
    pub(crate) async fn send(&self, generation: Generation, response: Bytes) -> Result<(), SendError> {
        let sent = self.link.send(generation, response).await;
        self.count_dropped(sent.map_err(|(error, _)| error))
    }

    /// Queues a response if there is space now. Calls `before_send` just before it is queued.
    ///
    /// # Errors
    /// Returns the errors of [`send`](Self::send), or [`SendError::Full`] if there is no space.
    pub(crate) fn try_send_with(
        &self,
        generation: Generation,
        response: Bytes,
        before_send: impl FnOnce(),
    ) -> Result<(), SendError> {
        let permit = self.count_dropped(self.link.try_reserve(generation))?;
        before_send();
        permit.send(response);
        Ok(())
    }

    fn count_dropped<T>(&self, sent: Result<T, SendError>) -> Result<T, SendError> {
        if let Err(SendError::LinkDown) = sent {
            self.link.counters().record_dropped(1);
        }
        sent
    }
}

/// Opens a link to a Mongrel2. It receives requests from `send_spec` and sends responses to `recv_spec`; the names
/// are those of Mongrel2's configuration.
///
/// Returns the link and the future that drives it, which completes when the link is closed. The link can be used
/// after [`LinkEvent::Up`].
///
/// # Errors
/// Returns an error if an endpoint is only valid for binding, or not valid at all. It is not an error if Mongrel2 is not
/// running yet.
pub(crate) fn open(
    send_spec: Endpoint,
    recv_spec: Endpoint,
    config: LinkConfig,
) -> Result<(ServerLink, BoxFuture<'static, ()>), TransportError> {
    open_with(send_spec, recv_spec, config, SUBSCRIPTION_TIMEOUT)
}

fn open_with(
    send_spec: Endpoint,
    recv_spec: Endpoint,
    config: LinkConfig,
    subscription_timeout: Duration,
) -> Result<(ServerLink, BoxFuture<'static, ()>), TransportError> {
    send_spec.check_connect()?;
    recv_spec.check_connect()?;
    let (handles, driver, state) = link_channel(&config);
    let mut settings = LinkSettings::new(format!("Mongrel2 {send_spec} {recv_spec}"), &config, state);
    settings.connect_timeout = 2 * config.connect_timeout + subscription_timeout;
    let connector = ServerConnector {
        send_spec,
        recv_spec,
        connect_timeout: config.connect_timeout,
        subscription_timeout,
    };
    let mongrel2 = ServerLink {
        inbound: handles.inbound,
        outbound: ServerLinkSender {
            link: handles.outbound,
        },
        shutdown: handles.shutdown,
    };
    let driven = run_link(settings, connector, ServerLinkHandler { link: driver }).boxed();
    Ok((mongrel2, driven))
}

struct ServerConnector {
    send_spec: Endpoint,
    recv_spec: Endpoint,
    connect_timeout: Duration,
    subscription_timeout: Duration,
}

/// The two connections to a Mongrel2.
struct ServerConnections {
    requests: ZmtpConnection,
    responses: ZmtpConnection,
    recv_ident: Bytes,
}

impl Connector for ServerConnector {
    type Connection = ServerConnections;

    /// Connects to `recv_spec` first, and to `send_spec` once Mongrel2 has subscribed. Otherwise the response to an
    /// early request could be lost.
    async fn connect(&self) -> Result<ServerConnections, ConnectError> {
        let Self {
            send_spec, recv_spec, ..
        } = self;
        let mut responses = self
            .connect_one(recv_spec, &RESPONSES)
            .await
            .map_err(|error| format!("recv_spec {recv_spec}: {error}"))?;
        let recv_ident = self.wait_for_subscription(&mut responses).await.map_err(|error| {
            format!("recv_spec {recv_spec}: {error}; check that it is the address on which Mongrel2 receives responses")
        })?;
        let requests = self
            .connect_one(send_spec, &REQUESTS)
            .await
            .map_err(|error| format!("send_spec {send_spec}: {error}"))?;
        Ok(ServerConnections {
            requests,
            responses,
            recv_ident,
        })
    }
}

impl ServerConnector {
    async fn connect_one(&self, endpoint: &Endpoint, role: &Role) -> Result<ZmtpConnection, ConnectError> {
        Ok(timeout(self.connect_timeout, ZmtpConnection::connect(endpoint, role)).await??)
    }

    /// Waits for the subscription of Mongrel2. Returns its topic.
    async fn wait_for_subscription(&self, responses: &mut ZmtpConnection) -> Result<Bytes, ConnectError> {
        let limit = self.subscription_timeout;
        let subscribed = async {
            loop {
                let mut frame = responses.recv().await?.into_iter().next().unwrap_or_default();
                // A subscription is a 1, followed by its topic.
                if frame.first() == Some(&1) {
                    return Ok(frame.split_off(1));
                }
            }
        };
        timeout(limit, subscribed)
            .await
            .unwrap_or_else(|_| Err(format!("Mongrel2 did not subscribe within {limit:?}").into()))
    }
}

struct ServerLinkHandler {
    link: LinkDriver<LinkEvent, Bytes>,
}

impl LinkHandler<ServerConnections> for ServerLinkHandler {
    async fn run_connection(
        &mut self,
        connections: ServerConnections,
        generation: Generation,
    ) -> ConnectionOutcome {
        let up = LinkEvent::Up {
            generation,
            recv_ident: connections.recv_ident.clone(),
        };
        if let Err(reason) = self.link.emit(up).await {
            return ConnectionOutcome::Shutdown {
                reason,
                flushed: true,
            };
        }
        match self.serve(connections, generation).await {
            Ok((reason, flushed)) => ConnectionOutcome::Shutdown { reason, flushed },
            Err(error) => ConnectionOutcome::Lost {
                reason: error.to_string(),
                responsive: false,
            },
        }
    }

    async fn connection_lost(
        &mut self,
        generation: Generation,
        reason: String,
    ) -> Result<(), ShutdownReason> {
        self.link.drop_outbound();
        self.link.emit(LinkEvent::Down { generation, reason }).await
    }

    async fn wait_for_shutdown(&mut self) -> (ShutdownReason, bool) {
        (self.link.wait_for_shutdown().await, true)
    }
}

impl ServerLinkHandler {
    /// Carries requests and responses until the link ends. Returns the reason, with `true` if everything was sent.
    ///
    /// # Errors
    /// Returns an error if the connection is lost.
    async fn serve(
        &mut self,
        connections: ServerConnections,
        generation: Generation,
    ) -> Result<(ShutdownReason, bool), ConnectionError> {
        let ServerConnections {
            mut requests,
            mut responses,
            ..
        } = connections;
        let LinkDriver {
            inbound,
            outbound,
            counters,
            shutdown,
        } = &mut self.link;
        let stop_accepting = Notify::new();
        // Requests and responses have separate loops to avoid a deadlock: Mongrel2 does not read responses while it
        // waits for this process to read a notice. So requests must be read even while a response cannot be written.
        let mut receive = pin!(receive_requests(inbound, &mut requests, generation));
        let mut send = pin!(send_responses(
            outbound,
            &mut responses,
            generation,
            counters,
            &stop_accepting
        ));
        let reason = tokio::select! {
            error = &mut receive => return Err(error),
            sent = &mut send => return sent.map(|()| (ShutdownReason::Unused, true)),
            () = inbound.closed() => ShutdownReason::Unused,
            reason = shutdown.requested() => reason,
        };
        stop_accepting.notify_one();
        let flushed = tokio::select! {
            sent = &mut send => sent.is_ok(),
            _ = &mut receive => false,
            () = sleep(reason.linger()) => false,
        };
        Ok((reason, flushed))
    }
}

/// Receives requests until the connection fails. Returns the error.
async fn receive_requests(
    inbound: &EventSender<LinkEvent>,
    requests: &mut ZmtpConnection,
    generation: Generation,
) -> ConnectionError {
    loop {
        let Some(permit) = inbound.reserve().await else {
            // The receiver was dropped. `ServerLinkHandler::serve` handles this.
            return pending().await;
        };
        match requests.recv().await {
            Ok(frames) => match <[Bytes; 1]>::try_from(frames) {
                Ok([bytes]) => {
                    let size = bytes.len();
                    permit.send(LinkEvent::Message { generation, bytes }, size);
                }
                Err(frames) => tracing::warn!(
                    frames = frames.len(),
                    "dropped a multipart message; Mongrel2 sends single frames, check that send_spec is its address"
                ),
            },
            Err(error) => return error,
        }
    }
}

/// Sends responses until all senders are dropped. After `stop_accepting`, sends the queued responses and returns.
async fn send_responses(
    outbound: &mut mpsc::Receiver<(Generation, Bytes)>,
    responses: &mut ZmtpConnection,
    generation: Generation,
    counters: &MessageCounters,
    stop_accepting: &Notify,
) -> Result<(), ConnectionError> {
    let ZmtpConnection { reader, writer } = responses;
    let mut batch = Vec::new();
    let mut unwritten = Unwritten {
        counters,
        responses: 0,
    };
    loop {
        let writing = !writer.is_empty();
        tokio::select! {
            // No timeout is needed: a slow Mongrel2 delays only its own responses.
            written = writer.write(None), if writing => {
                written?;
                if writer.is_empty() {
                    unwritten.record_written();
                }
            }
            count = outbound.recv_many(&mut batch, MAX_WRITE_BATCH), if !writing => {
                if count == 0 {
                    return writer.shutdown().await;
                }
                for (response_generation, response) in batch.drain(..) {
                    if response_generation == generation {
                        writer.push_frame(response);
                        unwritten.responses += 1;
                    } else {
                        counters.record_dropped(1);
                    }
                }
            }
            // The read side detects that Mongrel2 closed the connection, and answers heartbeats.
            decoded = reader.next(), if writer.accepts_pongs() => match decoded? {
                Decoded::Message(frames) => {
                    let subscription = frames.into_iter().next().unwrap_or_default();
                    tracing::debug!(subscription = %subscription.escape_ascii(), "Mongrel2 changed its subscription");
                }
                Decoded::Ping { pong } => writer.push_pong(&pong),
            },
            () = stop_accepting.notified() => outbound.close(),
        }
    }
}

/// Counts the responses in the write buffer. Records them as sent once they are written, and as dropped if this is dropped
/// first: because the connection failed, or the time for a shutdown was over.
struct Unwritten<'a> {
    counters: &'a MessageCounters,
    responses: usize,
}

impl Unwritten<'_> {
    fn record_written(&mut self) {
        self.counters.record_sent(std::mem::take(&mut self.responses));
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        self.counters.record_dropped(self.responses);
    }
}

#[cfg(test)]
mod tests;

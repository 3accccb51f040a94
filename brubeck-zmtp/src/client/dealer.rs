//! The `DEALER` of a [`DealerClient`](crate::DealerClient).

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::{ClientDriver, LastError};
use crate::codec::{Decoded, FrameLimits, SocketType};
use crate::connection::{ConnectionError, FrameReader, Role, Traffic, ZmtpConnection, random_identity};
use crate::link::{
    ConnectError, ConnectionOutcome, Connector, LinkDriver, LinkHandler, LinkSettings, ShutdownReason,
    run_link,
};
use crate::listener::PeerStream;
use crate::queue::{EventPermit, EventSender, message_size};
use crate::watchdog::timeout_at;
use crate::{ClientEvent, Endpoint, Generation, LinkConfig, StreamWrapper};

/// Maximum number of messages in one batch: taken from the send queue before a write, or delivered to the user before the
/// task yields.
const BATCH: usize = 256;

/// Keeps a client connected to `endpoint` until it is shut down.
pub(crate) async fn run_client(
    endpoint: Endpoint,
    config: LinkConfig,
    driver: ClientDriver,
    wrapper: Option<Arc<dyn StreamWrapper>>,
) {
    let mut settings = LinkSettings::new(endpoint.to_string(), &config, driver.state);
    settings.is_local = endpoint.is_loopback();
    let role = Role {
        socket_type: SocketType::Dealer,
        accepted: &[SocketType::Router, SocketType::Rep, SocketType::Dealer],
        limits: FrameLimits {
            max_message_bytes: config.max_message_bytes,
            max_frames: config.max_frames,
        },
        traffic: Traffic::Both,
    };
    let handler = DealerHandler {
        link: driver.link,
        disconnected: driver.disconnected,
        last_error: driver.last_error,
        write_stall_timeout: config.write_stall_timeout,
    };
    let connector = DealerConnector {
        endpoint,
        role,
        wrapper,
    };
    run_link(settings, connector, handler).await;
}

struct DealerConnector {
    endpoint: Endpoint,
    role: Role,
    wrapper: Option<Arc<dyn StreamWrapper>>,
}

impl Connector for DealerConnector {
    type Connection = ZmtpConnection;

    async fn connect(&self) -> Result<ZmtpConnection, ConnectError> {
        let Some(wrapper) = &self.wrapper else {
            return Ok(ZmtpConnection::connect(&self.endpoint, &self.role).await?);
        };
        let stream = wrapper
            .connect(PeerStream::connect(&self.endpoint).await?, &self.endpoint)
            .await?;
        ZmtpConnection::handshake(stream, &self.role, random_identity()?.as_bytes())
            .await
            .map_err(|error| wrapper.explain(error).into())
    }
}

struct DealerHandler {
    link: LinkDriver<ClientEvent, Vec<Bytes>>,
    disconnected: watch::Receiver<Generation>,
    last_error: Arc<LastError>,
    write_stall_timeout: Duration,
}

impl LinkHandler<ZmtpConnection> for DealerHandler {
    async fn run_connection(
        &mut self,
        connection: ZmtpConnection,
        generation: Generation,
    ) -> ConnectionOutcome {
        self.last_error.set(None);
        let mut dealer = Dealer::new(self, connection, generation);
        let ended = match dealer.link.emit(ClientEvent::Up { generation }).await {
            Ok(()) => dealer.serve().await,
            Err(reason) => Ok(reason),
        };
        match ended {
            Ok(reason) => dealer.finish(reason).await,
            // A server that the user disconnected is no use to it yet, as after a handshake with a wrong passphrase.
            Err(ConnectionError::Abandoned) => ConnectionOutcome::Disconnected,
            Err(error) => ConnectionOutcome::Lost {
                reason: error.to_string(),
                responsive: dealer.server_responded,
            },
        }
    }

    async fn connection_lost(
        &mut self,
        generation: Generation,
        reason: String,
    ) -> Result<(), ShutdownReason> {
        self.link.drop_outbound();
        self.link.emit(ClientEvent::Down { generation, reason }).await
    }

    fn connect_failed(&mut self, error: &ConnectError) {
        self.last_error.set(Some(error.to_string()));
    }

    async fn wait_for_shutdown(&mut self) -> (ShutdownReason, bool) {
        (self.link.wait_for_shutdown().await, true)
    }
}

/// One connection of a client.
struct Dealer<'a> {
    connection: ZmtpConnection,
    generation: Generation,
    link: &'a mut LinkDriver<ClientEvent, Vec<Bytes>>,
    disconnected: &'a mut watch::Receiver<Generation>,
    write_stall_timeout: Duration,
    /// Messages taken from the send queue. Reused for every batch, so that a batch allocates nothing.
    batch: Vec<(Generation, Vec<Bytes>)>,
    /// Number of messages delivered since the last batch was sent.
    delivered_since_send: usize,
    /// `true` once the server has sent anything after the handshake.
    server_responded: bool,
}

impl<'a> Dealer<'a> {
    fn new(handler: &'a mut DealerHandler, connection: ZmtpConnection, generation: Generation) -> Self {
        Self {
            connection,
            generation,
            link: &mut handler.link,
            disconnected: &mut handler.disconnected,
            write_stall_timeout: handler.write_stall_timeout,
            batch: Vec::new(),
            delivered_since_send: 0,
            server_responded: false,
        }
    }

    /// Transfers messages in both directions until the link is shut down. Returns an error if the connection is lost.
    ///
    /// Every future in the `select!` is cancel safe, so the loop can wait for all of them and drop the ones that did not
    /// complete. The send queue is read only while the write buffer is empty: messages then wait in the bounded queue, and
    /// a server that does not read cannot make the buffer grow.
    async fn serve(&mut self) -> Result<ShutdownReason, ConnectionError> {
        // A clone, because a permit borrows the queue while `deliver` borrows `self`.
        let inbound = self.link.inbound.clone();
        loop {
            let ZmtpConnection { reader, writer } = &mut self.connection;
            let write_pending = !writer.is_empty();
            let read_allowed = writer.accepts_pongs();
            tokio::select! {
                received = receive(&inbound, reader), if read_allowed => match received {
                    Some((permit, decoded)) => self.deliver(&inbound, permit, decoded?).await?,
                    None => return Ok(ShutdownReason::Unused),
                },
                written = writer.write(Some(self.write_stall_timeout)), if write_pending => {
                    if matches!(written, Err(ConnectionError::Stalled)) {
                        self.link.counters.record_stalled();
                    }
                    written?;
                }
                count = self.link.outbound.recv_many(&mut self.batch, BATCH), if !write_pending => {
                    if count == 0 {
                        return Ok(ShutdownReason::Unused);
                    }
                    self.send_batch().await;
                }
                () = disconnect_requested(self.disconnected, self.generation) => {
                    return Err(ConnectionError::Abandoned);
                }
                // `receive` notices a dropped receiver only before it waits for the server.
                () = inbound.closed() => return Ok(ShutdownReason::Unused),
                reason = self.link.shutdown.requested() => return Ok(reason),
            }
        }
    }

    /// Delivers `first` and the messages that the reader has buffered, up to [`BATCH`] and as far as the event queue has
    /// space.
    async fn deliver(
        &mut self,
        inbound: &EventSender<ClientEvent>,
        permit: EventPermit<'_, ClientEvent>,
        first: Decoded,
    ) -> Result<(), ConnectionError> {
        self.server_responded = true;
        self.handle(first, permit);
        let mut delivered = 1;
        while delivered < BATCH
            && let Some(permit) = inbound.try_reserve()
            && let Some(decoded) = self.connection.reader.next_buffered()?
        {
            self.handle(decoded, permit);
            delivered += 1;
        }
        self.delivered_since_send += delivered;
        if delivered == BATCH {
            // A server that sends without a pause would otherwise keep this thread busy with this task alone.
            yield_now().await;
        }
        Ok(())
    }

    #[inline]
    fn handle(&mut self, decoded: Decoded, permit: EventPermit<'_, ClientEvent>) {
        match decoded {
            Decoded::Message(frames) => {
                let bytes = message_size(&frames);
                let generation = self.generation;
                permit.send(ClientEvent::Message { generation, frames }, bytes);
            }
            Decoded::Ping { pong } => self.connection.writer.push_pong(&pong),
        }
    }

    /// Moves the batch into the write buffer. If more messages are likely to join the batch, yields once first.
    async fn send_batch(&mut self) {
        // If more messages were delivered than are about to be sent, their receivers are probably runnable and about to
        // send. Yielding once lets their messages join this write; a system call for each would cost more.
        let delivered = std::mem::take(&mut self.delivered_since_send);
        if delivered > self.batch.len() {
            yield_now().await;
            while self.batch.len() < BATCH
                && let Ok(message) = self.link.outbound.try_recv()
            {
                self.batch.push(message);
            }
        }
        self.push_batch();
    }

    /// Moves the batch into the write buffer, and drops messages that were meant for earlier connections.
    fn push_batch(&mut self) {
        for (generation, frames) in self.batch.drain(..) {
            if generation == self.generation {
                self.connection.writer.push_message(frames);
                self.link.counters.record_sent(1);
            } else {
                self.link.counters.record_dropped(1);
            }
        }
    }

    /// Ends the link: sends the accepted messages within the linger time.
    async fn finish(&mut self, reason: ShutdownReason) -> ConnectionOutcome {
        let deadline = Instant::now() + reason.linger();
        let flushed = timeout_at(deadline, self.flush_queue()).await;
        let flushed = flushed.is_ok_and(|flushed| flushed.is_ok());
        if flushed {
            self.connection.reader.discard_until(deadline).await;
        }
        ConnectionOutcome::Shutdown { reason, flushed }
    }

    /// Writes all accepted messages, then closes the sending direction.
    async fn flush_queue(&mut self) -> Result<(), ConnectionError> {
        self.link.outbound.close();
        loop {
            self.connection.writer.flush().await?;
            if self.link.outbound.recv_many(&mut self.batch, BATCH).await == 0 {
                return self.connection.writer.shutdown().await;
            }
            self.push_batch();
        }
    }
}

/// Receives from the server once the event queue has space. Returns `None` if the user has dropped the receiver.
///
/// Space is reserved first, because a message that was read cannot be put back.
#[inline]
async fn receive<'a, R: AsyncRead + Unpin>(
    inbound: &'a EventSender<ClientEvent>,
    reader: &mut FrameReader<R>,
) -> Option<(EventPermit<'a, ClientEvent>, Result<Decoded, ConnectionError>)> {
    let permit = inbound.reserve().await?;
    Some((permit, reader.next().await))
}

/// Waits until the user disconnects the connection of this `generation`.
async fn disconnect_requested(disconnected: &mut watch::Receiver<Generation>, generation: Generation) {
    while disconnected.changed().await.is_ok() {
        if *disconnected.borrow_and_update() == generation {
            return;
        }
    }
    // All senders are dropped. The closed send queue ends the connection.
    pending().await
}

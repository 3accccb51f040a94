//! The `DEALER` of a [`Client`](crate::Client).

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::ClientDriver;
use crate::codec::{Decoded, FrameLimits, SocketType};
use crate::connection::{Connection, ConnectionError, Role, Traffic};
use crate::limits::MAX_FRAMES;
use crate::link::{BoxError, Connector, LinkDriver, LinkHandler, Outcome, RunLink, ShutdownReason, run_link};
use crate::queue::{EventPermit, EventSender, message_size};
use crate::{ClientEvent, Endpoint, Generation, LinkConfig};

/// Messages taken from the queue before they are written, and passed on before other tasks run.
const BATCH: usize = 256;

/// Keeps a client connected to `endpoint` until it is shut down.
pub(crate) async fn run_client(endpoint: Endpoint, config: LinkConfig, driver: ClientDriver) {
    let settings = RunLink::new(endpoint.to_string(), &config, driver.state);
    let role = Role {
        socket_type: SocketType::Dealer,
        accepted: &[SocketType::Router, SocketType::Rep, SocketType::Dealer],
        limits: FrameLimits {
            max_message_bytes: config.max_message_bytes,
            max_frames: MAX_FRAMES,
        },
        traffic: Traffic::Both,
    };
    let handler = DealerHandler {
        link: driver.link,
        disconnected: driver.disconnected,
        write_stall_timeout: config.write_stall_timeout,
    };
    run_link(settings, DealerConnector { endpoint, role }, handler).await;
}

struct DealerConnector {
    endpoint: Endpoint,
    role: Role,
}

impl Connector for DealerConnector {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, BoxError> {
        Ok(Connection::connect(&self.endpoint, &self.role).await?)
    }
}

struct DealerHandler {
    link: LinkDriver<ClientEvent, Vec<Bytes>>,
    disconnected: watch::Receiver<Generation>,
    write_stall_timeout: Duration,
}

impl LinkHandler<Connection> for DealerHandler {
    async fn run_connection(&mut self, connection: Connection, generation: Generation) -> Outcome {
        let mut dealer = Dealer::new(self, connection, generation);
        let end = match dealer.link.emit(ClientEvent::Up { generation }).await {
            Ok(()) => dealer.serve().await,
            Err(reason) => Ok(reason),
        };
        match end {
            Ok(reason) => dealer.finish(reason).await,
            Err(error) => Outcome::Lost {
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

    async fn wait_for_shutdown(&mut self) -> (ShutdownReason, bool) {
        (self.link.wait_for_shutdown().await, true)
    }
}

/// One connection of a client.
struct Dealer<'a> {
    connection: Connection,
    generation: Generation,
    link: &'a mut LinkDriver<ClientEvent, Vec<Bytes>>,
    disconnected: &'a mut watch::Receiver<Generation>,
    write_stall_timeout: Duration,
    /// Messages taken from the queue; kept from batch to batch, so that none allocates.
    batch: Vec<(Generation, Vec<Bytes>)>,
    /// Messages passed to the user since the queue was last emptied.
    received_since_send: usize,
    server_responded: bool,
}

impl<'a> Dealer<'a> {
    fn new(handler: &'a mut DealerHandler, connection: Connection, generation: Generation) -> Self {
        Self {
            connection,
            generation,
            link: &mut handler.link,
            disconnected: &mut handler.disconnected,
            write_stall_timeout: handler.write_stall_timeout,
            batch: Vec::new(),
            received_since_send: 0,
            server_responded: false,
        }
    }

    /// Carries messages until the link ends. Returns an error if the connection is lost first.
    async fn serve(&mut self) -> Result<ShutdownReason, ConnectionError> {
        let inbound = self.link.inbound.clone();
        loop {
            let Connection { reader, writer } = &mut self.connection;
            let writing = !writer.is_empty();
            let reading = writer.accepts_pongs();
            let receive = async {
                // Space first, because what was read cannot be put back.
                let permit = inbound.reserve().await?;
                Some((permit, reader.next().await))
            };
            tokio::select! {
                received = receive, if reading => {
                    let Some((permit, decoded)) = received else {
                        return Ok(ShutdownReason::Unused);
                    };
                    if self.deliver(&inbound, permit, decoded?)? == BATCH {
                        yield_now().await;
                    }
                }
                written = writer.write(Some(self.write_stall_timeout)), if writing => {
                    if let Err(ConnectionError::Stalled) = written {
                        self.link.counters.record_stalled();
                    }
                    written?;
                }
                count = self.link.outbound.recv_many(&mut self.batch, BATCH), if !writing => {
                    if count == 0 {
                        return Ok(ShutdownReason::Unused);
                    }
                    self.collect_follow_ups(count).await;
                    self.push_batch();
                }
                Ok(()) = self.disconnected.changed() => {
                    if *self.disconnected.borrow_and_update() == self.generation {
                        return Err(ConnectionError::Abandoned);
                    }
                }
                // A receive that waits for the server does not notice this.
                () = inbound.closed() => return Ok(ShutdownReason::Unused),
                reason = self.link.shutdown.requested() => return Ok(reason),
            }
        }
    }

    /// Passes on `first` and what else was received already, up to a batch. Returns the number of messages.
    fn deliver(
        &mut self,
        inbound: &EventSender<ClientEvent>,
        permit: EventPermit<'_, ClientEvent>,
        first: Decoded,
    ) -> Result<usize, ConnectionError> {
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
        self.received_since_send += delivered;
        Ok(delivered)
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

    /// Completes a batch of `count` messages.
    ///
    /// If more messages were received than sent, those who received them are about to send. Letting them run first puts
    /// their messages into the same write, which costs less than one write each.
    async fn collect_follow_ups(&mut self, count: usize) {
        if count >= std::mem::take(&mut self.received_since_send) {
            return;
        }
        yield_now().await;
        while self.batch.len() < BATCH
            && let Ok(more) = self.link.outbound.try_recv()
        {
            self.batch.push(more);
        }
    }

    /// Moves the batch into the write buffer, except for messages to earlier connections.
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

    /// Ends the link: sends what was accepted, within the linger time.
    async fn finish(&mut self, reason: ShutdownReason) -> Outcome {
        let deadline = Instant::now() + reason.linger();
        let flushed = timeout_at(deadline, self.flush_queue()).await;
        let flushed = flushed.is_ok_and(|flushed| flushed.is_ok());
        if flushed {
            self.connection.reader.discard_until(deadline).await;
        }
        Outcome::Shutdown { reason, flushed }
    }

    /// Writes everything that was accepted, then closes the sending direction.
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

//! The connection of one peer to a server.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::peers::RegisteredPeer;
use crate::codec::{Decoded, FrameDecoder, FrameLimits, Violation};
use crate::connection::{ConnectionError, FrameReader, FrameWriter};
use crate::listener::HandshakeSlot;
use crate::queue::{BoundedQueue, EventPermit, EventSender, message_size};
use crate::watchdog::{run_deferred_work, sleep_until};
use crate::{LINGER, ServerEvent, ServerLimits};

/// Maximum capacity of the batch buffer between batches, in messages.
const BATCH_CAPACITY: usize = 256;

/// Maximum number of messages delivered before their responses are written. It is small, so that the peer can work on the
/// first responses while the others are computed.
const MESSAGES_PER_TURN: usize = 16;

/// Turns that run before the task yields to other tasks.
const YIELD_BUDGET: usize = 4;

/// Runs the connection of a peer until it is lost, until either side ends it, or until the server is closed.
///
/// [`ServerEvent::Disconnected`] is the last event of the connection. Returns an error unless the peer closed the connection or
/// the server is closed.
pub(super) async fn run_connection<R, W>(
    reader: R,
    writer: W,
    peer: RegisteredPeer,
    pending: Option<PendingAdmission>,
    inbound: &EventSender<ServerEvent>,
    limits: &ServerLimits,
) -> Result<(), ConnectionError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let frame_limits = FrameLimits {
        max_message_bytes: limits.max_message_bytes,
        max_frames: limits.max_frames,
    };
    let mut reader = FrameReader::new(reader, FrameDecoder::new(frame_limits));
    if let Some(pending) = &pending {
        reader.set_limits(FrameLimits {
            max_message_bytes: pending.max_message_bytes,
            ..frame_limits
        });
    }
    let mut connection = PeerConnection {
        reader,
        writer: FrameWriter::new(writer),
        peer,
        pending,
        inbound,
        limits,
        frame_limits,
        blocked: None,
        more_buffered: false,
        yield_budget: YIELD_BUDGET,
        batch: Vec::new(),
        unwritten: BatchSize::default(),
    };
    let ended = connection.serve().await;
    if let Ok(ConnectionEnd::ServerClosed) = ended {
        connection.reader.discard_until(Instant::now() + LINGER).await;
    }
    connection.deliver_rest().await;
    ended.map(drop)
}

/// The state of a peer that is connected and not admitted.
pub(super) struct PendingAdmission {
    /// The connection is closed if the peer is not admitted by then.
    pub(super) deadline: Instant,
    pub(super) slot: HandshakeSlot,
    pub(super) max_message_bytes: usize,
}

impl PendingAdmission {
    /// Waits until the peer is admitted. Returns an error once its time has passed or its slot is given to another peer.
    async fn wait(&self, queue: &BoundedQueue) -> Result<(), ConnectionError> {
        // The queue wakes this task.
        let admitted = poll_fn(|_| {
            if queue.is_admitted() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        tokio::select! {
            biased;
            () = admitted => Ok(()),
            () = self.slot.evicted() => Err(ConnectionError::NotAdmitted),
            () = sleep_until(self.deadline) => Err(ConnectionError::NotAdmitted),
        }
    }
}

/// Waits until a peer is admitted. Waits forever if it is not pending.
async fn admission(pending: Option<&PendingAdmission>, queue: &BoundedQueue) -> Result<(), ConnectionError> {
    match pending {
        Some(pending) => pending.wait(queue).await,
        None => std::future::pending().await,
    }
}

/// The regular end of a connection.
enum ConnectionEnd {
    /// The peer closed the connection, or the user dropped the event receiver.
    PeerClosed,
    /// The server is closing, and all messages to the peer have been written.
    ServerClosed,
}

struct PeerConnection<'a, R, W> {
    reader: FrameReader<R>,
    writer: FrameWriter<W>,
    peer: RegisteredPeer,
    /// `None` once the peer is admitted.
    pending: Option<PendingAdmission>,
    inbound: &'a EventSender<ServerEvent>,
    limits: &'a ServerLimits,
    /// The limits of an admitted peer.
    frame_limits: FrameLimits,
    /// A message that waits for space in the event queue. Messages behind it stay encoded in the read buffer, so that a flood
    /// of small messages needs no more memory than its bytes.
    blocked: Option<Vec<Bytes>>,
    /// `true` if the last turn ended at [`MESSAGES_PER_TURN`], so the reader may have more complete messages.
    more_buffered: bool,
    /// Turns left before the task yields.
    yield_budget: usize,
    /// Messages taken from the queue. Reused for every batch, so that a batch allocates nothing.
    batch: Vec<Vec<Bytes>>,
    /// Size of the messages in the write buffer, which still count against the limits of the queue.
    unwritten: BatchSize,
}

#[derive(Default)]
struct BatchSize {
    messages: usize,
    bytes: usize,
}

impl<R, W> PeerConnection<'_, R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    /// Transfers messages in both directions until the connection ends.
    ///
    /// The loop prefers output to input, and works on its input in turns. A turn delivers at most [`MESSAGES_PER_TURN`]
    /// messages, and handlers that respond at once do so on this task, after the turn. If more messages are buffered, the
    /// responses are written before the next turn begins.
    ///
    /// At most one of the last three branches is enabled at a time:
    ///
    /// * `blocked` is set: wait for space in the event queue.
    /// * `more_buffered` is set: begin the next turn with messages that were received already.
    /// * Otherwise: read from the peer, unless too many `PONG`s are waiting to be written.
    async fn serve(&mut self) -> Result<ConnectionEnd, ConnectionError> {
        loop {
            // The handlers of the last turn, which must not run while the connection is locked.
            run_deferred_work().await;
            let write_pending = !self.writer.is_empty();
            let read_allowed = self.blocked.is_none() && !self.more_buffered && self.writer.accepts_pongs();
            tokio::select! {
                biased;
                () = self.peer.queue.disconnect_requested() => return Err(ConnectionError::Abandoned),
                admitted = admission(self.pending.as_ref(), &self.peer.queue), if self.pending.is_some() => {
                    admitted?;
                    self.end_pending();
                }
                written = self.writer.write(Some(self.limits.write_stall_timeout)), if write_pending => {
                    written?;
                    self.release_written();
                }
                count = self.peer.queue.take(&mut self.batch), if !write_pending => {
                    if count == 0 {
                        self.writer.shutdown().await?;
                        return Ok(ConnectionEnd::ServerClosed);
                    }
                    self.push_batch();
                }
                permit = self.inbound.reserve(), if self.blocked.is_some() => {
                    let (Some(permit), Some(frames)) = (permit, self.blocked.take()) else {
                        return Ok(ConnectionEnd::PeerClosed);
                    };
                    self.emit(permit, frames);
                    self.deliver()?;
                }
                () = next_turn(&mut self.yield_budget), if self.more_buffered && !write_pending => {
                    self.deliver()?;
                },
                count = self.reader.fill(), if read_allowed => {
                    if count? == 0 {
                        return Ok(ConnectionEnd::PeerClosed);
                    }
                    self.deliver()?;
                }
            }
        }
    }

    /// Applies the limits of an admitted peer from now on.
    fn end_pending(&mut self) {
        self.pending = None;
        self.reader.set_limits(self.frame_limits);
    }

    /// Runs one turn: delivers [`MESSAGES_PER_TURN`] buffered messages, or fewer if the buffer has no more or the event queue is
    /// full.
    fn deliver(&mut self) -> Result<(), Violation> {
        let inbound = self.inbound;
        // Handlers may respond on this task while it delivers. The loop looks at the queue before it sleeps, so their
        // responses need not wake it.
        self.peer.queue.set_awake();
        self.more_buffered = false;
        let mut remaining = MESSAGES_PER_TURN;
        while let Some(decoded) = self.reader.next_buffered()? {
            match decoded {
                Decoded::Message(frames) => {
                    let Some(permit) = inbound.try_reserve() else {
                        self.blocked = Some(frames);
                        break;
                    };
                    self.emit(permit, frames);
                    if self.pending.is_some() && self.peer.queue.is_admitted() {
                        self.end_pending();
                    }
                    remaining -= 1;
                    if remaining == 0 {
                        self.more_buffered = true;
                        break;
                    }
                }
                Decoded::Ping { pong } => self.writer.push_pong(&pong),
            }
        }
        Ok(())
    }

    #[inline]
    fn emit(&self, permit: EventPermit<'_, ServerEvent>, frames: Vec<Bytes>) {
        let (peer, bytes) = (self.peer.peer.clone(), message_size(&frames));
        permit.send(ServerEvent::Message { peer, frames }, bytes);
    }

    /// Moves the batch into the write buffer.
    fn push_batch(&mut self) {
        for frames in self.batch.drain(..) {
            self.unwritten.messages += 1;
            self.unwritten.bytes += message_size(&frames);
            self.writer.push_message(frames);
        }
        // Connections of idle peers must not keep large buffers.
        self.batch.shrink_to(BATCH_CAPACITY);
    }

    /// Subtracts the messages from the queue once all of them have been written.
    fn release_written(&mut self) {
        if self.writer.is_empty() {
            let BatchSize { messages, bytes } = std::mem::take(&mut self.unwritten);
            self.peer.queue.release(messages, bytes);
        }
    }

    /// Delivers the messages that were received before the connection ended, then [`ServerEvent::Disconnected`].
    async fn deliver_rest(&mut self) {
        let inbound = self.inbound;
        while self.blocked.is_some() || self.more_buffered {
            if let Some(frames) = self.blocked.take() {
                match inbound.reserve().await {
                    Some(permit) => self.emit(permit, frames),
                    None => return,
                }
            }
            // The valid messages before a violation have been delivered by now.
            if self.deliver().is_err() {
                break;
            }
            yield_now().await;
        }
        if let Some(permit) = inbound.reserve().await {
            let peer = self.peer.peer.clone();
            permit.send(ServerEvent::Disconnected { peer }, 0);
        }
    }
}

/// Waits until the next turn may begin. Yields to other tasks after each [`YIELD_BUDGET`] turns.
async fn next_turn(yield_budget: &mut usize) {
    if *yield_budget == 0 {
        yield_now().await;
        *yield_budget = YIELD_BUDGET;
    }
    *yield_budget -= 1;
}

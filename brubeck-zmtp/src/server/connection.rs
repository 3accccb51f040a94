//! The connection of one peer to a server.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::peers::RegisteredPeer;
use crate::codec::{Decoded, FrameDecoder, FrameLimits, Violation};
use crate::connection::{ConnectionError, FrameReader, FrameWriter};
use crate::queue::{EventPermit, EventSender, message_size};
use crate::{LINGER, ServerEvent, ServerLimits};

/// Capacity that the buffer of taken messages keeps from batch to batch.
const BATCH_CAPACITY: usize = 256;

/// Messages passed on before their answers are written. Small, so that the peer has something to do in the meantime.
const MESSAGES_PER_TURN: usize = 16;

/// Turns before other tasks run.
const YIELD_BUDGET: usize = 4;

/// Serves a peer until it disconnects, breaks a rule, or the server closes. [`ServerEvent::Disconnected`] is its last
/// event.
pub(super) async fn run_connection<R, W>(
    reader: R,
    writer: W,
    peer: RegisteredPeer,
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
    let mut connection = PeerConnection {
        reader: FrameReader::new(reader, FrameDecoder::new(frame_limits)),
        writer: FrameWriter::new(writer),
        peer,
        inbound,
        limits,
        blocked: None,
        undelivered: false,
        yield_budget: YIELD_BUDGET,
        batch: Vec::new(),
        writing: BatchSize::default(),
    };
    let ended = connection.serve().await;
    if let Ok(End::ServerClosed) = ended {
        connection.reader.discard_until(Instant::now() + LINGER).await;
    }
    connection.deliver_rest().await;
    ended.map(drop)
}

/// The regular end of a connection.
enum End {
    PeerClosed,
    /// The server is closing, and everything has been written.
    ServerClosed,
}

struct PeerConnection<'a, R, W> {
    reader: FrameReader<R>,
    writer: FrameWriter<W>,
    peer: RegisteredPeer,
    inbound: &'a EventSender<ServerEvent>,
    limits: &'a ServerLimits,
    /// A message that waits for space in the event queue. What was received after it stays encoded until then: a peer that
    /// sends many small messages gets no more memory than it has sent bytes.
    blocked: Option<Vec<Bytes>>,
    /// `true` if the reader may hold more messages than one turn delivered.
    undelivered: bool,
    /// Turns left before other tasks run.
    yield_budget: usize,
    /// Messages taken from the queue; kept from batch to batch, so that none allocates.
    batch: Vec<Vec<Bytes>>,
    /// Messages in the write buffer, which the queue still counts.
    writing: BatchSize,
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
    async fn serve(&mut self) -> Result<End, ConnectionError> {
        loop {
            let writing = !self.writer.is_empty();
            let reading = self.blocked.is_none() && !self.undelivered && self.writer.accepts_pongs();
            tokio::select! {
                // In this order, because answers must go out before more requests are passed on.
                biased;
                () = self.peer.queue.disconnect_requested() => return Err(ConnectionError::Abandoned),
                written = self.writer.write(Some(self.limits.write_stall_timeout)), if writing => {
                    written?;
                    self.release_written();
                }
                count = self.peer.queue.take(&mut self.batch), if !writing => {
                    if count == 0 {
                        self.writer.shutdown().await?;
                        return Ok(End::ServerClosed);
                    }
                    self.push_batch();
                }
                permit = self.inbound.reserve(), if self.blocked.is_some() => {
                    let (Some(permit), Some(frames)) = (permit, self.blocked.take()) else {
                        return Ok(End::PeerClosed);
                    };
                    self.emit(permit, frames);
                    self.deliver()?;
                }
                () = next_turn(&mut self.yield_budget), if self.undelivered && !writing => self.deliver()?,
                count = self.reader.fill(), if reading => {
                    if count? == 0 {
                        return Ok(End::PeerClosed);
                    }
                    self.deliver()?;
                }
            }
        }
    }

    /// Passes on what was received, for one turn and as far as there is space.
    fn deliver(&mut self) -> Result<(), Violation> {
        let inbound = self.inbound;
        // Handlers run on this task and may answer at once. The queue is looked at before this task sleeps again.
        self.peer.queue.set_awake();
        let mut remaining = MESSAGES_PER_TURN;
        self.undelivered = false;
        while let Some(decoded) = self.reader.next_buffered()? {
            match decoded {
                Decoded::Message(frames) => {
                    let Some(permit) = inbound.try_reserve() else {
                        self.blocked = Some(frames);
                        break;
                    };
                    self.emit(permit, frames);
                    remaining -= 1;
                    if remaining == 0 {
                        self.undelivered = true;
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

    /// Moves what was taken from the queue into the write buffer.
    fn push_batch(&mut self) {
        for frames in self.batch.drain(..) {
            self.writing.messages += 1;
            self.writing.bytes += message_size(&frames);
            self.writer.push_message(frames);
        }
        // Connections of idle peers must not keep large buffers.
        self.batch.shrink_to(BATCH_CAPACITY);
    }

    /// Frees the queue of what the peer has taken.
    fn release_written(&mut self) {
        if self.writer.is_empty() {
            let BatchSize { messages, bytes } = std::mem::take(&mut self.writing);
            self.peer.queue.release(messages, bytes);
        }
    }

    /// Passes on what was received before the end, then the end.
    async fn deliver_rest(&mut self) {
        let inbound = self.inbound;
        while self.blocked.is_some() || self.undelivered {
            if let Some(frames) = self.blocked.take() {
                match inbound.reserve().await {
                    Some(permit) => self.emit(permit, frames),
                    None => return,
                }
            }
            // A violation was preceded by valid messages, which are delivered by now.
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

/// Waits until the next turn may begin.
async fn next_turn(yield_budget: &mut usize) {
    if *yield_budget == 0 {
        yield_now().await;
        *yield_budget = YIELD_BUDGET;
    }
    *yield_budget -= 1;
}

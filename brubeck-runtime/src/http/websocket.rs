//! Drives one WebSocket connection of the embedded server.
//!
//! A [`WebSocketDriver`] shares a task with the handler. It reads frames and queues messages for the handler, and writes the
//! frames that the handler and broadcasts have queued. All queues are bounded in bytes. The queue of outbound frames
//! is also limited to [`OUTBOUND_QUEUE_CAPACITY`] entries:
//!
//! * If the handler does not read, the driver stops reading from the client ([`INBOUND_BUDGET`]).
//! * If the client does not read, the handler waits in [`send`](SocketTransport::send) ([`SEND_BUDGET`]), and a broadcast
//!   disconnects the client ([`BROADCAST_BUDGET`]): one slow client must not delay the others.

use crate::handler::Stop;
use crate::websocket::codec::{FrameError, MessageDecoder, compressed_limit};
use crate::websocket::{
    BroadcastEncoding, BroadcastGroup, ClientId, Close, Closed, Deflate, FrameAction, InboundMessage,
    QueuedMessage, SocketMessage, SocketPeer, SocketTransport, WebSocket, close_frame, message_frame,
    ping_frame,
};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};

/// Limit for messages that wait for the handler, in bytes. It is higher if a single message may be larger.
const INBOUND_BUDGET: usize = 4 << 20;
/// The least that a message takes of [`INBOUND_BUDGET`], in bytes. Bounds the number of tiny messages.
const MIN_INBOUND_COST: usize = 4 << 10;
/// Limit for frames of the handler that wait for the client, in bytes.
const SEND_BUDGET: usize = 256 << 10;
/// Limit for broadcast frames that wait for the client, in bytes.
const BROADCAST_BUDGET: usize = 4 << 20;
/// Limit for the number of frames that wait for the client.
const OUTBOUND_QUEUE_CAPACITY: usize = 1024;
/// Interval of the pings to the client.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Consecutive pings without any frame in return that are tolerated. One more closes the connection, so a silent client is
/// disconnected after four intervals.
const MAX_UNANSWERED_PINGS: u8 = 2;
/// Time for the closing handshake, and again for closing the stream.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Size of the read and write buffers, in bytes.
const BUFFER_SIZE: usize = 16 << 10;

/// Moves messages between the connection of a WebSocket and its handler.
pub(super) struct WebSocketDriver {
    /// To the handler. `None` once the WebSocket is closing.
    inbound: Option<mpsc::Sender<QueuedMessage>>,
    inbound_budget: Arc<Semaphore>,
    outbound: mpsc::Receiver<OutboundFrame>,
    transport: DriverTransport,
    /// The reason of the close, for the handler.
    close_reason: Arc<OnceLock<Close>>,
    max_message: usize,
    deflate: Option<Deflate>,
}

/// The sending side of a WebSocket, for its handler and for broadcasts.
#[derive(Clone)]
struct DriverTransport {
    outbound: mpsc::Sender<OutboundFrame>,
    send_budget: Arc<Semaphore>,
    broadcast_budget: Arc<Semaphore>,
    /// Makes the driver disconnect a client that is too slow for broadcasts.
    disconnect: Arc<Notify>,
    deflate: Option<Deflate>,
}

enum OutboundFrame {
    Frame(
        Bytes,
        #[allow(dead_code, reason = "releases its part of the budget when the frame is sent")]
        OwnedSemaphorePermit,
    ),
    Close(Close),
}

/// Creates a WebSocket for messages of up to `max_message` bytes. Returns the driver of its connection, and the [`WebSocket`] that
/// the handler uses.
pub(super) fn new(max_message: usize, deflate: Option<Deflate>) -> (WebSocketDriver, WebSocket) {
    // The largest message must fit, or the driver would wait for its budget forever. A compressed message may be larger than
    // `max_message`.
    let inbound_budget = INBOUND_BUDGET
        .max(compressed_limit(max_message))
        .min(Semaphore::MAX_PERMITS);
    // Never full: the budget is used up first.
    let (inbound, messages) = mpsc::channel(inbound_budget / MIN_INBOUND_COST + 1);
    let (outbound_sender, outbound) = mpsc::channel(OUTBOUND_QUEUE_CAPACITY);
    let close_reason = Arc::new(OnceLock::new());
    let transport = DriverTransport {
        outbound: outbound_sender,
        send_budget: Arc::new(Semaphore::new(SEND_BUDGET)),
        broadcast_budget: Arc::new(Semaphore::new(BROADCAST_BUDGET)),
        disconnect: Arc::new(Notify::new()),
        deflate,
    };
    let driver = WebSocketDriver {
        inbound: Some(inbound),
        inbound_budget: Arc::new(Semaphore::new(inbound_budget)),
        outbound,
        transport: transport.clone(),
        close_reason: close_reason.clone(),
        max_message,
        deflate,
    };
    let socket = WebSocket::new(messages, close_reason, Arc::new(transport));
    (driver, socket)
}

/// The state of a driver while it runs.
struct DriverState {
    /// A received message that has not acquired its share of the inbound budget. No frame is read until the message is queued for
    /// the handler.
    waiting_message: Option<InboundMessage>,
    /// The time at which the server sent its close frame.
    closing_since: Option<Instant>,
    ping_timer: Interval,
    /// Intervals of the ping timer without a frame from the client.
    silent_intervals: u8,
}

impl DriverState {
    fn new() -> DriverState {
        let mut ping_timer = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping_timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        DriverState {
            waiting_message: None,
            closing_since: None,
            ping_timer,
            silent_intervals: 0,
        }
    }

    fn is_closing(&self) -> bool {
        self.closing_since.is_some()
    }

    /// Returns the part of the inbound budget that the waiting message needs.
    fn inbound_cost(&self) -> u32 {
        let size = self.waiting_message.as_ref().map_or(0, InboundMessage::size);
        u32::try_from(size.max(MIN_INBOUND_COST)).unwrap_or(u32::MAX)
    }
}

/// An event that the driver reacts to.
enum DriverEvent {
    /// A frame of the client, or `None` if the connection is lost.
    Received(Option<FrameAction>),
    /// The waiting message fits into the inbound budget.
    BudgetAcquired(Option<OwnedSemaphorePermit>),
    Outbound(OutboundFrame),
    /// A broadcast found the client too slow.
    Disconnect,
    StopRequested,
    /// The client did not respond to the close frame.
    CloseTimedOut,
    PingDue,
}

impl WebSocketDriver {
    /// Runs the connection until one side closes it, it is lost, or the server stops.
    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin, stop: Stop) {
        let mut stream = FramedStream::new(stream, self.max_message, self.deflate);
        let close = self.exchange_frames(&mut stream, stop).await;
        self.shut_down_queues(close);
        // Closing a TCP connection while the client still sends would reset it, and the client could lose frames that it has
        // not read yet. So close the sending side, and read until the client closes its own.
        let mut stream = stream.into_inner();
        let drain = async {
            stream.shutdown().await?;
            let mut discarded = [0; 4096];
            while stream.read(&mut discarded).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // After the timeout the connection is closed anyway.
        let _ = timeout(CLOSE_TIMEOUT, drain).await;
    }

    /// Closes all queues. Every further send fails; the handler can still receive the messages that are already queued. Sets the
    /// close reason, unless one is already set.
    fn shut_down_queues(&mut self, close: Close) {
        let _ = self.close_reason.set(close);
        self.inbound = None;
        self.transport.send_budget.close();
        self.transport.broadcast_budget.close();
        self.outbound.close();
    }

    /// Exchanges frames with the client until the WebSocket is closed, and returns the reason.
    async fn exchange_frames<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut FramedStream<I>,
        mut stop: Stop,
    ) -> Close {
        let mut state = DriverState::new();
        loop {
            let event = self.next_event(&mut state, stream, &mut stop).await;
            if let ControlFlow::Break(close) = self.handle_event(event, &mut state, stream).await {
                return close;
            }
        }
    }

    /// Waits for the next event. Each branch is cancel safe: no frame or message is lost if another one is ready first.
    async fn next_event<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        state: &mut DriverState,
        stream: &mut FramedStream<I>,
        stop: &mut Stop,
    ) -> DriverEvent {
        let is_closing = state.is_closing();
        let has_waiting_message = state.waiting_message.is_some();
        let inbound_cost = state.inbound_cost();
        tokio::select! {
            action = stream.receive(), if !has_waiting_message => DriverEvent::Received(action),
            permit = self.inbound_budget.clone().acquire_many_owned(inbound_cost), if has_waiting_message => {
                // The semaphore is never closed.
                DriverEvent::BudgetAcquired(permit.ok())
            }
            Some(frame) = self.outbound.recv() => DriverEvent::Outbound(frame),
            () = self.transport.disconnect.notified() => DriverEvent::Disconnect,
            () = stop.requested(), if !is_closing => DriverEvent::StopRequested,
            () = close_timeout(state.closing_since), if is_closing => DriverEvent::CloseTimedOut,
            // While a message waits nothing is read, so a pong would go unnoticed.
            _ = state.ping_timer.tick(), if !has_waiting_message && !is_closing => DriverEvent::PingDue,
        }
    }

    /// Handles an event. Breaks with the reason if the connection has ended.
    async fn handle_event<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        event: DriverEvent,
        state: &mut DriverState,
        stream: &mut FramedStream<I>,
    ) -> ControlFlow<Close> {
        match event {
            DriverEvent::Received(action) => {
                state.silent_intervals = 0;
                handle_action(action, state, stream).await
            }
            DriverEvent::BudgetAcquired(permit) => {
                if let (Some(message), Some(inbound)) = (state.waiting_message.take(), &self.inbound) {
                    // The handler may have dropped the receiving half and still use the sending half. Messages are
                    // discarded then.
                    let _ = inbound.try_send(QueuedMessage::new(message, permit));
                }
                ControlFlow::Continue(())
            }
            DriverEvent::Outbound(first) => match self.write_outbound(first, state, stream).await? {
                Some(close) => self.start_closing(close, state, stream).await,
                None => ControlFlow::Continue(()),
            },
            DriverEvent::Disconnect => ControlFlow::Break(Close::POLICY),
            DriverEvent::StopRequested => self.start_closing(Close::AWAY, state, stream).await,
            DriverEvent::CloseTimedOut => ControlFlow::Break(Close::BROKEN),
            DriverEvent::PingDue => {
                // The first silent interval ends with the first ping.
                state.silent_intervals += 1;
                if state.silent_intervals > MAX_UNANSWERED_PINGS + 1 {
                    return ControlFlow::Break(Close::BROKEN);
                }
                sent_or_broken(stream.send(&ping_frame()).await)
            }
        }
    }

    /// Sends a close frame and sets the close reason, unless a close frame was sent already. From then on sends of the handler fail,
    /// and it receives only the messages that are already queued.
    async fn start_closing<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        close: Close,
        state: &mut DriverState,
        stream: &mut FramedStream<I>,
    ) -> ControlFlow<Close> {
        if state.is_closing() {
            return ControlFlow::Continue(());
        }
        state.closing_since = Some(Instant::now());
        sent_or_broken(stream.send(&close_frame(&close)).await)?;
        let _ = self.close_reason.set(close);
        self.inbound = None;
        self.transport.send_budget.close();
        ControlFlow::Continue(())
    }

    /// Writes the queued frames up to a close, and flushes once. Returns the close if there is one. After the close frame was
    /// sent, frames are discarded instead.
    async fn write_outbound<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        first: OutboundFrame,
        state: &DriverState,
        stream: &mut FramedStream<I>,
    ) -> ControlFlow<Close, Option<Close>> {
        let is_closing = state.is_closing();
        let mut close = None;
        let mut next = Some(first);
        while let Some(outbound) = next {
            match outbound {
                OutboundFrame::Close(reason) => {
                    close = Some(reason);
                    break;
                }
                // No frame may follow a close frame.
                OutboundFrame::Frame(..) if is_closing => {}
                OutboundFrame::Frame(frame, _permit) => tokio::select! {
                    written = stream.write(&frame) => sent_or_broken(written)?,
                    () = self.transport.disconnect.notified() => return ControlFlow::Break(Close::POLICY),
                },
            }
            next = self.outbound.try_recv().ok();
        }
        if !is_closing {
            tokio::select! {
                flushed = stream.flush() => sent_or_broken(flushed)?,
                () = self.transport.disconnect.notified() => return ControlFlow::Break(Close::POLICY),
            }
        }
        ControlFlow::Continue(close)
    }
}

/// Handles a frame of the client.
async fn handle_action<I: AsyncRead + AsyncWrite + Unpin>(
    action: Option<FrameAction>,
    state: &mut DriverState,
    stream: &mut FramedStream<I>,
) -> ControlFlow<Close> {
    match action {
        None => ControlFlow::Break(Close::BROKEN),
        Some(FrameAction::Ignore) => ControlFlow::Continue(()),
        Some(FrameAction::Deliver(message)) => {
            state.waiting_message = Some(message);
            ControlFlow::Continue(())
        }
        Some(FrameAction::Reply(pong)) => sent_or_broken(stream.send(&pong).await),
        Some(FrameAction::Close { last, close }) => {
            if !state.is_closing() {
                // The connection ends in any case, so it does not matter whether the client gets this frame.
                let _ = stream.send(&last).await;
            }
            ControlFlow::Break(close)
        }
    }
}

fn sent_or_broken(result: io::Result<()>) -> ControlFlow<Close> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(Close::BROKEN),
    }
}

async fn close_timeout(closing_since: Option<Instant>) {
    match closing_since {
        Some(since) => sleep_until(since + CLOSE_TIMEOUT).await,
        None => std::future::pending().await,
    }
}

impl SocketTransport for DriverTransport {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            let frame = message_frame(&message, self.deflate);
            // A frame that is larger than the budget takes all of it.
            let cost = frame.len().min(SEND_BUDGET) as u32;
            let permit = self
                .send_budget
                .clone()
                .acquire_many_owned(cost)
                .await
                .map_err(|_| Closed)?;
            let frame = OutboundFrame::Frame(frame, permit);
            self.outbound.send(frame).await.map_err(|_| Closed)
        })
    }

    fn send_or_disconnect(&self, frame: Bytes) {
        let cost = frame.len().min(BROADCAST_BUDGET) as u32;
        let queued = match self.broadcast_budget.clone().try_acquire_many_owned(cost) {
            Ok(permit) => self
                .outbound
                .try_send(OutboundFrame::Frame(frame, permit))
                .is_ok(),
            Err(_) => false,
        };
        if !queued {
            self.disconnect.notify_one();
        }
    }

    fn encoding(&self) -> BroadcastEncoding {
        BroadcastEncoding::negotiated(self.deflate)
    }

    fn close(&self, close: Close) {
        let result = self.outbound.try_send(OutboundFrame::Close(close));
        if let Err(mpsc::error::TrySendError::Full(frame)) = result {
            // This method cannot wait for room in the queue.
            let outbound = self.outbound.clone();
            tokio::spawn(async move { outbound.send(frame).await });
        }
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.outbound.closed())
    }

    fn group(&self) -> Option<(Arc<dyn BroadcastGroup>, ClientId)> {
        None
    }
}

/// Reads and writes the frames of a stream.
struct FramedStream<I> {
    stream: BufWriter<I>,
    read_buffer: BytesMut,
    decoder: MessageDecoder,
    peer: SocketPeer,
}

impl<I: AsyncRead + AsyncWrite + Unpin> FramedStream<I> {
    fn new(stream: I, max_message: usize, deflate: Option<Deflate>) -> FramedStream<I> {
        FramedStream {
            stream: BufWriter::with_capacity(BUFFER_SIZE, stream),
            read_buffer: BytesMut::new(),
            decoder: MessageDecoder::new(max_message),
            peer: SocketPeer::new(max_message, deflate),
        }
    }

    /// Receives the next frame, and returns what to do about it. Returns `None` if the connection is lost. Cancel safe.
    async fn receive(&mut self) -> Option<FrameAction> {
        loop {
            match self.decoder.decode(&mut self.read_buffer) {
                Ok(Some((first, payload))) => return Some(self.peer.receive(first, payload)),
                Ok(None) => {}
                Err(FrameError::TooLarge) => return Some(self.peer.end(Close::TOO_LARGE)),
                Err(FrameError::Protocol(violation)) => {
                    tracing::debug!(violation, "WebSocket client violated the protocol");
                    return Some(self.peer.end(Close::PROTOCOL));
                }
            }
            self.read_buffer.reserve(BUFFER_SIZE / 2);
            if self.stream.read_buf(&mut self.read_buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Writes a frame to the buffer. Small frames stay there until the buffer is full or flushed.
    async fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().await
    }

    /// Writes a frame and flushes.
    async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.write(frame).await?;
        self.flush().await
    }

    fn into_inner(self) -> I {
        self.stream.into_inner()
    }
}

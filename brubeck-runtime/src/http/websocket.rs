//! Drives one WebSocket connection of the embedded server.
//!
//! A [`WebSocketDriver`] shares a task with the handler. It reads frames and queues messages for the handler, and writes the frames of the
//! [`SendQueue`], where the handler and broadcasts have added them. It reads and writes at the same time. All queues are bounded in bytes:
//!
//! * If the handler does not receive, the driver stops reading from the client ([`inbound_budget`]).
//! * If the client violates the protocol or a limit, the handler can still respond to the messages before, for [`CLOSE_TIMEOUT`].
//! * If the client does not read, the handler waits in [`send`](SocketTransport::send). Broadcasts do not wait: the client is disconnected
//!   if it reads nothing of them for [`STALL_TIMEOUT`], or if too much waits for it. It is sent a close frame, which it gets if it reads again
//!   within [`CLOSE_TIMEOUT`].

mod output;
mod reader;

use crate::handler::Stop;
use crate::websocket::{
    BroadcastEncoding, BroadcastRoute, BroadcastTarget, Close, Closed, Deflate, FrameAction, InboundMessage,
    Outgoing, QueuedMessage, ReadProgress, STALL_TIMEOUT, SendQueue, SocketMessage, SocketTransport,
    TOO_SLOW, WebSocket, close_frame, inbound_budget, message_frame, ping_frame,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use output::Output;
use reader::WebSocketReader;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf, split};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};

/// Interval of the pings to the client.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Consecutive pings without any frame in return that are tolerated. One more closes the connection, so a silent client is
/// disconnected after four intervals.
const MAX_UNANSWERED_PINGS: u8 = 2;
/// Time for the closing handshake, and again for closing the stream.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit for unwritten pongs, in bytes. Nothing is read while there are more.
const MAX_PONG_BYTES: usize = 4 << 10;

/// Moves messages between the connection of a WebSocket and its handler.
pub(super) struct WebSocketDriver {
    /// To the handler. `None` once the WebSocket is closing.
    inbound: Option<mpsc::UnboundedSender<QueuedMessage>>,
    inbound_budget: Arc<Semaphore>,
    send_queue: Arc<SendQueue>,
    /// The reason of the close, for the handler.
    close_reason: Arc<OnceLock<Close>>,
    message_limit: usize,
    deflate: Option<Deflate>,
}

/// The sending side of a WebSocket, for its handler and for broadcasts.
struct DriverTransport {
    send_queue: Arc<SendQueue>,
    deflate: Option<Deflate>,
}

/// Creates a WebSocket for messages of up to `message_limit` bytes. Returns the driver of its connection, and the [`WebSocket`] that
/// the handler uses.
pub(super) fn new(message_limit: usize, deflate: Option<Deflate>) -> (WebSocketDriver, WebSocket) {
    let (inbound, messages) = mpsc::unbounded_channel();
    let send_queue = Arc::new(SendQueue::new(BroadcastEncoding::negotiated(deflate)));
    let close_reason = Arc::new(OnceLock::new());
    let driver = WebSocketDriver {
        inbound: Some(inbound),
        inbound_budget: Arc::new(Semaphore::new(inbound_budget(message_limit))),
        send_queue: send_queue.clone(),
        close_reason: close_reason.clone(),
        message_limit,
        deflate,
    };
    let transport = DriverTransport { send_queue, deflate };
    let socket = WebSocket::new(messages, close_reason, Arc::new(transport));
    (driver, socket)
}

/// The state of a driver while it runs.
struct DriverState {
    /// A received message that has not acquired its share of the inbound budget. No frame is read until the message is queued for
    /// the handler.
    waiting_message: Option<InboundMessage>,
    phase: ConnectionPhase,
    /// The time at which the phase ends, unless it is ended before. [`ConnectionPhase::Closing`] has none until its close frame is written.
    deadline: Option<Instant>,
    ping_timer: Interval,
    /// Intervals of the ping timer in which the client has neither sent a frame nor read anything that waited for it.
    silent_intervals: u8,
    output: Output,
}

/// The phase of a connection.
enum ConnectionPhase {
    Open,
    /// The client has violated the protocol or a limit. Nothing is read any more, and the handler can still respond to the messages before.
    /// The close frame follows when the handler has ended.
    Failed(Close),
    /// The close frame is sent, or waits to be. The client has to respond.
    Closing,
    /// The connection ends when everything is written.
    Ending(Close),
}

impl DriverState {
    fn new() -> DriverState {
        let mut ping_timer = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping_timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        DriverState {
            waiting_message: None,
            phase: ConnectionPhase::Open,
            deadline: None,
            ping_timer,
            silent_intervals: 0,
            output: Output::default(),
        }
    }

    /// Returns `true` if the frames that wait in the send queue are sent in this phase.
    fn sends(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Open | ConnectionPhase::Failed(_))
    }

    fn reads(&self) -> bool {
        let can_read = matches!(self.phase, ConnectionPhase::Open | ConnectionPhase::Closing);
        can_read && self.waiting_message.is_none() && self.output.pong_bytes < MAX_PONG_BYTES
    }

    fn set_deadline(&mut self, time: Duration) {
        self.deadline = Some(Instant::now() + time);
    }

    /// Ends the connection after a last frame.
    fn end_with(&mut self, frame: Bytes, close: Close) {
        self.output.push(frame);
        self.phase = ConnectionPhase::Ending(close);
        self.set_deadline(CLOSE_TIMEOUT);
    }
}

/// An event that the driver reacts to.
enum DriverEvent {
    /// A frame of the client, or `None` if the connection is lost.
    Received(Option<FrameAction>),
    /// The waiting message fits into the inbound budget.
    BudgetAcquired(Option<OwnedSemaphorePermit>),
    /// The client has read something of the output, or the connection is lost.
    Written(io::Result<bool>),
    /// Frames may wait in the send queue.
    SendQueueChanged,
    StopRequested,
    DeadlineReached,
    /// The client has read nothing for [`STALL_TIMEOUT`].
    Stalled,
    PingDue,
}

impl WebSocketDriver {
    /// Sets the limit of the route for messages. Must be called before [`run`](Self::run).
    pub(super) fn set_message_limit(&mut self, bytes: usize) {
        self.message_limit = bytes;
        self.inbound_budget = Arc::new(Semaphore::new(inbound_budget(bytes)));
    }

    /// Runs the connection until one side closes it, it is lost, or the server stops.
    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite, stop: Stop) {
        let (reader, mut writer) = split(stream);
        let mut reader = WebSocketReader::new(reader, self.message_limit, self.deflate);
        let close = self.exchange_frames(&mut reader, &mut writer, stop).await;
        self.shut_down_queues(close);
        // Closing a TCP connection while the client still sends would reset it, and the client could lose frames that it has
        // not read yet. So close the sending side, and read until the client closes its own.
        let drain = async {
            writer.shutdown().await?;
            let mut discarded = [0; 4096];
            while reader.stream.read(&mut discarded).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // After the timeout the connection is closed anyway.
        let _ = timeout(CLOSE_TIMEOUT, drain).await;
    }

    /// Ends the socket for the handler, which can still receive the messages that are queued already. Sets the close reason, unless one is
    /// set.
    fn end_socket(&mut self, close: Close) {
        let _ = self.close_reason.set(close);
        // Sending must fail once the handler has received the end of the messages.
        self.send_queue.clear();
        self.inbound = None;
    }

    fn shut_down_queues(&mut self, close: Close) {
        self.end_socket(close);
        self.send_queue.disconnect();
    }

    /// Exchanges frames with the client until the WebSocket is closed, and returns the reason.
    async fn exchange_frames<I: AsyncRead + AsyncWrite>(
        &mut self,
        reader: &mut WebSocketReader<I>,
        writer: &mut WriteHalf<I>,
        mut stop: Stop,
    ) -> Close {
        let mut state = DriverState::new();
        loop {
            if state.sends() {
                self.fill_output(&mut state);
            }
            let event = self.next_event(&mut state, reader, writer, &mut stop).await;
            if let ControlFlow::Break(close) = self.handle_event(event, &mut state) {
                return close;
            }
        }
    }

    /// Moves frames from the send queue to the output, until that is full.
    fn fill_output(&mut self, state: &mut DriverState) {
        let (mut close, mut is_cut_off) = (None, false);
        let output = &mut state.output;
        if !output.is_full() {
            self.send_queue.take(|outgoing| {
                match outgoing {
                    Outgoing::Frame(frame) => output.push(frame),
                    Outgoing::Broadcast(frame) => {
                        output.push(frame);
                        output.has_broadcasts = true;
                    }
                    Outgoing::Close(reason) => close = Some(reason),
                    Outgoing::CutOff => is_cut_off = true,
                }
                !output.is_full()
            });
        } else if self.send_queue.take_cut_off() {
            is_cut_off = true;
        }
        if is_cut_off {
            self.cut_off(state, "too much waits for it");
        } else if let Some(close) = close {
            self.start_closing(close, state);
        }
    }

    /// Waits for the next event. Each branch is cancel safe: no frame or message is lost if another one is ready first.
    async fn next_event<I: AsyncRead + AsyncWrite>(
        &mut self,
        state: &mut DriverState,
        reader: &mut WebSocketReader<I>,
        writer: &mut WriteHalf<I>,
        stop: &mut Stop,
    ) -> DriverEvent {
        let (sends, reads, deadline) = (state.sends(), state.reads(), state.deadline);
        let is_open = matches!(state.phase, ConnectionPhase::Open);
        let is_closing = matches!(state.phase, ConnectionPhase::Closing | ConnectionPhase::Ending(_));
        let has_waiting_message = state.waiting_message.is_some();
        let inbound_cost = state.waiting_message.as_ref().map_or(0, InboundMessage::cost);
        let has_output = !state.output.is_empty();
        // A client that does not read may keep the handler waiting, but not a broadcast, and not the close.
        let may_stall = has_output && deadline.is_none() && (is_closing || self.has_broadcasts(state));
        let reading = self.send_queue.reading();
        tokio::select! {
            action = reader.receive(), if reads => DriverEvent::Received(action),
            permit = self.inbound_budget.clone().acquire_many_owned(inbound_cost), if has_waiting_message => {
                // The semaphore is never closed.
                DriverEvent::BudgetAcquired(permit.ok())
            }
            written = state.output.write(writer, reading), if has_output => DriverEvent::Written(written),
            () = self.send_queue.changed(), if sends => DriverEvent::SendQueueChanged,
            () = stop.requested(), if !is_closing => DriverEvent::StopRequested,
            () = reached(deadline), if deadline.is_some() => DriverEvent::DeadlineReached,
            () = stalled(reading), if may_stall => DriverEvent::Stalled,
            // While a message waits nothing is read, so a pong would go unnoticed.
            _ = state.ping_timer.tick(), if is_open && !has_waiting_message => DriverEvent::PingDue,
        }
    }

    fn has_broadcasts(&self, state: &DriverState) -> bool {
        state.output.has_broadcasts || self.send_queue.has_broadcasts()
    }

    /// Handles an event. Breaks with the reason if the connection has ended.
    fn handle_event(&mut self, event: DriverEvent, state: &mut DriverState) -> ControlFlow<Close> {
        match event {
            DriverEvent::Received(action) => {
                state.silent_intervals = 0;
                return self.handle_action(action, state);
            }
            DriverEvent::BudgetAcquired(permit) => {
                if let (Some(message), Some(permit), Some(inbound)) =
                    (state.waiting_message.take(), permit, &self.inbound)
                {
                    // The handler may have dropped the receiving half and still use the sending half. Messages are
                    // discarded then.
                    let _ = inbound.send(QueuedMessage::new(message, permit));
                }
            }
            DriverEvent::Written(Err(_)) => return ControlFlow::Break(Close::BROKEN),
            DriverEvent::Written(Ok(was_blocked)) => {
                if was_blocked {
                    state.silent_intervals = 0;
                }
                if state.output.is_empty() {
                    match &state.phase {
                        ConnectionPhase::Ending(close) => return ControlFlow::Break(close.clone()),
                        ConnectionPhase::Closing if state.deadline.is_none() => {
                            state.set_deadline(CLOSE_TIMEOUT)
                        }
                        _ => {}
                    }
                }
            }
            DriverEvent::SendQueueChanged => {}
            DriverEvent::StopRequested => {
                self.start_closing(Close::AWAY, state);
                state.set_deadline(CLOSE_TIMEOUT);
            }
            DriverEvent::DeadlineReached => match &state.phase {
                ConnectionPhase::Failed(failure) => {
                    let failure = failure.clone();
                    state.end_with(close_frame(&failure), failure);
                }
                ConnectionPhase::Ending(close) => return ControlFlow::Break(close.clone()),
                ConnectionPhase::Open | ConnectionPhase::Closing => return ControlFlow::Break(Close::BROKEN),
            },
            DriverEvent::Stalled => {
                if !state.sends() {
                    return ControlFlow::Break(Close::BROKEN);
                }
                self.cut_off(state, "it has read nothing for ten seconds");
            }
            DriverEvent::PingDue => {
                // The first silent interval ends with the first ping.
                state.silent_intervals += 1;
                if state.silent_intervals > MAX_UNANSWERED_PINGS + 1 {
                    return ControlFlow::Break(Close::BROKEN);
                }
                // A ping behind other frames would only wait with them: that they are read shows the same as its pong.
                if state.output.is_empty() {
                    state.output.push(ping_frame());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Sends a close frame after the output, and sets the close reason, unless a close frame was sent already. From then on sends of the
    /// handler fail, and it receives only the messages that are already queued.
    fn start_closing(&mut self, close: Close, state: &mut DriverState) {
        match &state.phase {
            ConnectionPhase::Closing | ConnectionPhase::Ending(_) => {}
            ConnectionPhase::Failed(failure) => {
                let failure = failure.clone();
                self.send_queue.clear();
                state.end_with(close_frame(&failure), failure);
            }
            ConnectionPhase::Open => {
                state.output.push(close_frame(&close));
                state.phase = ConnectionPhase::Closing;
                self.end_socket(close);
            }
        }
    }

    /// Closes the connection of a client that does not read. It gets the close frame if it reads again before the deadline.
    fn cut_off(&mut self, state: &mut DriverState, reason: &'static str) {
        tracing::info!(
            reason,
            "disconnected a WebSocket client that does not read its messages"
        );
        state.output.keep_started_frame();
        self.start_closing(TOO_SLOW, state);
        state.set_deadline(CLOSE_TIMEOUT);
    }

    /// Handles a frame of the client.
    fn handle_action(&mut self, action: Option<FrameAction>, state: &mut DriverState) -> ControlFlow<Close> {
        match action {
            None => return ControlFlow::Break(Close::BROKEN),
            Some(FrameAction::Ignore) => {}
            Some(FrameAction::Deliver(message)) => state.waiting_message = Some(message),
            Some(FrameAction::Reply(pong)) => state.output.push_pong(pong),
            Some(FrameAction::Fail(close) | FrameAction::Close { close, .. })
                if !matches!(state.phase, ConnectionPhase::Open) =>
            {
                return ControlFlow::Break(close);
            }
            Some(FrameAction::Fail(close)) => {
                // Ends the messages for the handler, which can still respond to those before.
                let _ = self.close_reason.set(close.clone());
                self.inbound = None;
                state.phase = ConnectionPhase::Failed(close);
                state.set_deadline(CLOSE_TIMEOUT);
            }
            Some(FrameAction::Close { last, close }) => {
                self.end_socket(close.clone());
                state.end_with(last, close);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Drop for WebSocketDriver {
    fn drop(&mut self) {
        // Has an effect if the connection was never driven, because no handler accepted the WebSocket or the upgrade failed.
        self.shut_down_queues(Close::BROKEN);
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Completes when the client has read nothing for [`STALL_TIMEOUT`] while bytes wait for it.
async fn stalled(reading: &ReadProgress) {
    loop {
        let since = reading.blocked_since().unwrap_or_else(Instant::now);
        sleep_until(since + STALL_TIMEOUT).await;
        if reading.is_blocked_for(STALL_TIMEOUT, Instant::now()) {
            return;
        }
    }
}

impl SocketTransport for DriverTransport {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move { self.send_queue.send(message_frame(&message, self.deflate)).await })
    }

    fn close(&self, close: Close) {
        self.send_queue.close(close);
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.send_queue.disconnected())
    }

    fn broadcast_route(&self) -> BroadcastRoute {
        BroadcastRoute {
            id: self.send_queue.id(),
            encoding: self.send_queue.encoding(),
            reading: self.send_queue.reading().clone(),
            target: BroadcastTarget::SendQueue(self.send_queue.clone()),
        }
    }
}

#[cfg(test)]
mod tests;

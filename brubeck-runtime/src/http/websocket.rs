//! One WebSocket of the embedded server, from its opening to its end, frame by frame.

use crate::handler::Stop;
use crate::websocket::codec::{FrameError, MessageDecoder};
use crate::websocket::{
    BroadcastEncoding, BroadcastGroup, ClientId, Close, Closed, Deflate, FrameAction, InboundMessage,
    QueuedMessage, SocketMessage, SocketPeer, SocketTransport, WebSocket, close_frame, message_frame,
    ping_frame,
};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

/// How many bytes of messages a handler may leave waiting; the client is not read meanwhile.
const UNREAD: usize = 4 << 20;
/// A message counts as so many bytes at least, so that there are not too many of them.
const SMALLEST: usize = 4 << 10;
/// How many bytes a handler may have waiting for its client before it has to wait itself.
const WINDOW: usize = 256 << 10;
/// What may wait for a client that is sent what is sent to many.
const WAITING: usize = 4 << 20;
const WAITING_MESSAGES: usize = 1024;
/// How often a quiet client is asked whether it is there, and how often it need not answer.
const PULSE: Duration = Duration::from_secs(30);
const UNANSWERED: u8 = 2;
/// How long a client may take to agree to a close.
const AGREE: Duration = Duration::from_secs(5);

/// The server's end of a WebSocket.
pub(super) struct WebSocketDriver {
    messages: Option<mpsc::Sender<QueuedMessage>>,
    room: Arc<Semaphore>,
    outgoing: mpsc::Receiver<OutboundFrame>,
    way: SocketWriter,
    ended: Arc<OnceLock<Close>>,
    limit: usize,
    deflate: Option<Deflate>,
}

/// The way to the client.
#[derive(Clone)]
struct SocketWriter {
    outgoing: mpsc::Sender<OutboundFrame>,
    window: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    cut: Arc<Notify>,
    deflate: Option<Deflate>,
}

enum OutboundFrame {
    Frame(
        Bytes,
        #[allow(dead_code, reason = "holds its place until it is sent")] OwnedSemaphorePermit,
    ),
    Close(Close),
}

/// A WebSocket whose messages have up to `limit` bytes: the ends of the server and of the handler.
pub(super) fn line(limit: usize, deflate: Option<Deflate>) -> (WebSocketDriver, WebSocket) {
    let room = UNREAD.max(limit).min(Semaphore::MAX_PERMITS);
    let (messages, inbound) = mpsc::channel(room / SMALLEST + 1);
    let (tell, outgoing) = mpsc::channel(WAITING_MESSAGES);
    let ended = Arc::new(OnceLock::new());
    let way = SocketWriter {
        outgoing: tell,
        window: Arc::new(Semaphore::new(WINDOW)),
        spare: Arc::new(Semaphore::new(WAITING)),
        cut: Arc::new(Notify::new()),
        deflate,
    };
    let line = WebSocketDriver {
        messages: Some(messages),
        room: Arc::new(Semaphore::new(room)),
        outgoing,
        way: way.clone(),
        ended: ended.clone(),
        limit,
        deflate,
    };
    (line, WebSocket::new(inbound, ended, Arc::new(way)))
}

impl WebSocketDriver {
    /// Speaks until one end closes it, or the server stops.
    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin, stop: Stop) {
        let mut client = FramedStream::new(stream, self.limit, self.deflate);
        let close = self.speak(&mut client, stop).await;
        self.end(close);
        // What the client has not read would be lost if it still sends when the connection is closed.
        let mut stream = client.into_stream();
        let rest = async {
            stream.shutdown().await?;
            let mut unread = [0; 4096];
            while stream.read(&mut unread).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        // A client that does not close after this is closed all the same.
        let _ = timeout(AGREE, rest).await;
    }

    /// What the handler is sent and sends from now on goes nowhere. The first reason is the true one.
    fn end(&mut self, close: Close) {
        let _ = self.ended.set(close);
        self.messages = None;
        self.way.window.close();
        self.way.spare.close();
        self.outgoing.close();
    }

    async fn speak<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut FramedStream<I>,
        mut stop: Stop,
    ) -> Close {
        let mut waiting: Option<InboundMessage> = None;
        let mut closing: Option<Instant> = None;
        let mut silent = 0;
        let mut pulse = interval_at(Instant::now() + PULSE, PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let size = waiting.as_ref().map_or(0, |message| message.size().max(SMALLEST));
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            let agreed = closing.unwrap_or_else(Instant::now) + AGREE;
            let close = tokio::select! {
                heard = client.hear(), if waiting.is_none() => {
                    silent = 0;
                    match heard {
                        Some(FrameAction::Ignore) => {}
                        Some(FrameAction::Deliver(message)) => waiting = Some(message),
                        Some(FrameAction::Reply(pong)) if client.send(&pong).await.is_ok() => {}
                        Some(FrameAction::Close { last, close }) => {
                            if closing.is_none() {
                                // A client that does not take it is gone as well.
                                let _ = client.send(&last).await;
                            }
                            return close;
                        }
                        Some(FrameAction::Reply(_)) | None => return Close::BROKEN,
                    }
                    None
                }
                place = self.room.clone().acquire_many_owned(size), if waiting.is_some() => {
                    if let (Some(message), Some(messages)) = (waiting.take(), &self.messages) {
                        // A handler that listens no more may still be talking.
                        let _ = messages.try_send(QueuedMessage::new(message, place.ok()));
                    }
                    None
                }
                Some(said) = self.outgoing.recv() => match self.say(client, said, closing.is_some()).await {
                    Ok(close) => close,
                    Err(close) => return close,
                },
                () = self.way.cut.notified() => return Close::POLICY,
                () = stop.requested(), if closing.is_none() => Some(Close::AWAY),
                () = sleep_until(agreed), if closing.is_some() => return Close::BROKEN,
                // One whose messages wait is not read, and so not heard.
                _ = pulse.tick(), if waiting.is_none() && closing.is_none() => {
                    silent += 1;
                    if silent > UNANSWERED + 1 || client.send(&ping_frame()).await.is_err() {
                        return Close::BROKEN;
                    }
                    None
                }
            };
            if let Some(close) = close.filter(|_| closing.is_none()) {
                closing = Some(Instant::now());
                if client.send(&close_frame(&close)).await.is_err() {
                    return Close::BROKEN;
                }
                let _ = self.ended.set(close);
                self.messages = None;
                self.way.window.close();
            }
        }
    }

    /// Sends what is there to be sent, up to a close.
    async fn say<I: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut FramedStream<I>,
        first: OutboundFrame,
        closing: bool,
    ) -> Result<Option<Close>, Close> {
        let mut next = Some(first);
        let mut close = None;
        while let Some(said) = next {
            match said {
                OutboundFrame::Close(why) => {
                    close = Some(why);
                    break;
                }
                OutboundFrame::Frame(..) if closing => {}
                OutboundFrame::Frame(frame, _place) => {
                    tokio::select! {
                        fed = client.feed(&frame) => fed.map_err(|_| Close::BROKEN)?,
                        () = self.way.cut.notified() => return Err(Close::POLICY),
                    }
                }
            }
            next = self.outgoing.try_recv().ok();
        }
        if !closing {
            tokio::select! {
                flushed = client.flush() => flushed.map_err(|_| Close::BROKEN)?,
                () = self.way.cut.notified() => return Err(Close::POLICY),
            }
        }
        Ok(close)
    }
}

impl SocketTransport for SocketWriter {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            let frame = message_frame(&message, self.deflate);
            let size = frame.len().min(WINDOW) as u32;
            let place = self
                .window
                .clone()
                .acquire_many_owned(size)
                .await
                .map_err(|_| Closed)?;
            let said = OutboundFrame::Frame(frame, place);
            self.outgoing.send(said).await.map_err(|_| Closed)
        })
    }

    fn send_or_disconnect(&self, frame: Bytes) {
        let size = frame.len().min(WAITING) as u32;
        let sent = match self.spare.clone().try_acquire_many_owned(size) {
            Ok(place) => self.outgoing.try_send(OutboundFrame::Frame(frame, place)).is_ok(),
            Err(_) => false,
        };
        if !sent {
            self.cut.notify_one();
        }
    }

    fn encoding(&self) -> BroadcastEncoding {
        BroadcastEncoding::negotiated(self.deflate)
    }

    fn close(&self, close: Close) {
        if let Err(mpsc::error::TrySendError::Full(said)) =
            self.outgoing.try_send(OutboundFrame::Close(close))
        {
            let outgoing = self.outgoing.clone();
            tokio::spawn(async move { outgoing.send(said).await });
        }
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.outgoing.closed())
    }

    fn group(&self) -> Option<(Arc<dyn BroadcastGroup>, ClientId)> {
        None
    }
}

/// How much is read, and how much of small frames is written, at once.
const BUFFER: usize = 16 << 10;

struct FramedStream<I> {
    stream: BufWriter<I>,
    unread: BytesMut,
    frames: MessageDecoder,
    peer: SocketPeer,
}

impl<I: AsyncRead + AsyncWrite + Unpin> FramedStream<I> {
    pub(super) fn new(stream: I, limit: usize, deflate: Option<Deflate>) -> FramedStream<I> {
        FramedStream {
            stream: BufWriter::with_capacity(BUFFER, stream),
            unread: BytesMut::new(),
            frames: MessageDecoder::new(limit),
            peer: SocketPeer::new(limit, deflate),
        }
    }

    /// What the client says next; `None` where it is gone. Nothing is lost when the future is dropped.
    pub(super) async fn hear(&mut self) -> Option<FrameAction> {
        loop {
            match self.frames.decode(&mut self.unread) {
                Ok(Some((first, payload))) => return Some(self.peer.receive(first, payload)),
                Ok(None) => {}
                Err(FrameError::TooLarge) => return Some(self.peer.end(Close::TOO_LARGE)),
                Err(FrameError::Protocol(what)) => {
                    tracing::debug!(what, "the client of a WebSocket does not keep to the rules");
                    return Some(self.peer.end(Close::PROTOCOL));
                }
            }
            self.unread.reserve(BUFFER / 2);
            if self.stream.read_buf(&mut self.unread).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Sends a frame; small ones wait for others, or to be flushed.
    pub(super) async fn feed(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().await
    }

    /// Sends a frame now.
    pub(super) async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.feed(frame).await?;
        self.flush().await
    }

    pub(super) fn into_stream(self) -> I {
        self.stream.into_inner()
    }
}

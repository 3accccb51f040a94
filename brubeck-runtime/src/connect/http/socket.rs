//! One WebSocket of the embedded server, from its opening to its end.

use crate::connect::Stop;
use crate::websocket::{Carrier, Close, Closed, Delivered, Group, Seat, SocketMessage, WebSocket};
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

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
pub(super) struct Line {
    messages: Option<mpsc::Sender<Delivered>>,
    room: Arc<Semaphore>,
    outgoing: mpsc::Receiver<Outgoing>,
    way: Way,
    ended: Arc<OnceLock<Close>>,
    limit: usize,
}

/// The way to the client.
#[derive(Clone)]
struct Way {
    outgoing: mpsc::Sender<Outgoing>,
    window: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    cut: Arc<Notify>,
}

enum Outgoing {
    Message(
        SocketMessage,
        #[allow(dead_code, reason = "holds its place until it is sent")] OwnedSemaphorePermit,
    ),
    Close(Close),
}

/// A WebSocket whose messages have up to `limit` bytes: the ends of the server and of the handler.
pub(super) fn line(limit: usize) -> (Line, WebSocket) {
    let room = UNREAD.max(limit).min(Semaphore::MAX_PERMITS);
    let (messages, inbound) = mpsc::channel(room / SMALLEST + 1);
    let (tell, outgoing) = mpsc::channel(WAITING_MESSAGES);
    let ended = Arc::new(OnceLock::new());
    let way = Way {
        outgoing: tell,
        window: Arc::new(Semaphore::new(WINDOW)),
        spare: Arc::new(Semaphore::new(WAITING)),
        cut: Arc::new(Notify::new()),
    };
    let line = Line {
        messages: Some(messages),
        room: Arc::new(Semaphore::new(room)),
        outgoing,
        way: way.clone(),
        ended: ended.clone(),
        limit,
    };
    (line, WebSocket::new(inbound, ended, Arc::new(way)))
}

impl Line {
    /// Speaks until one end closes it, or the server stops.
    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin, stop: Stop) {
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .write_buffer_size(16 << 10)
            .max_message_size(Some(self.limit))
            .max_frame_size(Some(self.limit));
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let close = self.speak(&mut socket, stop).await;
        self.end(close);
        // What the client has not read would be lost if it still sends when the connection is closed.
        let mut stream = socket.into_inner();
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
        socket: &mut WebSocketStream<I>,
        mut stop: Stop,
    ) -> Close {
        let mut waiting: Option<SocketMessage> = None;
        let mut closing: Option<Instant> = None;
        let mut silent = 0;
        let mut pulse = interval_at(Instant::now() + PULSE, PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let size = waiting
                .as_ref()
                .map_or(0, |message| message.as_bytes().len().max(SMALLEST));
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            let agreed = closing.unwrap_or_else(Instant::now) + AGREE;
            let close = tokio::select! {
                heard = socket.next(), if waiting.is_none() => {
                    silent = 0;
                    match heard {
                        Some(Ok(Message::Text(text))) => waiting = Some(text.to_string().into()),
                        Some(Ok(Message::Binary(bytes))) => waiting = Some(bytes.into()),
                        Some(Ok(Message::Ping(_))) if socket.flush().await.is_err() => return Close::BROKEN,
                        Some(Ok(Message::Close(frame))) => {
                            // Answered already; this only pushes it out.
                            let _ = socket.flush().await;
                            return frame.map_or(Close::NONE, |frame| {
                                Close::new(frame.code.into(), frame.reason.as_str().to_owned())
                            });
                        }
                        Some(Ok(_)) => {}
                        Some(Err(error)) => {
                            let close = wrong(&error);
                            if closing.is_none() && close != Close::BROKEN {
                                let _ = socket.close(frame(&close)).await;
                            }
                            return close;
                        }
                        None => return Close::BROKEN,
                    }
                    None
                }
                place = self.room.clone().acquire_many_owned(size), if waiting.is_some() => {
                    if let (Some(message), Some(messages)) = (waiting.take(), &self.messages) {
                        // A handler that listens no more may still be talking.
                        let _ = messages.try_send(Delivered::new(message, place.ok()));
                    }
                    None
                }
                Some(said) = self.outgoing.recv() => match self.say(socket, said, closing.is_some()).await {
                    Ok(close) => close,
                    Err(close) => return close,
                },
                () = self.way.cut.notified() => return Close::POLICY,
                () = stop.requested(), if closing.is_none() => Some(Close::AWAY),
                () = sleep_until(agreed), if closing.is_some() => return Close::BROKEN,
                // One whose messages wait is not read, and so not heard.
                _ = pulse.tick(), if waiting.is_none() && closing.is_none() => {
                    silent += 1;
                    if silent > UNANSWERED + 1 || socket.send(Message::Ping(Default::default())).await.is_err() {
                        return Close::BROKEN;
                    }
                    None
                }
            };
            if let Some(close) = close.filter(|_| closing.is_none()) {
                closing = Some(Instant::now());
                if socket.close(frame(&close)).await.is_err() {
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
        socket: &mut WebSocketStream<I>,
        first: Outgoing,
        closing: bool,
    ) -> Result<Option<Close>, Close> {
        let mut next = Some(first);
        let mut close = None;
        while let Some(said) = next {
            match said {
                Outgoing::Close(why) => {
                    close = Some(why);
                    break;
                }
                Outgoing::Message(..) if closing => {}
                Outgoing::Message(message, _place) => {
                    let message = match message {
                        SocketMessage::Text(text) => Message::Text(text.into()),
                        SocketMessage::Binary(bytes) => Message::Binary(bytes),
                    };
                    tokio::select! {
                        fed = socket.feed(message) => fed.map_err(|_| Close::BROKEN)?,
                        () = self.way.cut.notified() => return Err(Close::POLICY),
                    }
                }
            }
            next = self.outgoing.try_recv().ok();
        }
        if !closing {
            tokio::select! {
                flushed = socket.flush() => flushed.map_err(|_| Close::BROKEN)?,
                () = self.way.cut.notified() => return Err(Close::POLICY),
            }
        }
        Ok(close)
    }
}

/// What a client is told that does not keep to the rules.
fn wrong(error: &Error) -> Close {
    match error {
        Error::Utf8(_) => Close::NOT_UTF8,
        Error::Capacity(_) => Close::TOO_LARGE,
        Error::Protocol(error) if !is_gone(error) => Close::PROTOCOL,
        _ => Close::BROKEN,
    }
}

fn is_gone(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    matches!(
        error,
        tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
    )
}

fn frame(close: &Close) -> Option<CloseFrame> {
    crate::websocket::is_sent(close.code()).then(|| CloseFrame {
        code: close.code().into(),
        reason: close.reason().to_owned().into(),
    })
}

impl Carrier for Way {
    fn send(&self, message: SocketMessage) -> BoxFuture<'_, Result<(), Closed>> {
        Box::pin(async move {
            let size = message.as_bytes().len().clamp(1, WINDOW) as u32;
            let place = self
                .window
                .clone()
                .acquire_many_owned(size)
                .await
                .map_err(|_| Closed)?;
            let said = Outgoing::Message(message, place);
            self.outgoing.send(said).await.map_err(|_| Closed)
        })
    }

    fn offer(&self, message: SocketMessage) {
        let size = message.as_bytes().len().clamp(1, WAITING) as u32;
        let sent = match self.spare.clone().try_acquire_many_owned(size) {
            Ok(place) => self.outgoing.try_send(Outgoing::Message(message, place)).is_ok(),
            Err(_) => false,
        };
        if !sent {
            self.cut.notify_one();
        }
    }

    fn close(&self, close: Close) {
        if let Err(mpsc::error::TrySendError::Full(said)) = self.outgoing.try_send(Outgoing::Close(close)) {
            let outgoing = self.outgoing.clone();
            tokio::spawn(async move { outgoing.send(said).await });
        }
    }

    fn group(&self) -> Option<(Arc<dyn Group>, Seat)> {
        None
    }
}

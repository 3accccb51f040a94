//! The tasks behind a test WebSocket: they read and write as a browser does, whatever the test waits for.

use super::frames::{self, Frame};
use crate::websocket::opcode::{BINARY, CLOSE, PING, PONG, RSV1, TEXT};
use crate::websocket::{Close, Deflate, SocketMessage};
use bytes::{Bytes, BytesMut};
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// The least free space in the buffer for reading, in bytes.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// The connection of a test WebSocket. Dropping it breaks the connection.
#[derive(Debug)]
pub(super) struct TestConnection {
    messages: mpsc::UnboundedReceiver<SocketMessage>,
    outbound: mpsc::UnboundedSender<Outbound>,
    is_frozen: watch::Sender<bool>,
    ended: Arc<OnceLock<Close>>,
    _tasks: JoinSet<()>,
}

/// A frame to write.
struct Outbound {
    frame: Bytes,
    /// Told when the frame is written.
    written: Option<oneshot::Sender<()>>,
}

impl TestConnection {
    /// Starts the tasks of a connection. `deflate` is the compression that the server accepted.
    pub(super) fn start(stream: DuplexStream, deflate: Option<Deflate>) -> TestConnection {
        let (read_half, write_half) = tokio::io::split(stream);
        let (message_sender, messages) = mpsc::unbounded_channel();
        let (outbound, frames) = mpsc::unbounded_channel();
        let is_frozen = watch::Sender::new(false);
        let ended = Arc::new(OnceLock::new());
        let reader = Reader {
            stream: read_half,
            buffer: BytesMut::new(),
            messages: message_sender,
            outbound: outbound.clone(),
            is_frozen: is_frozen.subscribe(),
            ended: ended.clone(),
            deflate,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(reader.run());
        tasks.spawn(write(write_half, frames));
        TestConnection {
            messages,
            outbound,
            is_frozen,
            ended,
            _tasks: tasks,
        }
    }

    pub(super) async fn recv(&mut self) -> Option<SocketMessage> {
        self.messages.recv().await
    }

    /// Writes a frame, and waits until it is written. Does nothing if the connection is closed.
    pub(super) async fn write(&self, frame: Bytes) {
        let (written, is_written) = oneshot::channel();
        let written = Some(written);
        if self.outbound.send(Outbound { frame, written }).is_ok() {
            // Fails if the connection is lost meanwhile.
            let _ = is_written.await;
        }
    }

    pub(super) fn freeze(&self, is_frozen: bool) {
        self.is_frozen.send_replace(is_frozen);
    }

    pub(super) fn ended(&self) -> Option<&Close> {
        self.ended.get()
    }
}

/// Reads the frames of the server, answers pings and the close, and queues the messages.
struct Reader {
    stream: ReadHalf<DuplexStream>,
    buffer: BytesMut,
    messages: mpsc::UnboundedSender<SocketMessage>,
    outbound: mpsc::UnboundedSender<Outbound>,
    is_frozen: watch::Receiver<bool>,
    ended: Arc<OnceLock<Close>>,
    deflate: Option<Deflate>,
}

impl Reader {
    async fn run(mut self) {
        while let Some(frame) = self.receive().await {
            match frame.opcode() {
                TEXT | BINARY => {
                    let message = self.message(frame);
                    // Fails if the test has dropped the WebSocket.
                    let _ = self.messages.send(message);
                }
                PING => self.reply(frames::encode(PONG, &frame.payload)),
                CLOSE => {
                    let close = frame.close();
                    self.reply(frames::encode_close(&close));
                    let _ = self.ended.set(close);
                    return;
                }
                _ => {}
            }
        }
        let _ = self.ended.set(Close::BROKEN);
    }

    /// Reads the next frame, unless the client is frozen. Returns `None` if the connection is lost.
    async fn receive(&mut self) -> Option<Frame> {
        loop {
            // An error means that the test has dropped the WebSocket.
            self.is_frozen.wait_for(|is_frozen| !is_frozen).await.ok()?;
            if let Some(frame) = frames::decode(&mut self.buffer) {
                return Some(frame);
            }
            self.buffer.reserve(READ_BUFFER_BYTES);
            tokio::select! {
                biased;
                frozen = self.is_frozen.wait_for(|is_frozen| *is_frozen) => drop(frozen.ok()?),
                read = self.stream.read_buf(&mut self.buffer) => {
                    if read.ok()? == 0 {
                        return None;
                    }
                }
            }
        }
    }

    fn message(&self, frame: Frame) -> SocketMessage {
        let payload = match self.deflate {
            Some(deflate) if frame.first & RSV1 != 0 => match deflate.inflate(&frame.payload, usize::MAX) {
                Ok(inflated) => inflated.into(),
                Err(close) => panic!("the server sent a message that cannot be decompressed: {close}"),
            },
            _ => frame.payload.clone(),
        };
        match frame.opcode() {
            TEXT => match String::from_utf8(payload.into()) {
                Ok(text) => SocketMessage::Text(text),
                Err(error) => panic!("the server sent a text message that is not UTF-8: {error}"),
            },
            _ => SocketMessage::Binary(payload),
        }
    }

    fn reply(&self, frame: Bytes) {
        let written = None;
        // Fails if the connection is lost.
        let _ = self.outbound.send(Outbound { frame, written });
    }
}

/// Writes frames until all senders are dropped, or after a close frame: then nothing more may follow.
async fn write(mut stream: WriteHalf<DuplexStream>, mut frames: mpsc::UnboundedReceiver<Outbound>) {
    while let Some(Outbound { frame, written }) = frames.recv().await {
        let is_close = frame.first().is_some_and(|first| first & 0x0f == CLOSE);
        if stream.write_all(&frame).await.is_err() {
            return;
        }
        if let Some(written) = written {
            // Fails if the test does not wait for it.
            let _ = written.send(());
        }
        if is_close {
            break;
        }
    }
    frames.close();
    let _ = stream.shutdown().await;
}

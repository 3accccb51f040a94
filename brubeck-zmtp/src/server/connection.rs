//! One peer that was let in: what it sends goes to the inbox, what is sent to it goes out.

use std::io::{self, ErrorKind};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::router::Refusal;
use crate::codec::PONGS;
use crate::codec::frames::{FrameLimits, Said};
use crate::connection::input::Input;
use crate::connection::reader::discard;
use crate::connection::writer::Output;
use crate::queue::events::{Inlet, Room};
use crate::server::peers::{Connected, size};
use crate::{LINGER, Limits, ServerEvent};

/// Messages that there is room for from batch to batch.
const KEPT: usize = 256;

/// Messages handed on before their answers are written, so that the peer has something to do meanwhile.
const TURN: usize = 16;

/// Turns before other tasks get theirs.
const TURNS: usize = 4;

/// Serves a peer until it goes, breaks a rule, or the socket closes. Its departure is the last that is told of it.
pub async fn serve<R, W>(
    reader: R,
    writer: W,
    connected: Connected,
    inlet: &Inlet<ServerEvent>,
    limits: &Limits,
) -> Result<(), Refusal>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut connection = Connection {
        reader,
        writer,
        input: Input::new(FrameLimits {
            message_bytes: limits.message_bytes,
            frames: limits.frames,
        }),
        came: None,
        more: false,
        turns: TURNS,
        taken: Vec::new(),
        output: Output::default(),
        leaving: (0, 0),
        stalled_at: None,
        pongs: 0,
        connected,
        inlet,
        limits,
    };
    let ended = connection.carry().await;
    if let Ok(End::Closed) = ended {
        discard(&mut connection.reader, Instant::now() + LINGER).await;
    }
    connection.take_leave().await;
    ended.map(drop)
}

/// How a connection ends well.
enum End {
    /// The peer went.
    Left,
    /// The socket is closing, and all has been written.
    Closed,
}

struct Connection<'a, R, W> {
    reader: R,
    writer: W,
    input: Input,
    /// A message that waits for room in the inbox. What came after it stays as it is until then: a peer that sends many
    /// small ones gets no more memory than it has sent.
    came: Option<Vec<Bytes>>,
    /// There may be more in `input` than was handed on at once.
    more: bool,
    /// Turns that are left before other tasks get theirs.
    turns: usize,
    /// Kept from batch to batch, so that none allocates.
    taken: Vec<Vec<Bytes>>,
    output: Output,
    /// Messages and bytes that leave the queue's account when the output is written.
    leaving: (usize, usize),
    /// When the peer will have taken nothing for too long.
    stalled_at: Option<Instant>,
    pongs: usize,
    connected: Connected,
    inlet: &'a Inlet<ServerEvent>,
    limits: &'a Limits,
}

impl<R, W> Connection<'_, R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    async fn carry(&mut self) -> Result<End, Refusal> {
        loop {
            let reads = self.came.is_none() && !self.more && self.pongs < PONGS;
            let (reader, input, turns) = (&mut self.reader, &mut self.input, &mut self.turns);
            let writes = !self.output.is_empty();
            let stalled_at = match writes {
                true => *self
                    .stalled_at
                    .get_or_insert_with(|| Instant::now() + self.limits.write_stall),
                false => Instant::now(),
            };
            tokio::select! {
                // Answers go out before more is asked of the handlers.
                biased;
                () = self.connected.backlog.until_cut() => return Err(Refusal::Cut),
                written = timeout_at(stalled_at, self.output.write_to(&mut self.writer)), if writes => {
                    if written.map_err(|_| Refusal::Stalled)?? == 0 {
                        return Err(io::Error::from(ErrorKind::WriteZero).into());
                    }
                    self.written();
                }
                count = self.connected.backlog.take(&mut self.taken), if !writes => {
                    if count == 0 {
                        self.writer.shutdown().await?;
                        return Ok(End::Closed);
                    }
                    self.queue();
                }
                room = self.inlet.room(), if self.came.is_some() => match (room, self.came.take()) {
                    (Some(room), Some(frames)) => {
                        self.put(room, frames);
                        self.deliver()?;
                    }
                    _ => return Ok(End::Left),
                },
                () = next_turn(turns), if self.more && !writes => self.deliver()?,
                count = async { reader.read_buf(input.room()).await }, if reads => match count? {
                    0 => return Ok(End::Left),
                    count => self.read(count)?,
                },
            }
        }
    }

    /// So many bytes more have come.
    fn read(&mut self, count: usize) -> Result<(), Refusal> {
        self.input.came(count);
        self.deliver()
    }

    /// Hands on what has come, as far as there is room and for one turn.
    fn deliver(&mut self) -> Result<(), Refusal> {
        let inlet = self.inlet;
        // What is answered here is looked at before anything else is waited for.
        self.connected.backlog.awake();
        let mut turn = TURN;
        self.more = false;
        while let Some(said) = self.input.next()? {
            match (said, inlet.room_now()) {
                (Said::Message(frames), Some(room)) => {
                    self.put(room, frames);
                    turn -= 1;
                    if turn == 0 {
                        self.more = true;
                        break;
                    }
                }
                (Said::Message(frames), None) => {
                    self.came = Some(frames);
                    break;
                }
                (Said::Ping(answer), _) => {
                    self.pongs += 1;
                    self.output.put(&answer);
                }
            }
        }
        Ok(())
    }

    fn put(&self, room: Room<'_, ServerEvent>, frames: Vec<Bytes>) {
        let (peer, bytes) = (self.connected.peer.clone(), size(&frames));
        room.put(ServerEvent::Message { peer, frames }, bytes);
    }

    /// Puts what was taken from the queue into the output.
    fn queue(&mut self) {
        for frames in self.taken.drain(..) {
            self.leaving.0 += 1;
            self.leaving.1 += size(&frames);
            self.output.push(frames);
        }
        // An idle peer keeps no large buffer.
        self.taken.shrink_to(KEPT);
    }

    /// The peer took some of the output.
    fn written(&mut self) {
        self.stalled_at = None;
        if self.output.is_empty() {
            let (messages, bytes) = std::mem::take(&mut self.leaving);
            self.connected.backlog.left(messages, bytes);
            self.pongs = 0;
        }
    }

    /// Tells of what came before the end, and of the end.
    async fn take_leave(&mut self) {
        while self.came.is_some() || self.more {
            if let Some(frames) = self.came.take() {
                match self.inlet.room().await {
                    Some(room) => self.put(room, frames),
                    None => return,
                }
            }
            // What breaks the rules is only told of when all before it was.
            if self.deliver().is_err() {
                break;
            }
            yield_now().await;
        }
        if let Some(room) = self.inlet.room().await {
            let peer = self.connected.peer.clone();
            room.put(ServerEvent::Gone { peer }, 0);
        }
    }
}

/// Waits until the next turn may begin.
async fn next_turn(left: &mut usize) {
    if *left == 0 {
        yield_now().await;
        *left = TURNS;
    }
    *left -= 1;
}

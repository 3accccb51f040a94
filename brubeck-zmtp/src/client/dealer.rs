//! The DEALER behind a [`Client`](crate::Client), and who replaces it when it is lost.

use std::io::{self, ErrorKind};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::ClientDriver;
use crate::codec::PONGS;
use crate::codec::frames::{FrameLimits, Said};
use crate::connection::reader::CLOSED;
use crate::connection::writer::Output;
use crate::connection::{Role, Socket, Traffic};
use crate::limits::{FRAMES, LINGER};
use crate::link::reconnect::{Backoff, GOOD};
use crate::link::{End, Line};
use crate::queue::counts::Counters;
use crate::queue::events::Room;
use crate::server::peers::size;
use crate::{ClientEvent, Endpoint, Generation, LinkState, Timing};

/// Messages taken from the queue before they are written, and handed on before others get their turn.
const BATCH: usize = 256;

/// Keeps one connection to `endpoint` until the link is closed.
pub async fn supervise(endpoint: Endpoint, timing: Timing, driver: ClientDriver) {
    let mut dealer = Dealer {
        endpoint,
        timing,
        driver,
        generation: 0,
        answered: false,
    };
    let (end, all_left) = dealer.keep_connected().await;
    dealer.driver.line.state.send_replace(LinkState::Closed);
    if let Some(ask) = end {
        ask.done(all_left);
    }
}

struct Dealer {
    endpoint: Endpoint,
    timing: Timing,
    driver: ClientDriver,
    generation: Generation,
    /// Whether the server said anything on this connection.
    answered: bool,
}

impl Dealer {
    /// Works until the link ends. Tells also whether all that was accepted has left.
    async fn keep_connected(&mut self) -> (End, bool) {
        let mut backoff = Backoff::new(self.timing.backoff_min, self.timing.backoff_max);
        let mut warned = false;
        let role = Role {
            ours: "DEALER",
            theirs: &["ROUTER", "REP", "DEALER"],
            limits: FrameLimits {
                message_bytes: self.timing.message_bytes,
                frames: FRAMES,
            },
            traffic: Traffic::Both,
        };
        loop {
            let attempt = tokio::select! {
                attempt = Socket::connect(&self.endpoint, role, self.timing.connect) => attempt,
                end = self.driver.line.interrupted() => return (end, true),
            };
            match attempt {
                Ok(socket) => {
                    warned = false;
                    let since = Instant::now();
                    if let Some(end) = self.live(socket).await {
                        return end;
                    }
                    if self.answered || since.elapsed() >= GOOD {
                        backoff.reset();
                    }
                }
                Err(error) if !warned => {
                    warned = true;
                    tracing::warn!(endpoint = %self.endpoint, %error, "cannot connect; trying on");
                }
                Err(error) => tracing::debug!(endpoint = %self.endpoint, %error, "still cannot connect"),
            }
            tokio::select! {
                () = sleep(backoff.next()) => {}
                end = self.driver.line.interrupted() => return (end, true),
            }
        }
    }

    /// Lives one connection; gives the end of the link if that came, `None` if only the connection was lost.
    async fn live(&mut self, mut socket: Socket) -> Option<(End, bool)> {
        self.generation += 1;
        self.answered = false;
        let generation = self.generation;
        self.driver.line.state.send_replace(LinkState::Up(generation));
        tracing::debug!(endpoint = %self.endpoint, generation, "connected");
        let ended = match self.driver.line.tell(ClientEvent::Up { generation }).await {
            Ok(()) => self.serve(&mut socket).await,
            Err(end) => Ok(end),
        };
        match ended {
            Err(reason) => {
                self.driver.line.lost();
                drop(socket);
                tracing::warn!(endpoint = %self.endpoint, generation, reason, "the connection is lost; making a new one");
                let down = ClientEvent::Down { generation, reason };
                self.driver.line.tell(down).await.err().map(|end| (end, true))
            }
            Ok(end) => {
                let limit = end.as_ref().map_or(LINGER, |ask| ask.linger);
                let until = Instant::now() + limit;
                let all_left = timeout_at(until, self.send_the_rest(&mut socket)).await;
                let all_left = all_left.is_ok_and(|left| left.is_ok());
                if all_left {
                    socket.incoming.discard(until).await;
                }
                Some((end, all_left))
            }
        }
    }

    /// Carries messages until the link ends; fails, with the reason, if the connection is lost first.
    async fn serve(&mut self, socket: &mut Socket) -> Result<End, String> {
        let generation = self.generation;
        let Line {
            inlet,
            outbox,
            counters,
            stop,
            ..
        } = &mut self.driver.line;
        let Socket {
            incoming,
            writer,
            output,
        } = socket;
        let mut taken = Vec::new();
        let mut pongs = 0;
        // Messages handed on since the last ones were taken from the queue.
        let mut answered = 0;
        let mut stalled_at = None;
        loop {
            let receive = async {
                // Asked first, because what was read cannot be put back.
                let room = inlet.room().await?;
                Some((room, incoming.next().await))
            };
            let writes = !output.is_empty();
            let stalls = match writes {
                true => *stalled_at.get_or_insert_with(|| Instant::now() + self.timing.write_stall),
                false => Instant::now(),
            };
            tokio::select! {
                received = receive, if pongs < PONGS => {
                    let Some((room, said)) = received else {
                        return Ok(None);
                    };
                    self.answered = true;
                    pongs += take(said?, room, generation, output);
                    let mut came = 1;
                    while came < BATCH
                        && let Some(room) = inlet.room_now()
                        && let Some(said) = incoming.here()?
                    {
                        pongs += take(said, room, generation, output);
                        came += 1;
                    }
                    answered += came;
                    if came == BATCH {
                        yield_now().await;
                    }
                }
                written = timeout_at(stalls, output.write_to(writer)), if writes => {
                    let Ok(written) = written else {
                        counters.stalled();
                        return Err("the server does not read its messages".to_owned());
                    };
                    if written.map_err(|error| error.to_string())? == 0 {
                        return Err(CLOSED.to_owned());
                    }
                    stalled_at = None;
                    if output.is_empty() {
                        pongs = 0;
                    }
                }
                count = outbox.recv_many(&mut taken, BATCH), if !writes => {
                    if count == 0 {
                        return Ok(None);
                    }
                    if count < std::mem::take(&mut answered) {
                        // Those who were just answered are about to call again: one write for all costs less.
                        yield_now().await;
                        while taken.len() < BATCH
                            && let Ok(more) = outbox.try_recv()
                        {
                            taken.push(more);
                        }
                    }
                    push(&mut taken, generation, output, counters);
                }
                Ok(()) = self.driver.condemned.changed() => {
                    if *self.driver.condemned.borrow_and_update() == generation {
                        return Err("the server shows no sign of life".to_owned());
                    }
                }
                // A receive that waits for the server does not notice this.
                () = inlet.closed() => return Ok(None),
                ask = stop.asked() => return Ok(Some(ask)),
            }
        }
    }

    /// Sends what was accepted, and says that nothing more comes.
    async fn send_the_rest(&mut self, socket: &mut Socket) -> io::Result<()> {
        let Line { outbox, counters, .. } = &mut self.driver.line;
        outbox.close();
        let mut taken = Vec::new();
        loop {
            while !socket.output.is_empty() {
                if socket.output.write_to(&mut socket.writer).await? == 0 {
                    return Err(ErrorKind::WriteZero.into());
                }
            }
            if outbox.recv_many(&mut taken, BATCH).await == 0 {
                return socket.writer.shutdown().await;
            }
            push(&mut taken, self.generation, &mut socket.output, counters);
        }
    }
}

/// Takes what the server said; gives how many answers to heartbeats that adds to the output.
fn take(said: Said, room: Room<'_, ClientEvent>, generation: Generation, output: &mut Output) -> usize {
    match said {
        Said::Message(frames) => {
            let bytes = size(&frames);
            room.put(ClientEvent::Message { generation, frames }, bytes);
            0
        }
        Said::Ping(answer) => {
            output.put(&answer);
            1
        }
    }
}

/// Puts into the output what is meant for this connection.
fn push(
    taken: &mut Vec<(Generation, Vec<Bytes>)>,
    generation: Generation,
    output: &mut Output,
    counters: &Counters,
) {
    for (meant_for, frames) in taken.drain(..) {
        if meant_for == generation {
            output.push(frames);
            counters.sent();
        } else {
            counters.gone(1);
        }
    }
}

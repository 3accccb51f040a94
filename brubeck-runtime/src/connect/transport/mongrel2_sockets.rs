//! The PULL and the XPUB behind a [`Mongrel2Link`](super::Mongrel2Link), and who replaces them.

use std::future::pending;
use std::pin::pin;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::LinkEvent;
use super::mongrel2_connect::{Sockets, connect};
use brubeck_zmtp::codec::PONGS;
use brubeck_zmtp::codec::frames::Said;
use brubeck_zmtp::connection::Socket;
use brubeck_zmtp::connection::reader::CLOSED;
use brubeck_zmtp::limits::LINGER;
use brubeck_zmtp::link::reconnect::{Backoff, GOOD};
use brubeck_zmtp::link::{End, Line};
use brubeck_zmtp::queue::counts::Counters;
use brubeck_zmtp::queue::events::Inlet;
use brubeck_zmtp::{Endpoint, Generation, LinkState, Timing};

/// Replies taken from the queue before they are written.
const BATCH: usize = 256;

/// Keeps one connection to a Mongrel2 until the link is closed.
pub(crate) async fn supervise(
    send_spec: Endpoint,
    recv_spec: Endpoint,
    timing: Timing,
    line: Line<LinkEvent, Bytes>,
) {
    let mut link = Link {
        send_spec,
        recv_spec,
        timing,
        line,
        generation: 0,
    };
    let (end, all_left) = link.keep_connected().await;
    link.line.state.send_replace(LinkState::Closed);
    if let Some(ask) = end {
        ask.done(all_left);
    }
}

struct Link {
    send_spec: Endpoint,
    recv_spec: Endpoint,
    timing: Timing,
    line: Line<LinkEvent, Bytes>,
    generation: Generation,
}

impl Link {
    /// Works until the link ends. Tells also whether all that was accepted has left.
    async fn keep_connected(&mut self) -> (End, bool) {
        let mut backoff = Backoff::new(self.timing.backoff_min, self.timing.backoff_max);
        let mut warned = false;
        loop {
            let connect = connect(
                self.send_spec.clone(),
                self.recv_spec.clone(),
                self.timing.clone(),
            );
            let attempt = tokio::select! {
                attempt = connect => attempt,
                end = self.line.interrupted() => return (end, true),
            };
            match attempt {
                Ok(sockets) => {
                    warned = false;
                    let since = Instant::now();
                    if let Some(end) = self.live(sockets).await {
                        return end;
                    }
                    if since.elapsed() >= GOOD {
                        backoff.reset();
                    }
                }
                Err(reason) if !warned => {
                    warned = true;
                    tracing::warn!(
                        send_spec = %self.send_spec,
                        recv_spec = %self.recv_spec,
                        reason,
                        "no connection to Mongrel2; trying on"
                    );
                }
                Err(reason) => tracing::debug!(
                    send_spec = %self.send_spec,
                    reason,
                    "still no connection to Mongrel2"
                ),
            }
            tokio::select! {
                () = sleep(backoff.next()) => {}
                end = self.line.interrupted() => return (end, true),
            }
        }
    }

    /// Lives one connection; gives the end of the link if that came, `None` if only the connection was lost.
    async fn live(&mut self, sockets: Sockets) -> Option<(End, bool)> {
        self.generation += 1;
        let generation = self.generation;
        self.line.state.send_replace(LinkState::Up(generation));
        tracing::info!(send_spec = %self.send_spec, generation, "connected to Mongrel2");
        let recv_ident = sockets.recv_ident.clone();
        let ended = match self
            .line
            .tell(LinkEvent::Up {
                generation,
                recv_ident,
            })
            .await
        {
            Ok(()) => self.serve(sockets).await,
            Err(end) => Ok((end, true)),
        };
        match ended {
            Ok(end) => Some(end),
            Err(reason) => {
                self.line.lost();
                tracing::warn!(
                    send_spec = %self.send_spec,
                    generation,
                    reason,
                    "the connection to Mongrel2 is lost; making a new one"
                );
                let down = LinkEvent::Down { generation, reason };
                self.line.tell(down).await.err().map(|end| (end, true))
            }
        }
    }

    /// Carries requests and replies until the link ends; fails, with the reason, if the connection is lost first.
    async fn serve(&mut self, sockets: Sockets) -> Result<(End, bool), String> {
        let Sockets {
            mut requests,
            mut replies,
            ..
        } = sockets;
        let Line {
            inlet,
            outbox,
            counters,
            stop,
            ..
        } = &mut self.line;
        let last = Notify::new();
        // Two loops, not one: Mongrel2 stops reading replies while it waits for us to read a notice about one, so a
        // reply that waits must never keep a request from being read.
        let mut receive = pin!(receive(inlet, &mut requests, self.generation));
        let mut reply = pin!(reply(outbox, &mut replies, self.generation, counters, &last));
        let end = tokio::select! {
            reason = &mut receive => return Err(reason),
            replied = &mut reply => return replied.map(|()| (None, true)),
            () = inlet.closed() => None,
            ask = stop.asked() => Some(ask),
        };
        last.notify_one();
        let limit = end.as_ref().map_or(LINGER, |ask| ask.linger);
        let all_left = tokio::select! {
            replied = &mut reply => replied.is_ok(),
            _ = &mut receive => false,
            () = sleep(limit) => false,
        };
        Ok((end, all_left))
    }
}

/// Puts requests into the inbox, until there is a fault.
async fn receive(inlet: &Inlet<LinkEvent>, requests: &mut Socket, generation: Generation) -> String {
    loop {
        let Some(room) = inlet.room().await else {
            // The end of the inbox is noticed elsewhere.
            return pending().await;
        };
        match requests.message().await {
            Ok(frames) => match <[Bytes; 1]>::try_from(frames) {
                Ok([bytes]) => {
                    let size = bytes.len();
                    room.put(LinkEvent::Message { generation, bytes }, size);
                }
                Err(frames) => tracing::warn!(
                    frames = frames.len(),
                    "dropped a message: Mongrel2 sends single frames"
                ),
            },
            Err(reason) => return reason,
        }
    }
}

/// Sends replies until nobody has any more, or `last` says that no more are to be taken; fails if there is a fault.
async fn reply(
    outbox: &mut mpsc::Receiver<(Generation, Bytes)>,
    replies: &mut Socket,
    generation: Generation,
    counters: &Counters,
    last: &Notify,
) -> Result<(), String> {
    let Socket {
        incoming,
        writer,
        output,
    } = replies;
    let (mut taken, mut leaving) = (Vec::new(), Leaving { counters, replies: 0 });
    let mut pongs = 0;
    loop {
        let writes = !output.is_empty();
        tokio::select! {
            // Waiting is right here: nothing but this Mongrel2 depends on it.
            written = output.write_to(writer), if writes => {
                if written.map_err(|error| error.to_string())? == 0 {
                    return Err(CLOSED.to_owned());
                }
                if output.is_empty() {
                    leaving.have_left();
                    pongs = 0;
                }
            }
            count = outbox.recv_many(&mut taken, BATCH), if !writes => {
                if count == 0 {
                    return writer.shutdown().await.map_err(|error| error.to_string());
                }
                for (meant_for, reply) in taken.drain(..) {
                    match meant_for == generation {
                        true => output.push_frame(reply, false),
                        false => counters.gone(1),
                    }
                    leaving.replies += usize::from(meant_for == generation);
                }
            }
            // Only the reading side notices that Mongrel2 is gone.
            said = incoming.next(), if pongs < PONGS => match said? {
                Said::Message(frames) => {
                    let subscription = frames.into_iter().next().unwrap_or_default();
                    tracing::debug!(subscription = %subscription.escape_ascii(), "Mongrel2 changed its subscription");
                }
                Said::Ping(answer) => {
                    pongs += 1;
                    output.put(&answer);
                }
            },
            () = last.notified() => outbox.close(),
        }
    }
}

/// Replies that are being written; those that have not left by its end are gone.
struct Leaving<'a> {
    counters: &'a Counters,
    replies: usize,
}

impl Leaving<'_> {
    fn have_left(&mut self) {
        (0..std::mem::take(&mut self.replies)).for_each(|_| self.counters.sent());
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.counters.gone(self.replies);
    }
}

//! The DEALER behind a [`Client`](super::super::Client), and who replaces it when it is lost.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};
use zeromq::{DealerSocket, Socket, SocketEvent, SocketRecv, ZmqError, ZmqMessage};

use super::super::client::ClientDriver;
use super::super::inbox::Room;
use super::super::limits::{BATCH, LINGER};
use super::super::link::End;
use super::super::peers::size;
use super::super::{ClientEvent, Endpoint, Generation, LinkState, Timing};
use super::backoff::{Backoff, GOOD};
use super::socket::{self, Monitor, Sent, connecting, reason, send_now, written};

/// Keeps one connection to `endpoint` until the link is closed. Runs on the I/O thread.
pub(super) async fn supervise(endpoint: Endpoint, timing: Timing, driver: ClientDriver) {
    let mut dealer = Dealer {
        address: endpoint.to_string(),
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
    address: String,
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
        loop {
            let connect = connect(self.address.clone(), self.timing.connect);
            let attempt = tokio::select! {
                attempt = connect => attempt,
                end = self.driver.line.interrupted() => return (end, true),
            };
            match attempt {
                Ok((socket, monitor)) => {
                    warned = false;
                    let since = Instant::now();
                    if let Some(end) = self.live(socket, monitor).await {
                        return end;
                    }
                    if self.answered || since.elapsed() >= GOOD {
                        backoff.reset();
                    }
                }
                Err(error) if !warned => {
                    warned = true;
                    tracing::warn!(endpoint = %self.address, %error, "cannot connect; trying on");
                }
                Err(error) => tracing::debug!(endpoint = %self.address, %error, "still cannot connect"),
            }
            tokio::select! {
                () = sleep(backoff.next()) => {}
                end = self.driver.line.interrupted() => return (end, true),
            }
        }
    }

    /// Lives one connection; gives the end of the link if that came, `None` if only the connection was lost.
    async fn live(&mut self, mut socket: DealerSocket, mut monitor: Monitor) -> Option<(End, bool)> {
        self.generation += 1;
        self.answered = false;
        let generation = self.generation;
        self.driver.line.state.send_replace(LinkState::Up(generation));
        tracing::debug!(endpoint = %self.address, generation, "connected");
        let ended = match self.driver.line.tell(ClientEvent::Up { generation }).await {
            Ok(()) => self.serve(&mut socket, &mut monitor).await,
            Err(end) => Ok(end),
        };
        match ended {
            Err(reason) => {
                self.driver.line.lost();
                drop(socket);
                tracing::warn!(endpoint = %self.address, generation, reason, "the connection is lost; making a new one");
                let down = ClientEvent::Down { generation, reason };
                self.driver.line.tell(down).await.err().map(|end| (end, true))
            }
            Ok(end) => {
                let limit = end.as_ref().map_or(LINGER, |ask| ask.linger);
                let all_left = self.close(socket, monitor, limit).await;
                Some((end, all_left))
            }
        }
    }

    /// Carries messages until the link ends; fails, with the reason, if the connection is lost first.
    async fn serve(&mut self, socket: &mut DealerSocket, monitor: &mut Monitor) -> Result<End, String> {
        let generation = self.generation;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let receive = async {
                let room = self.driver.line.inlet.room().await?;
                Some((room, socket.recv().await))
            };
            tokio::select! {
                received = receive => match received {
                    Some((room, Ok(message))) => {
                        put(room, generation, message);
                        self.answered = true;
                        self.receive_more(socket)?;
                    }
                    // The crate goes on giving errors for ever, and never reconnects: the first one is the end.
                    Some((_, Err(error))) => return Err(reason(&error)),
                    None => return Ok(None),
                },
                taken = self.driver.line.outbox.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return Ok(None);
                    }
                    self.send_all(socket, &mut batch)?;
                    // Without this a busy outbox would starve every other task of the thread.
                    tokio::task::yield_now().await;
                }
                Some(event) = monitor.next() => {
                    if let SocketEvent::Disconnected(_) = event {
                        return Err("the server closed the connection".to_owned());
                    }
                }
                Ok(()) = self.driver.condemned.changed() => {
                    if *self.driver.condemned.borrow_and_update() == generation {
                        return Err("the server shows no sign of life".to_owned());
                    }
                }
                // A receive that waits for the server does not notice this.
                () = self.driver.line.inlet.closed() => return Ok(None),
                ask = self.driver.line.stop.asked() => return Ok(Some(ask)),
            }
        }
    }

    /// Takes what has come as well, before anything else is looked at; fails, with the reason, if the connection is lost.
    fn receive_more(&self, socket: &mut DealerSocket) -> Result<(), String> {
        for _ in 0..BATCH {
            let Some(room) = self.driver.line.inlet.room_now() else {
                break;
            };
            match socket.recv().now_or_never() {
                Some(Ok(message)) => put(room, self.generation, message),
                Some(Err(error)) => return Err(reason(&error)),
                None => break,
            }
        }
        Ok(())
    }

    /// Sends a batch; fails, with the reason, if the connection is no good.
    fn send_all(
        &self,
        socket: &mut DealerSocket,
        batch: &mut Vec<(Generation, Vec<Bytes>)>,
    ) -> Result<(), String> {
        let counters = &self.driver.line.counters;
        let mut messages = batch.drain(..);
        while let Some((meant_for, frames)) = messages.next() {
            if meant_for != self.generation {
                counters.gone(1);
                continue;
            }
            let Ok(message) = ZmqMessage::try_from(frames) else {
                continue;
            };
            let reason = match send_now(socket, message) {
                Sent::Yes => {
                    counters.sent();
                    continue;
                }
                Sent::Gone => {
                    counters.gone(1);
                    "the server is gone"
                }
                Sent::Stalled => {
                    counters.stalled();
                    "the server does not read its messages"
                }
            };
            counters.gone(messages.len());
            return Err(reason.to_owned());
        }
        Ok(())
    }

    /// Sends what was accepted, then lets the socket go. Returns whether all of it left the process.
    async fn close(&mut self, mut socket: DealerSocket, mut monitor: Monitor, limit: Duration) -> bool {
        self.driver.line.outbox.close();
        let mut batch = Vec::with_capacity(BATCH);
        let mut sent = Ok(());
        while sent.is_ok() && self.driver.line.outbox.recv_many(&mut batch, BATCH).await > 0 {
            sent = self.send_all(&mut socket, &mut batch);
            tokio::task::yield_now().await;
        }
        drop(socket);
        timeout(limit, written(&mut monitor)).await.is_ok() && sent.is_ok()
    }
}

fn put(room: Room<'_, ClientEvent>, generation: Generation, message: ZmqMessage) {
    let frames = message.into_vec();
    let bytes = size(&frames);
    room.put(ClientEvent::Message { generation, frames }, bytes);
}

async fn connect(address: String, timeout: Duration) -> Result<(DealerSocket, Monitor), ZmqError> {
    let mut socket = DealerSocket::with_options(connecting(timeout)?);
    let monitor = socket::monitor(&mut socket);
    socket.connect(&address).await?;
    Ok((socket, monitor))
}

//! What callers say.

use bytes::Bytes;

use super::guest::IDLE;
use super::{Worker, WorkerAction};
use crate::rpc::codec::{Code, Envelope, Failure, Kind, Message, limits};
use crate::rpc::core::session::Dropped;

impl Worker {
    pub(super) fn frames(&mut self, peer: &Bytes, frames: &[Bytes], actions: &mut Vec<WorkerAction>) {
        let Ok(envelope) = Envelope::read(frames) else {
            self.counters.unreadable += 1;
            return;
        };
        match envelope.head().kind {
            Kind::Hello | Kind::Proof if envelope.size() > limits::MAX_UNPROVEN => {
                self.counters.oversized += 1
            }
            Kind::Hello => self.hello(peer, &envelope, actions),
            Kind::Proof if !self.guests.contains_key(&envelope.head().session) => {
                self.proof(peer, &envelope, actions)
            }
            _ => self.in_session(peer, &envelope, actions),
        }
    }

    fn in_session(&mut self, peer: &Bytes, envelope: &Envelope, actions: &mut Vec<WorkerAction>) {
        let id = envelope.head().session;
        let Some(guest) = self.guests.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        if guest.peer != *peer {
            self.counters.forged += 1;
            return;
        }
        let opened = guest.session.open(envelope);
        match opened {
            Ok((message, acknowledged)) => {
                guest.heard = self.now;
                guest.acknowledged = acknowledged;
                guest.window.acknowledge(acknowledged, self.now);
                self.release(id, actions);
                self.take_in(id, message, actions);
            }
            Err(Dropped::Unreadable(unreadable)) => {
                guest.heard = self.now;
                self.counters.unreadable += 1;
                if let Some(call) = unreadable.call.filter(|call| *call > guest.last_call) {
                    guest.last_call = call;
                    let error = Failure::new(Code::BadRequest, unreadable.error.to_string());
                    self.fail(id, call, error, actions);
                }
            }
            Err(Dropped::Forged) => self.counters.forged += 1,
            Err(Dropped::Replayed) => self.counters.replayed += 1,
        }
    }

    fn take_in(&mut self, id: u64, message: Message, actions: &mut Vec<WorkerAction>) {
        match message {
            Message::Request(request) => self.request(id, request, actions),
            Message::Cancel { call } => self.cancel(id, call, actions),
            Message::Ping { stamp, last_call } => {
                let Some(guest) = self.guests.get_mut(&id) else {
                    return;
                };
                guest.last_call = guest.last_call.max(last_call);
                if guest.active && guest.calls.is_empty() && self.now >= guest.last_request + IDLE {
                    guest.active = false;
                    self.active -= 1;
                }
                let pong = Message::Pong {
                    stamp,
                    limit: self.limit(id),
                };
                self.send_or_drop(id, &pong, actions);
            }
            Message::Bye { .. } => self.end_session(id, actions),
            _ => self.counters.unexpected += 1,
        }
    }
}

//! The handshake that opens a session with a caller. Peers that have not proved anything yet hold little and not for long.

use bytes::Bytes;

use super::peer_session::Guest;
use super::{Due, Worker, WorkerAction};
use crate::rpc::codec::{
    Denial, Hello, Proof, RawMessage, SessionKeys, VERSION, Welcome, WireMessage, encode_unsealed,
};
use crate::rpc::core::Moment;
use crate::rpc::core::collections::DequeMap;
use crate::rpc::core::session::Session;
use std::time::Duration;

/// How often one peer is challenged within the time that it has.
const MAX_CHALLENGES: u8 = 8;

/// The shortest and the longest heartbeat_interval of a caller.
const HEARTBEAT_INTERVAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));

/// A peer that was challenged.
#[derive(Debug)]
pub(super) struct Unproven {
    pub(super) peer: Bytes,
    session: u64,
    hello: Bytes,
    challenge: Vec<Bytes>,
    since: Moment,
    challenges: u8,
    /// Its proof was wrong; it gets no second try with this challenge.
    failed: bool,
}

impl Worker {
    pub(super) fn hello(&mut self, peer: &Bytes, raw: &RawMessage, actions: &mut Vec<WorkerAction>) {
        let Some(Ok(WireMessage::Hello(hello))) = raw.decode_unsealed() else {
            self.counters.unreadable += 1;
            return;
        };
        if hello.version < VERSION {
            return self.deny(peer, Denial::Version, actions);
        }
        let known = self.unproven.iter().position(|unproven| unproven.peer == *peer);
        if let Some(unproven) = known.and_then(|known| self.unproven.get_mut(known)) {
            if unproven.challenges >= MAX_CHALLENGES {
                self.counters.oversized += 1;
                return;
            }
            unproven.challenges += 1;
            if unproven.hello == raw.frame() && !unproven.failed {
                // The same message once more: the same answer, so that either of them opens the session.
                let frames = unproven.challenge.clone();
                return actions.push(WorkerAction::Send {
                    peer: peer.clone(),
                    frames,
                });
            }
        }
        let (session, frames) = self.challenge();
        let hello = raw.frame().clone();
        match known.and_then(|known| self.unproven.get_mut(known)) {
            Some(unproven) => {
                (unproven.session, unproven.hello, unproven.failed) = (session, hello, false);
                unproven.challenge.clone_from(&frames);
            }
            None => {
                if self.unproven.is_empty() {
                    self.timers.set(self.now + self.config.handshake, Due::Unproven);
                }
                self.unproven.push_back(Unproven {
                    peer: peer.clone(),
                    session,
                    hello,
                    challenge: frames.clone(),
                    since: self.now,
                    challenges: 1,
                    failed: false,
                });
                if self.unproven.len() > self.config.max_unproven {
                    // The oldest goes: whoever floods this has to be faster than an honest caller answers.
                    self.unproven.pop_front();
                    self.counters.unproven += 1;
                }
            }
        }
        actions.push(WorkerAction::Send {
            peer: peer.clone(),
            frames,
        });
    }

    fn challenge(&mut self) -> (u64, Vec<Bytes>) {
        let mut session = self.entropy.number();
        while session == 0 || self.guests.contains_key(&session) {
            session = self.entropy.number();
        }
        let hello = Hello {
            version: VERSION,
            features: 0,
            nonce: self.entropy.bytes(),
        };
        // A challenge has no field that could be too long.
        (
            session,
            encode_unsealed(&WireMessage::Challenge(hello), session).unwrap_or_default(),
        )
    }

    pub(super) fn forget_unproven(&mut self) {
        let (now, handshake) = (self.now, self.config.handshake);
        while self
            .unproven
            .front()
            .is_some_and(|oldest| oldest.since + handshake <= now)
        {
            self.unproven.pop_front();
            self.counters.unproven += 1;
        }
        if let Some(oldest) = self.unproven.front() {
            self.timers.set(oldest.since + handshake, Due::Unproven);
        }
    }

    pub(super) fn proof(&mut self, peer: &Bytes, raw: &RawMessage, actions: &mut Vec<WorkerAction>) {
        let session = raw.head().session;
        let known = self
            .unproven
            .iter()
            .position(|unproven| unproven.session == session && unproven.peer == *peer);
        let Some(unproven) = known
            .and_then(|known| self.unproven.get(known))
            .filter(|unproven| !unproven.failed)
        else {
            self.counters.unknown += 1;
            return;
        };
        let Some((session, proof)) = self.proven(unproven, raw) else {
            if let Some(unproven) = known.and_then(|known| self.unproven.get_mut(known)) {
                unproven.failed = true;
            }
            self.counters.forged += 1;
            return self.deny(peer, Denial::Passphrase, actions);
        };
        if let Some(known) = known {
            self.unproven.remove(known);
        }
        if self.guests.len() >= self.config.max_sessions {
            return self.deny(peer, Denial::Full, actions);
        }
        self.open_session(peer, session, proof, actions);
    }

    /// The session that this proof opens, with whichever passphrase.
    fn proven(&self, unproven: &Unproven, raw: &RawMessage) -> Option<(Session, Proof)> {
        let challenge = unproven.challenge.first()?;
        let passphrases = std::iter::once(&self.config.passphrase).chain(&self.config.previous_passphrase);
        passphrases.into_iter().find_map(|passphrase| {
            let keys = SessionKeys::derive(passphrase, &unproven.hello, challenge);
            let mut session = Session::new(unproven.session, keys.to_caller, keys.to_worker);
            match session.open(raw) {
                Ok((WireMessage::Proof(proof), _)) => Some((session, proof)),
                _ => None,
            }
        })
    }

    fn open_session(
        &mut self,
        peer: &Bytes,
        session: Session,
        proof: Proof,
        actions: &mut Vec<WorkerAction>,
    ) {
        let id = session.id();
        // Whoever opens a session from the same place has no use for the one before.
        if let Some(before) = self.by_peer.insert(peer.clone(), id) {
            self.end_session(before, actions);
            self.by_peer.insert(peer.clone(), id);
        }
        let (shortest, longest) = HEARTBEAT_INTERVAL;
        let guest = Guest {
            peer: peer.clone(),
            session,
            heard: self.now,
            heartbeat_interval: Duration::from_millis(proof.heartbeat_ms.into()).clamp(shortest, longest),
            max_body: usize::try_from(proof.max_body).unwrap_or(usize::MAX),
            last_call: 0,
            calls: DequeMap::new(),
            window: Default::default(),
            active: true,
            last_request: self.now,
            told: 0,
            farewell: None,
            acknowledged: 0,
        };
        self.timers.set(guest.silent_at(), Due::Silence(id));
        self.guests.insert(id, guest);
        self.active += 1;
        self.counters.sessions += 1;
        let welcome = WireMessage::Welcome(Welcome {
            limit: self.limit(id),
            max_body: u32::try_from(self.config.max_body).unwrap_or(u32::MAX),
            name: self.config.name.clone(),
        });
        self.send_or_drop(id, &welcome, actions);
        if self.draining {
            self.send_or_hold(id, WireMessage::Draining, actions);
        }
    }

    fn deny(&mut self, peer: &Bytes, denial: Denial, actions: &mut Vec<WorkerAction>) {
        self.counters.denied += 1;
        // A denial has no field that could be too long.
        if let Ok(frames) = encode_unsealed(&WireMessage::Denied(denial), 0) {
            actions.push(WorkerAction::Send {
                peer: peer.clone(),
                frames,
            });
        }
    }
}

//! The worker's side of the handshake that opens a session.
//!
//! Peers are not authenticated before the proof. Memory for them is therefore bounded: per peer, in number, and in time.

use bytes::Bytes;

use super::session::{PeerSession, Window};
use super::{Worker, WorkerAction, WorkerTimer};
use crate::rpc::codec::{
    Denial, Hello, Proof, RawMessage, SessionKeys, VERSION, Welcome, WireMessage, encode_unsealed,
};
use crate::rpc::core::channel::SecureChannel;
use crate::rpc::core::collections::DequeMap;
use crate::rpc::core::{MAX_HEARTBEAT_INTERVAL, MIN_HEARTBEAT_INTERVAL, Moment};
use std::time::Duration;

/// The maximum number of challenges that one peer gets within the handshake timeout.
const MAX_CHALLENGES: u8 = 8;

/// A peer that was sent a challenge.
#[derive(Debug)]
pub(super) struct PendingHandshake {
    pub(super) peer: Bytes,
    session: u64,
    hello: Bytes,
    challenge: Vec<Bytes>,
    since: Moment,
    challenges_sent: u8,
    /// The peer sent a wrong proof. It must begin again: its next hello gets a new challenge.
    failed: bool,
}

impl Worker {
    /// Handles a hello: sends a challenge, or a denial if the version is too old. Ignores a peer that got too many challenges.
    pub(super) fn hello(&mut self, peer: &Bytes, raw: &RawMessage<'_>, actions: &mut Vec<WorkerAction>) {
        let Some(Ok(WireMessage::Hello(hello))) = raw.decode_unsealed() else {
            self.counters.invalid += 1;
            return;
        };
        if hello.version < VERSION {
            return self.deny(peer, Denial::Version, actions);
        }
        let index = self
            .pending_handshakes
            .iter()
            .position(|handshake| handshake.peer == *peer);
        if let Some(handshake) = index.and_then(|index| self.pending_handshakes.get_mut(index)) {
            if handshake.challenges_sent >= MAX_CHALLENGES {
                self.counters.oversized += 1;
                return;
            }
            handshake.challenges_sent += 1;
            if handshake.hello == *raw.frame() && !handshake.failed {
                // A repeated hello gets the same challenge, so that either copy opens the session.
                let frames = handshake.challenge.clone();
                return actions.push(WorkerAction::Send {
                    peer: peer.clone(),
                    frames,
                });
            }
        }
        let (session, frames) = self.challenge();
        let hello = raw.frame().clone();
        match index.and_then(|index| self.pending_handshakes.get_mut(index)) {
            Some(handshake) => {
                handshake.session = session;
                handshake.hello = hello;
                handshake.failed = false;
                handshake.challenge.clone_from(&frames);
            }
            None => self.add_handshake(PendingHandshake {
                peer: peer.clone(),
                session,
                hello,
                challenge: frames.clone(),
                since: self.now,
                challenges_sent: 1,
                failed: false,
            }),
        }
        actions.push(WorkerAction::Send {
            peer: peer.clone(),
            frames,
        });
    }

    fn add_handshake(&mut self, handshake: PendingHandshake) {
        // A timer for an earlier handshake expires earlier, and is then set again.
        if !std::mem::replace(&mut self.handshake_timer_set, true) {
            let timeout = self.now + self.config.handshake_timeout;
            self.timers.set(timeout, WorkerTimer::Handshake);
        }
        self.pending_handshakes.push_back(handshake);
        if self.pending_handshakes.len() > self.config.max_pending_handshakes {
            // Drop the oldest one: a flood of hellos blocks an honest caller only if this many arrive before its proof.
            self.pending_handshakes.pop_front();
            self.counters.handshakes_dropped += 1;
        }
    }

    /// Creates a challenge with a new session id.
    fn challenge(&mut self) -> (u64, Vec<Bytes>) {
        let mut session = self.entropy.number();
        while session == 0 || self.sessions.contains_key(&session) {
            session = self.entropy.number();
        }
        let hello = Hello {
            version: VERSION,
            features: 0,
            nonce: self.entropy.bytes(),
        };
        // Encoding cannot fail: a challenge has no field of variable length.
        let frames = encode_unsealed(&WireMessage::Challenge(hello), session).unwrap_or_default();
        (session, frames)
    }

    /// Handles the handshake timer: drops the handshakes that have timed out, and sets the timer for the next one.
    pub(super) fn expire_handshakes(&mut self) {
        let (now, timeout) = (self.now, self.config.handshake_timeout);
        while self
            .pending_handshakes
            .front()
            .is_some_and(|oldest| oldest.since + timeout <= now)
        {
            self.pending_handshakes.pop_front();
            self.counters.handshakes_dropped += 1;
        }
        self.handshake_timer_set = false;
        if let Some(oldest) = self.pending_handshakes.front() {
            self.handshake_timer_set = true;
            self.timers.set(oldest.since + timeout, WorkerTimer::Handshake);
        }
    }

    /// Handles a proof: opens the session if the caller knows the passphrase and there is room for it, or denies it.
    pub(super) fn proof(&mut self, peer: &Bytes, raw: &RawMessage<'_>, actions: &mut Vec<WorkerAction>) {
        let session = raw.head().session;
        let index = self
            .pending_handshakes
            .iter()
            .position(|handshake| handshake.session == session && handshake.peer == *peer);
        let Some(handshake) = index
            .and_then(|index| self.pending_handshakes.get(index))
            .filter(|handshake| !handshake.failed)
        else {
            self.counters.unknown_session += 1;
            return;
        };
        let Some((channel, proof)) = self.verify_proof(handshake, raw) else {
            if let Some(handshake) = index.and_then(|index| self.pending_handshakes.get_mut(index)) {
                handshake.failed = true;
            }
            self.counters.forged += 1;
            return self.deny(peer, Denial::Passphrase, actions);
        };
        if let Some(index) = index {
            self.pending_handshakes.remove(index);
        }
        if self.sessions.len() >= self.config.max_sessions {
            return self.deny(peer, Denial::Full, actions);
        }
        self.open_session(peer, channel, proof, actions);
    }

    /// Verifies a proof with the current and the previous passphrase.
    fn verify_proof(
        &self,
        handshake: &PendingHandshake,
        raw: &RawMessage<'_>,
    ) -> Option<(SecureChannel, Proof)> {
        let challenge = handshake.challenge.first()?;
        let passphrases = std::iter::once(&self.config.passphrase).chain(&self.config.previous_passphrase);
        passphrases.into_iter().find_map(|passphrase| {
            let keys = SessionKeys::derive(passphrase, &handshake.hello, challenge);
            let mut channel = SecureChannel::new(handshake.session, keys.to_caller, keys.to_worker);
            match channel.open(raw) {
                Ok((WireMessage::Proof(proof), _)) => Some((channel, proof)),
                _ => None,
            }
        })
    }

    fn open_session(
        &mut self,
        peer: &Bytes,
        channel: SecureChannel,
        proof: Proof,
        actions: &mut Vec<WorkerAction>,
    ) {
        let id = channel.session();
        // A connection has one session: a new one replaces the previous one.
        if let Some(previous) = self.session_ids.insert(peer.clone(), id) {
            self.end_session(previous, actions);
        }
        let session = PeerSession {
            peer: peer.clone(),
            channel,
            last_seen: self.now,
            heartbeat_interval: Duration::from_millis(proof.heartbeat_ms.into())
                .clamp(MIN_HEARTBEAT_INTERVAL, MAX_HEARTBEAT_INTERVAL),
            max_body: usize::try_from(proof.max_body).unwrap_or(usize::MAX),
            last_request_id: 0,
            requests: DequeMap::new(),
            window: Window::default(),
            active: true,
            last_request_at: self.now,
            advertised_limit: 0,
            drain_notice: None,
            acknowledged: 0,
        };
        self.timers.set(session.dead_at(), WorkerTimer::Heartbeat(id));
        self.sessions.insert(id, session);
        self.active_sessions += 1;
        self.counters.sessions += 1;
        let welcome = WireMessage::Welcome(Welcome {
            limit: self.limit(id),
            max_body: self.config.max_body as u64,
            name: self.config.name.clone(),
        });
        self.send_or_drop(id, &welcome, actions);
        if self.draining {
            self.send_or_hold(id, WireMessage::Draining, actions);
        }
    }

    fn deny(&mut self, peer: &Bytes, denial: Denial, actions: &mut Vec<WorkerAction>) {
        self.counters.denied += 1;
        actions.push(WorkerAction::Denied { reason: denial });
        // Encoding cannot fail: a denial has no field of variable length.
        if let Ok(frames) = encode_unsealed(&WireMessage::Denied(denial), 0) {
            actions.push(WorkerAction::Send {
                peer: peer.clone(),
                frames,
            });
        }
    }
}

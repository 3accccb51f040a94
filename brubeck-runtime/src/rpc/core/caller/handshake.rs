//! The handshake that opens a session with a worker: hello, challenge, proof, welcome.

use super::peer::{Ready, State};
use super::{Caller, CallerAction, PeerId};
use crate::rpc::codec::{Hello, Proof, RawMessage, SessionKeys, VERSION, WireMessage, encode_unsealed};
use crate::rpc::core::session::Session;

impl Caller {
    pub(super) fn link_up(&mut self, id: PeerId, link: u64, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get(&id).filter(|peer| link > peer.link) else {
            self.counters.stale += 1;
            return;
        };
        if !matches!(peer.state, State::Down) {
            self.end_session(id, None, actions);
        }
        let hello = WireMessage::Hello(Hello {
            version: VERSION,
            features: 0,
            nonce: self.entropy.bytes(),
        });
        // A hello has no field that could be too long.
        let Ok(frames) = encode_unsealed(&hello, 0) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.link = link;
        peer.state = State::Greeting {
            since: self.now,
            hello: frames.first().cloned().unwrap_or_default(),
        };
        actions.push(CallerAction::Send {
            peer: id,
            link,
            frames,
            call: None,
        });
        self.arm(id);
    }

    pub(super) fn answer_to_hello(&mut self, id: PeerId, raw: &RawMessage, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        match (raw.decode_unsealed(), &peer.state) {
            (
                Some(Ok(WireMessage::Challenge(Hello { version: VERSION, .. }))),
                State::Greeting { since, hello },
            ) => {
                let keys = SessionKeys::derive(&self.config.passphrase, hello, raw.frame());
                let mut session = Session::new(raw.head().session, keys.to_worker, keys.to_caller);
                let milliseconds =
                    u32::try_from(self.config.heartbeat_interval.as_millis()).unwrap_or(u32::MAX);
                let proof = WireMessage::Proof(Proof {
                    heartbeat_ms: milliseconds,
                    max_body: u32::try_from(self.config.max_body).unwrap_or(u32::MAX),
                    name: self.config.name.clone(),
                });
                let since = *since;
                match session.seal(&proof) {
                    Ok(frames) => {
                        peer.state = State::Proving {
                            since,
                            session: Box::new(session),
                        };
                        actions.push(CallerAction::Send {
                            peer: id,
                            link: peer.link,
                            frames,
                            call: None,
                        });
                    }
                    // Names are cut to length, and nothing else can be too long.
                    Err(_) => self.counters.misused += 1,
                }
            }
            (Some(Ok(WireMessage::Denied(denial))), _) => {
                peer.doubtful = true;
                peer.denied = Some(denial);
                self.counters.denied += 1;
                self.drop_link(id, "it denied a session", None, actions);
            }
            (Some(Err(_)), _) => self.counters.unreadable += 1,
            _ => self.counters.unexpected += 1,
        }
    }

    pub(super) fn answer_to_proof(&mut self, id: PeerId, raw: &RawMessage) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let State::Proving { session, .. } = &mut peer.state else {
            return;
        };
        match session.open(raw) {
            Ok((WireMessage::Welcome(welcome), _)) => {
                let State::Proving { session, .. } = std::mem::replace(&mut peer.state, State::Down) else {
                    return;
                };
                let ready = Ready::new(*session, self.now, welcome.limit, &self.config);
                peer.state = State::Ready(Box::new(ready));
                (peer.grace, peer.doubtful, peer.denied) = (None, false, None);
                peer.busy_until = self.now;
                self.counters.sessions += 1;
                self.arm(id);
            }
            Ok(_) => self.counters.unexpected += 1,
            Err(dropped) => self.count_dropped(&dropped),
        }
    }
}

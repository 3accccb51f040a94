//! The caller's side of the handshake that opens a session: `hello`, `challenge`, `proof`, `welcome`.

use super::peer::{PeerState, ReadySession};
use super::{Caller, CallerAction, PeerId};
use crate::rpc::codec::{Hello, Proof, RawMessage, SessionKeys, VERSION, WireMessage, encode_unsealed};
use crate::rpc::core::channel::SecureChannel;

impl Caller {
    /// Begins the handshake on a new link. Ends a session on an older one.
    pub(super) fn link_up(&mut self, id: PeerId, link: u64, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get(&id).filter(|peer| link > peer.link) else {
            self.counters.stale += 1;
            return;
        };
        if !matches!(peer.state, PeerState::Disconnected) {
            self.end_session(id, None, actions);
        }
        let hello = WireMessage::Hello(Hello {
            version: VERSION,
            features: 0,
            nonce: self.entropy.bytes(),
        });
        // Encoding cannot fail: a hello has no field of variable length.
        let Ok(frames) = encode_unsealed(&hello, 0) else {
            return;
        };
        // `end_session` may have removed the peer.
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.link = link;
        peer.state = PeerState::AwaitingChallenge {
            since: self.now,
            hello: frames.first().cloned().unwrap_or_default(),
        };
        actions.push(CallerAction::Send {
            peer: id,
            link,
            frames,
            call: None,
        });
        self.schedule_wake(id);
    }

    /// Handles a message without an authentication code: a challenge or a denial.
    pub(super) fn handle_unsealed(
        &mut self,
        id: PeerId,
        raw: &RawMessage<'_>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        match (raw.decode_unsealed(), &peer.state) {
            (
                Some(Ok(WireMessage::Challenge(Hello { version: VERSION, .. }))),
                PeerState::AwaitingChallenge { since, hello },
            ) => {
                let keys = SessionKeys::derive(&self.config.passphrase, hello, raw.frame());
                let mut channel = SecureChannel::new(raw.head().session, keys.to_worker, keys.to_caller);
                let heartbeat_ms =
                    u32::try_from(self.config.heartbeat_interval.as_millis()).unwrap_or(u32::MAX);
                let proof = WireMessage::Proof(Proof {
                    heartbeat_ms,
                    max_body: self.config.max_body as u64,
                    name: self.config.name.clone(),
                });
                let since = *since;
                match channel.seal(&proof) {
                    Ok(frames) => {
                        peer.state = PeerState::AwaitingWelcome {
                            since,
                            channel: Box::new(channel),
                        };
                        actions.push(CallerAction::Send {
                            peer: id,
                            link: peer.link,
                            frames,
                            call: None,
                        });
                    }
                    // Unreachable: the name is truncated, and no other field has a variable length.
                    Err(_) => self.counters.misused += 1,
                }
            }
            (Some(Ok(WireMessage::Denied(denial))), _) => {
                peer.last_attempt_failed = true;
                peer.denied = Some(denial);
                self.counters.denied += 1;
                self.drop_link(id, denial.advice(), None, actions);
            }
            (Some(Err(_)), _) => self.counters.invalid += 1,
            _ => self.counters.unexpected += 1,
        }
    }

    /// Handles a sealed message before the session is open. A welcome opens it, all other messages are dropped.
    pub(super) fn handle_welcome(
        &mut self,
        id: PeerId,
        raw: &RawMessage<'_>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let PeerState::AwaitingWelcome { channel, .. } = &mut peer.state else {
            return;
        };
        match channel.open(raw) {
            Ok((WireMessage::Welcome(welcome), _)) => {
                let PeerState::AwaitingWelcome { channel, .. } =
                    std::mem::replace(&mut peer.state, PeerState::Disconnected)
                else {
                    return;
                };
                let ready = ReadySession::new(*channel, self.now, welcome.limit, &self.config);
                peer.state = PeerState::Ready(Box::new(ready));
                peer.connect_grace_until = None;
                peer.last_attempt_failed = false;
                peer.denied = None;
                peer.busy_until = self.now;
                self.counters.sessions += 1;
                actions.push(CallerAction::SessionOpened { peer: id });
                self.schedule_wake(id);
            }
            Ok(_) => self.counters.unexpected += 1,
            Err(error) => self.count_open_error(&error),
        }
    }
}

//! The caller's side of the handshake that opens a session: `hello`, `welcome`.

use super::completion::CONNECTION_CLOSED;
use super::peer::{PeerState, ReadySession};
use super::{Caller, CallerAction, PeerId};
use crate::rpc::codec::{Hello, Position, RawMessage, VERSION, Welcome, WireMessage, encode};
use crate::rpc::core::channel::SessionChannel;

impl Caller {
    /// Begins the handshake on a new link. Ends a session on an older one.
    pub(super) fn link_up(&mut self, id: PeerId, link: u64, actions: &mut Vec<CallerAction>) {
        let Some(peer) = self.peers.get(&id).filter(|peer| link > peer.link) else {
            self.counters.stale += 1;
            return;
        };
        if !matches!(peer.state, PeerState::Disconnected) {
            self.end_session(id, None, CONNECTION_CLOSED, actions);
        }
        let hello = WireMessage::Hello(Hello {
            version: VERSION,
            features: 0,
            heartbeat_ms: u32::try_from(self.config.heartbeat_interval.as_millis()).unwrap_or(u32::MAX),
            max_body: self.config.max_body as u64,
            name: self.config.name.clone(),
            service: self.config.service.clone(),
        });
        // Encoding cannot fail: the names are truncated, and no other field has a variable length.
        let Ok(frames) = encode(&hello, Position::NONE) else {
            return;
        };
        // `end_session` may have removed the peer.
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.link = link;
        peer.state = PeerState::AwaitingWelcome { since: self.now };
        actions.push(CallerAction::Send {
            peer: id,
            link,
            frames,
            call: None,
        });
        self.schedule_wake(id);
    }

    /// Handles a message before the session is open: a welcome opens it.
    pub(super) fn handle_handshake(
        &mut self,
        id: PeerId,
        raw: &RawMessage<'_>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        match raw.decode() {
            Ok(WireMessage::Welcome(welcome @ Welcome { version: VERSION, .. })) => {
                let head = raw.head();
                let channel = SessionChannel::new(head.session, head.counter);
                let ready = ReadySession::new(channel, self.now, welcome, &self.config);
                peer.state = PeerState::Ready(Box::new(ready));
                peer.grace_until = None;
                peer.last_attempt_failed = false;
                peer.denied = None;
                peer.busy_until = self.now;
                peer.health.session_opened(self.now);
                self.counters.sessions += 1;
                actions.push(CallerAction::SessionOpened { peer: id });
                self.schedule_wake(id);
            }
            Ok(WireMessage::Denied(denial)) => {
                peer.last_attempt_failed = true;
                peer.denied = Some(denial);
                self.counters.denied += 1;
                self.drop_link(id, denial.advice(), None, actions);
            }
            Ok(_) => self.counters.unexpected += 1,
            Err(_) => self.counters.invalid += 1,
        }
    }
}

//! The worker's side of the handshake that opens a session.

use bytes::Bytes;

use super::session::{PeerSession, Window};
use super::{Worker, WorkerAction, WorkerTimer};
use crate::rpc::codec::{Denial, Hello, Position, RawMessage, VERSION, Welcome, WireMessage, encode};
use crate::rpc::core::channel::SessionChannel;
use crate::rpc::core::collections::DequeMap;
use crate::rpc::core::{MAX_HEARTBEAT_INTERVAL, MIN_HEARTBEAT_INTERVAL};
use std::time::Duration;

impl Worker {
    /// Handles a hello: opens a session, or denies it. Ignores a second one, because a connection has one session.
    pub(super) fn hello(&mut self, peer: &Bytes, raw: &RawMessage<'_>, actions: &mut Vec<WorkerAction>) {
        let Ok(WireMessage::Hello(hello)) = raw.decode() else {
            self.counters.invalid += 1;
            return;
        };
        if self.session_ids.contains_key(peer) {
            self.counters.unexpected += 1;
            return;
        }
        let denial = if self.config.verified_only && !self.verified.contains_key(peer) {
            Denial::NotSealed
        } else if hello.version < VERSION {
            Denial::Version
        } else if !self.config.service.is_empty()
            && !hello.service.is_empty()
            && hello.service != self.config.service
        {
            Denial::OtherService
        } else if self.sessions.len() >= self.config.max_sessions {
            Denial::Full
        } else {
            return self.open_session(peer, &hello, actions);
        };
        self.deny(peer, denial, actions);
    }

    fn open_session(&mut self, peer: &Bytes, hello: &Hello, actions: &mut Vec<WorkerAction>) {
        let mut id = self.entropy.number();
        while id == 0 || self.sessions.contains_key(&id) {
            id = self.entropy.number();
        }
        self.session_ids.insert(peer.clone(), id);
        let session = PeerSession {
            peer: peer.clone(),
            key: self.verified.get(peer).copied().flatten(),
            channel: SessionChannel::new(id, 0),
            last_seen: self.now,
            heartbeat_interval: Duration::from_millis(hello.heartbeat_ms.into())
                .clamp(MIN_HEARTBEAT_INTERVAL, MAX_HEARTBEAT_INTERVAL),
            max_body: usize::try_from(hello.max_body).unwrap_or(usize::MAX),
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
        actions.push(WorkerAction::SessionOpened { peer: peer.clone() });
        let welcome = WireMessage::Welcome(Welcome {
            version: VERSION,
            features: 0,
            limit: self.limit(id),
            max_body: self.config.max_body as u64,
            name: self.config.name.clone(),
            contracts: self.config.operations.digests.clone(),
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
        if let Ok(frames) = encode(&WireMessage::Denied(denial), Position::NONE) {
            actions.push(WorkerAction::Send {
                peer: peer.clone(),
                frames,
            });
        }
    }
}

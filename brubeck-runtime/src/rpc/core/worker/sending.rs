//! Messages to callers, and the backpressure towards callers that do not read them.

use super::session::StallTimer;
use super::{Worker, WorkerAction, WorkerTimer};
use crate::rpc::codec::WireMessage;

impl Worker {
    /// Sends a message that may be lost. Drops it if the send window of the caller is full.
    pub(super) fn send_or_drop(&mut self, id: u64, message: &WireMessage, actions: &mut Vec<WorkerAction>) {
        if self
            .sessions
            .get(&id)
            .is_some_and(|session| !session.window.is_full(&self.config))
        {
            self.send(id, message, actions);
        }
    }

    /// Sends a message that must not be lost. Holds it back while the send window of the caller is full or an earlier message is
    /// held. Disconnects a caller for which too many messages are held. Does nothing if the session has ended.
    pub(super) fn send_or_hold(&mut self, id: u64, message: WireMessage, actions: &mut Vec<WorkerAction>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.window.held() == 0 && !session.window.is_full(&self.config) {
            return self.send_in_order(id, message, actions);
        }
        if let WireMessage::Reply { request_id, .. } | WireMessage::Error { request_id, .. } = &message {
            // The request has ended, but occupies credit until its response is sent.
            session.requests.insert(*request_id, None);
        }
        if session.window.hold(message, self.now) == StallTimer::MustBeSet {
            self.timers
                .set(self.now + self.config.stall_timeout, WorkerTimer::Stall(id));
        }
        if session.window.held() > self.config.max_unacknowledged {
            self.disconnect(id, actions);
        }
    }

    /// Sends held messages for which an acknowledgement made room.
    pub(super) fn release_held(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        while let Some(message) = self
            .sessions
            .get_mut(&id)
            .and_then(|session| session.window.release(&self.config))
        {
            self.send_in_order(id, message, actions);
        }
    }

    /// Sends a message that may have been held back. A response frees the credit of its request. The limit in the message is
    /// computed only here, so that it is current.
    fn send_in_order(&mut self, id: u64, mut message: WireMessage, actions: &mut Vec<WorkerAction>) {
        if let (
            WireMessage::Reply { request_id, .. } | WireMessage::Error { request_id, .. },
            Some(session),
        ) = (&message, self.sessions.get_mut(&id))
        {
            session.requests.remove(*request_id);
        }
        let current_limit = self.limit(id);
        if let WireMessage::Reply { limit, .. }
        | WireMessage::Error { limit, .. }
        | WireMessage::Accepted { limit, .. } = &mut message
        {
            *limit = current_limit;
        }
        self.send(id, &message, actions);
        if let (WireMessage::Draining, Some(session)) = (&message, self.sessions.get_mut(&id)) {
            session.drain_notice = Some(session.channel.last_sent());
        }
    }

    fn send(&mut self, id: u64, message: &WireMessage, actions: &mut Vec<WorkerAction>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        // Encoding cannot fail: replies were validated, names and error messages are truncated, and no other field has a variable
        // length.
        let Ok(frames) = session.channel.encode(message) else {
            return;
        };
        let size = frames.iter().map(|frame| frame.len()).sum();
        session.window.record_sent(session.channel.last_sent(), size);
        if let Some(limit) = limit_of(message) {
            session.advertised_limit = limit;
        }
        actions.push(WorkerAction::Send {
            peer: session.peer.clone(),
            frames,
        });
    }

    /// Handles an expired stall timer: disconnects the caller if messages for it are held and it has acknowledged nothing for the
    /// stall timeout.
    pub(super) fn check_stall(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(since) = session.window.take_stall_timer() else {
            return;
        };
        let timeout = since + self.config.stall_timeout;
        if timeout <= self.now {
            self.disconnect(id, actions);
        } else {
            self.timers.set(timeout, WorkerTimer::Stall(id));
        }
    }

    fn disconnect(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        self.counters.disconnected += 1;
        actions.push(WorkerAction::Disconnect {
            peer: session.peer.clone(),
        });
        self.end_session(id, actions);
    }
}

fn limit_of(message: &WireMessage) -> Option<u64> {
    match message {
        WireMessage::Welcome(welcome) => Some(welcome.limit),
        WireMessage::Accepted { limit, .. }
        | WireMessage::Reply { limit, .. }
        | WireMessage::Error { limit, .. }
        | WireMessage::Credit { limit }
        | WireMessage::Pong { limit, .. } => Some(*limit),
        _ => None,
    }
}

//! How calls and sessions end, and how callers hear of it.

use super::{Due, JobId, JobState, StopReason, Worker, WorkerAction};
use crate::rpc::codec::{ErrorCode, ErrorReply, WireMessage, WireReply};
use crate::rpc::core::Moment;

impl Worker {
    pub(super) fn finished(&mut self, id: JobId, reply: Option<WireReply>, actions: &mut Vec<WorkerAction>) {
        let Some(job) = self.jobs.remove(&id) else {
            self.counters.late += 1;
            return;
        };
        self.forget_timer();
        match job.state {
            // A driver that ends what it was not given.
            JobState::Waiting(_) => {
                self.queue.remove(id);
                self.fail(
                    job.session,
                    job.call,
                    ErrorReply::new(ErrorCode::Refused, "it was not begun"),
                    actions,
                );
            }
            JobState::Stopping => {
                self.running -= 1;
                self.stopping -= 1;
                if reply.is_some() {
                    self.counters.late += 1;
                }
            }
            JobState::Running(since) => {
                self.running -= 1;
                self.learn(self.now.saturating_sub(since));
                self.answer(job.session, job.call, reply, actions);
            }
        }
    }

    fn learn(&mut self, took: Moment) {
        self.service_time = Some(match self.service_time {
            Some(known) => (known * 7 + took) / 8,
            None => took,
        });
    }

    fn answer(&mut self, session: u64, call: u64, reply: Option<WireReply>, actions: &mut Vec<WorkerAction>) {
        let Some(guest) = self.guests.get(&session) else {
            return;
        };
        let problem = match &reply {
            None => Some("the handler gave no answer".to_owned()),
            Some(reply) if reply.body.len() > guest.max_body.min(self.config.max_body) => Some(format!(
                "the answer has {} bytes, which is more than may be sent",
                reply.body.len()
            )),
            Some(reply) => reply.validate().err().map(|error| error.to_string()),
        };
        match (reply, problem) {
            (Some(reply), None) => {
                self.counters.replies += 1;
                self.send_or_hold(
                    session,
                    WireMessage::Reply {
                        request_id: call,
                        limit: 0,
                        reply,
                    },
                    actions,
                );
            }
            (_, problem) => {
                self.fail(
                    session,
                    call,
                    ErrorReply::new(ErrorCode::Failed, problem.unwrap_or_default()),
                    actions,
                );
            }
        }
    }

    /// Tells a caller that there will be no answer.
    pub(super) fn fail(
        &mut self,
        session: u64,
        call: u64,
        failure: ErrorReply,
        actions: &mut Vec<WorkerAction>,
    ) {
        if !self.guests.contains_key(&session) {
            return;
        }
        self.counters.errors += 1;
        match failure.code {
            ErrorCode::Busy => self.counters.busy += 1,
            ErrorCode::Draining => self.counters.draining += 1,
            ErrorCode::Expired => self.counters.expired += 1,
            ErrorCode::Stopped => self.counters.stopped += 1,
            ErrorCode::Cancelled => self.counters.cancelled += 1,
            _ => {}
        }
        self.send_or_hold(
            session,
            WireMessage::Error {
                request_id: call,
                limit: 0,
                error: failure,
            },
            actions,
        );
    }

    pub(super) fn deadline(&mut self, id: JobId, actions: &mut Vec<WorkerAction>) {
        self.stop(id, StopReason::Deadline, actions);
    }

    pub(super) fn cancel(&mut self, session: u64, call: u64, actions: &mut Vec<WorkerAction>) {
        match self.guests.get(&session).and_then(|guest| guest.calls.get(call)) {
            Some(Some(job)) => self.stop(*job, StopReason::Cancelled, actions),
            // It was answered already.
            _ => self.counters.late += 1,
        }
    }

    /// Ends a job that nobody wants the answer of.
    fn stop(&mut self, id: JobId, reason: StopReason, actions: &mut Vec<WorkerAction>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let (session, call) = (job.session, job.call);
        let began = match job.state {
            JobState::Stopping => return,
            JobState::Waiting(_) => {
                self.jobs.remove(&id);
                self.queue.remove(id);
                self.forget_timer();
                false
            }
            JobState::Running(_) => {
                job.state = JobState::Stopping;
                self.stopping += 1;
                actions.push(WorkerAction::Stop { job: id, reason });
                true
            }
        };
        let failure = match (reason, began) {
            (StopReason::Lost, _) => {
                self.counters.abandoned += 1;
                return;
            }
            (StopReason::Cancelled, _) => ErrorReply::new(ErrorCode::Cancelled, "the caller cancelled it"),
            (StopReason::Deadline, false) => {
                ErrorReply::new(ErrorCode::Expired, "it waited for a slot until its deadline")
            }
            (StopReason::Deadline, true) => ErrorReply::new(ErrorCode::Stopped, "it ran until its deadline"),
        };
        self.fail(session, call, failure, actions);
    }

    pub(super) fn end_session(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        let Some(guest) = self.guests.remove(&id) else {
            return;
        };
        self.counters.sessions_ended += 1;
        if guest.active {
            self.active -= 1;
        }
        if self.by_peer.get(&guest.peer) == Some(&id) {
            self.by_peer.remove(&guest.peer);
        }
        for job in guest.calls.into_values().flatten() {
            self.stop(job, StopReason::Lost, actions);
        }
        self.forget_timer();
    }

    fn forget_timer(&mut self) {
        let (jobs, guests) = (&self.jobs, &self.guests);
        self.timers.forget(|_, due| match due {
            Due::Deadline(job) => jobs.contains_key(&job),
            Due::Silence(session) | Due::Stall(session) => guests.contains_key(&session),
            Due::Unproven => true,
        });
    }

    /// Sends something that may as well be lost: not at all, if the caller does not read what it was sent.
    pub(super) fn send_or_drop(&mut self, id: u64, message: &WireMessage, actions: &mut Vec<WorkerAction>) {
        if self
            .guests
            .get(&id)
            .is_some_and(|guest| !guest.window.is_full(&self.config))
        {
            self.send(id, message, actions);
        }
    }

    /// Sends something that has to arrive: as soon as the caller has read enough of what it was sent.
    pub(super) fn send_or_hold(&mut self, id: u64, message: WireMessage, actions: &mut Vec<WorkerAction>) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        if guest.window.held() == 0 && !guest.window.is_full(&self.config) {
            return self.send_in_turn(id, message, actions);
        }
        if let WireMessage::Reply { request_id: call, .. } | WireMessage::Error { request_id: call, .. } =
            &message
        {
            guest.calls.insert(*call, None);
        }
        if guest.window.hold(message, self.now) {
            self.timers.set(self.now + self.config.stall, Due::Stall(id));
        }
        if guest.window.held() > self.config.max_unacknowledged {
            self.cut(id, actions);
        }
    }

    pub(super) fn release(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        while let Some(message) = self
            .guests
            .get_mut(&id)
            .and_then(|guest| guest.window.release(&self.config))
        {
            self.send_in_turn(id, message, actions);
        }
    }

    /// Sends a message that may have been held back; what it says about credit is of now.
    fn send_in_turn(&mut self, id: u64, mut message: WireMessage, actions: &mut Vec<WorkerAction>) {
        if let (
            WireMessage::Reply { request_id: call, .. } | WireMessage::Error { request_id: call, .. },
            Some(guest),
        ) = (&message, self.guests.get_mut(&id))
        {
            guest.calls.remove(*call);
        }
        let now = self.limit(id);
        if let WireMessage::Reply { limit, .. }
        | WireMessage::Error { limit, .. }
        | WireMessage::Started { limit, .. } = &mut message
        {
            *limit = now;
        }
        self.send(id, &message, actions);
        if let (WireMessage::Draining, Some(guest)) = (&message, self.guests.get_mut(&id)) {
            guest.farewell = Some(guest.session.sent());
        }
    }

    fn send(&mut self, id: u64, message: &WireMessage, actions: &mut Vec<WorkerAction>) {
        let Some(guest) = self.guests.get_mut(&id) else {
            return;
        };
        // Replies were checked, names are cut to length, and nothing else can be too long.
        let Ok(frames) = guest.session.seal(message) else {
            return;
        };
        guest
            .window
            .sent(guest.session.sent(), frames.iter().map(|frame| frame.len()).sum());
        if let Some(limit) = limit_of(message) {
            guest.told = limit;
        }
        actions.push(WorkerAction::Send {
            peer: guest.peer.clone(),
            frames,
        });
    }

    pub(super) fn check_stall(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        let Some(stalled) = self.guests.get(&id).and_then(|guest| guest.window.stalled()) else {
            return;
        };
        let end = stalled + self.config.stall;
        if end <= self.now {
            self.cut(id, actions);
        } else {
            self.timers.set(end, Due::Stall(id));
        }
    }

    fn cut(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        let Some(guest) = self.guests.get(&id) else { return };
        self.counters.cut += 1;
        actions.push(WorkerAction::Disconnect {
            peer: guest.peer.clone(),
        });
        self.end_session(id, actions);
    }
}

fn limit_of(message: &WireMessage) -> Option<u64> {
    match message {
        WireMessage::Welcome(welcome) => Some(welcome.limit),
        WireMessage::Started { limit, .. }
        | WireMessage::Reply { limit, .. }
        | WireMessage::Error { limit, .. }
        | WireMessage::Credit { limit }
        | WireMessage::Pong { limit, .. } => Some(*limit),
        _ => None,
    }
}

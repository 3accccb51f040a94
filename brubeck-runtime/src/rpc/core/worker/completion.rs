//! The end of calls and sessions.

use super::{Job, JobId, JobState, StopReason, Worker, WorkerAction, WorkerTimer};
use crate::rpc::codec::{ErrorCode, ErrorReply, WireMessage, WireReply};
use crate::rpc::core::moving_average;

impl Worker {
    /// Handles the end of a handler.
    pub(super) fn finished(&mut self, id: JobId, reply: Option<WireReply>, actions: &mut Vec<WorkerAction>) {
        let Some(job) = self.jobs.remove(&id) else {
            self.counters.late += 1;
            return;
        };
        self.note_cancelled_timer();
        match job.state {
            // The driver finished a job that it was not asked to start.
            JobState::Queued(_) => {
                self.queue.remove(id);
                let error = ErrorReply::new(ErrorCode::Refused, "the handler was not started");
                self.fail(job.session, job.request_id, error, actions);
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
                let elapsed = self.now.saturating_sub(since);
                self.service_time = Some(moving_average(self.service_time, elapsed));
                self.reply(job.session, job.request_id, reply, actions);
            }
        }
    }

    /// Handles a job that the driver has refused instead of starting its handler.
    pub(super) fn refused(&mut self, id: JobId, reason: String, actions: &mut Vec<WorkerAction>) {
        let running = |job: &Job| matches!(job.state, JobState::Running(_));
        let Some(job) = self.jobs.get(&id).filter(|job| running(job)) else {
            // It was stopped in the meantime.
            return self.finished(id, None, actions);
        };
        let (session, request_id) = (job.session, job.request_id);
        self.jobs.remove(&id);
        self.note_cancelled_timer();
        self.running -= 1;
        self.fail(
            session,
            request_id,
            ErrorReply::new(ErrorCode::Refused, reason),
            actions,
        );
    }

    /// Sends the reply of a handler, or an error if there is no valid one.
    pub(super) fn reply(
        &mut self,
        session_id: u64,
        request_id: u64,
        reply: Option<WireReply>,
        actions: &mut Vec<WorkerAction>,
    ) {
        let Some(session) = self.sessions.get(&session_id) else {
            return;
        };
        let max_body = session.max_body.min(self.config.max_body);
        let checked = match reply {
            None => Err("the handler ended without a reply".to_owned()),
            Some(reply) if reply.body_len() > max_body => Err(format!(
                "the response has {} bytes of body and parts, which exceeds the limit of {max_body} bytes; raise `body_limit` of the \
                 `ServiceAddress` and of the `Service`",
                reply.body_len()
            )),
            Some(reply) => match reply.validate() {
                Ok(()) => Ok(reply),
                Err(error) => Err(error.to_string()),
            },
        };
        match checked {
            Ok(reply) => {
                self.counters.replies += 1;
                let reply = WireMessage::Reply {
                    request_id,
                    limit: 0,
                    reply,
                };
                self.send_or_hold(session_id, reply, actions);
            }
            Err(message) => {
                let error = ErrorReply::new(ErrorCode::Failed, message);
                self.fail(session_id, request_id, error, actions);
            }
        }
    }

    /// Ends a request with an error.
    pub(super) fn fail(
        &mut self,
        session: u64,
        request_id: u64,
        error: ErrorReply,
        actions: &mut Vec<WorkerAction>,
    ) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        self.counters.errors += 1;
        match error.code {
            ErrorCode::Busy => self.counters.busy += 1,
            ErrorCode::Draining => self.counters.draining += 1,
            ErrorCode::TimedOut if error.may_have_run => self.counters.stopped += 1,
            ErrorCode::TimedOut => self.counters.expired += 1,
            ErrorCode::Cancelled => self.counters.cancelled += 1,
            _ => {}
        }
        let error = WireMessage::Error {
            request_id,
            limit: 0,
            error,
        };
        self.send_or_hold(session, error, actions);
    }

    pub(super) fn cancel(&mut self, session: u64, request_id: u64, actions: &mut Vec<WorkerAction>) {
        let requests = self.sessions.get(&session).map(|session| &session.requests);
        match requests.and_then(|requests| requests.get(request_id)) {
            Some(Some(job)) => self.stop(*job, StopReason::Cancelled, actions),
            // The response was sent or is held back, or the request never arrived.
            _ => self.counters.late += 1,
        }
    }

    /// Removes a job that is queued, or stops its handler. Sends an error unless the session has ended.
    pub(super) fn stop(&mut self, id: JobId, reason: StopReason, actions: &mut Vec<WorkerAction>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let (session, request_id) = (job.session, job.request_id);
        let started = match job.state {
            JobState::Stopping => return,
            JobState::Queued(_) => {
                self.jobs.remove(&id);
                self.queue.remove(id);
                self.note_cancelled_timer();
                false
            }
            JobState::Running(_) => {
                job.state = JobState::Stopping;
                self.stopping += 1;
                actions.push(WorkerAction::Stop { job: id, reason });
                true
            }
        };
        let (code, message) = match (reason, started) {
            (StopReason::Lost, _) => {
                self.counters.abandoned += 1;
                return;
            }
            (StopReason::Cancelled, _) => (ErrorCode::Cancelled, "the caller cancelled the call"),
            (StopReason::Deadline, false) => (
                ErrorCode::TimedOut,
                "the deadline passed while the call was queued",
            ),
            (StopReason::Deadline, true) => {
                (ErrorCode::TimedOut, "the deadline passed while the handler ran")
            }
        };
        let error = ErrorReply {
            may_have_run: started,
            ..ErrorReply::new(code, message)
        };
        self.fail(session, request_id, error, actions);
    }

    pub(super) fn end_session(&mut self, id: u64, actions: &mut Vec<WorkerAction>) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        self.counters.sessions_ended += 1;
        if session.active {
            self.active_sessions -= 1;
        }
        self.session_ids.remove(&session.peer);
        for job in session.requests.into_values().flatten() {
            self.stop(job, StopReason::Lost, actions);
        }
        self.note_cancelled_timer();
    }

    fn note_cancelled_timer(&mut self) {
        let (jobs, sessions) = (&self.jobs, &self.sessions);
        self.timers.note_cancelled(|_, timer| match timer {
            WorkerTimer::Deadline(job) => jobs.contains_key(&job),
            WorkerTimer::Heartbeat(session) | WorkerTimer::Stall(session) => sessions.contains_key(&session),
        });
    }
}

//! The future of a call.

use super::{PoolInner, ReplyOfWorker};
use crate::rpc::api::{CallError, DeadlineTimer, Phase, ResponseBody, ServiceResponse};
use crate::rpc::convert;
use crate::rpc::core::{CallNumber, CallerEvent};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// The future of a call. Dropping it cancels the call.
pub(super) struct PoolCall {
    pub(super) result: oneshot::Receiver<ReplyOfWorker>,
    /// Used if the future is not polled in the runtime of the pool. That runtime may not be running, as one with a single thread
    /// between two `block_on`, and then nothing else ends the call.
    pub(super) timer: DeadlineTimer,
    pub(super) cancel_on_drop: CancelOnDrop,
}

impl Future for PoolCall {
    type Output = Result<ServiceResponse<ResponseBody>, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut *self;
        let mut result = Pin::new(&mut call.result).poll(cx);
        let pool = &call.cancel_on_drop.pool;
        if result.is_pending() && !pool.is_current() && call.timer.poll(cx).is_ready() {
            pool.handle_event(CallerEvent::Wake);
            result = Pin::new(&mut call.result).poll(cx);
            if result.is_pending() {
                let phase = Phase::Running;
                return Poll::Ready(Err(CallError::deadline(phase)));
            }
        }
        let result = std::task::ready!(result);
        call.cancel_on_drop.ended = true;
        Poll::Ready(
            result
                .unwrap_or(Err(CallError::shutting_down()))
                .map(|(reply, worker)| convert::to_service_response(reply, worker)),
        )
    }
}

pub(super) struct CancelOnDrop {
    pub(super) call: CallNumber,
    pub(super) pool: Arc<PoolInner>,
    /// Set when the call has ended. Then `drop` need not take the lock, which is the usual case.
    pub(super) ended: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.pool.lock();
        if state.calls.remove(&self.call).is_some() {
            let event = CallerEvent::Cancel { call: self.call };
            self.pool.step(&mut state, event);
        }
    }
}

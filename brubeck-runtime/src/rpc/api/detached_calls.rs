//! Counts the `nowait` calls of an application, so that its shutdown can wait for them.

use super::CallError;
use std::sync::Arc;
use tokio::sync::watch;

/// The `nowait` calls of an application and their response handlers. Clones share the count.
#[derive(Clone, Default)]
pub struct DetachedCalls(Arc<DetachedState>);

#[derive(Default)]
struct DetachedState {
    running: watch::Sender<usize>,
    phase: watch::Sender<ShutdownPhase>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd)]
enum ShutdownPhase {
    #[default]
    Running,
    /// Calls end with an error. Response handlers still run.
    GivenUp,
    /// Response handlers are dropped.
    Ended,
}

impl DetachedCalls {
    /// Counts a call until the returned value is dropped.
    pub(super) fn count(&self) -> DetachedCall {
        self.0.running.send_modify(|running| *running += 1);
        DetachedCall(self.clone())
    }

    /// Returns the number of calls whose response handlers have not returned.
    pub(crate) fn running(&self) -> usize {
        *self.0.running.borrow()
    }

    /// Waits until no call is counted.
    pub(crate) async fn all_ended(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.running.subscribe().wait_for(|running| *running == 0).await;
    }

    /// Ends the calls with [`CallError::ShuttingDown`], which goes to their response handlers.
    pub(crate) fn give_up(&self) {
        self.0.phase.send_replace(ShutdownPhase::GivenUp);
    }

    /// Drops the response handlers that still run.
    pub(crate) fn end(&self) {
        self.0.phase.send_replace(ShutdownPhase::Ended);
    }

    /// Returns `true` if the calls have been given up.
    pub(super) fn are_given_up(&self) -> bool {
        *self.0.phase.borrow() >= ShutdownPhase::GivenUp
    }

    /// Returns the result of `call`, or an error once the calls are given up.
    pub(super) async fn unless_given_up<T>(
        &self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        tokio::select! {
            biased;
            result = call => result,
            () = self.reached(ShutdownPhase::GivenUp) => Err(CallError::shutting_down()),
        }
    }

    /// Returns the output of a response handler, or `None` once the response handlers are dropped.
    pub(super) async fn unless_ended<T>(&self, handler: impl Future<Output = Option<T>>) -> Option<T> {
        tokio::select! {
            biased;
            output = handler => output,
            () = self.reached(ShutdownPhase::Ended) => None,
        }
    }

    async fn reached(&self, phase: ShutdownPhase) {
        // The sender lives as long as `self`.
        let _ = self
            .0
            .phase
            .subscribe()
            .wait_for(|current| *current >= phase)
            .await;
    }
}

/// A call that is counted by [`DetachedCalls`].
pub(super) struct DetachedCall(DetachedCalls);

impl Drop for DetachedCall {
    fn drop(&mut self) {
        self.0.0.running.send_modify(|running| *running -= 1);
    }
}

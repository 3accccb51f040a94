//! The calls that wait for an answer, each of which ends once.

use crate::rpc::api::{CallError, ServiceResponse};
use brubeck_zmtp::Generation;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The calls that wait for an answer on one link.
#[derive(Default)]
pub(super) struct CallTable(Mutex<CallTableState>);

#[derive(Default)]
struct CallTableState {
    by_id: HashMap<Bytes, CallEntry>,
    /// The newest connection that is known to be lost.
    lost: Generation,
}

impl CallTableState {
    fn lose(&mut self, is_lost: impl Fn(Generation) -> bool) {
        for (_, lost) in self
            .by_id
            .extract_if(|_, call| call.generation.is_some_and(&is_lost))
        {
            let _ = lost.answer.send(Err(CallError::Lost { may_have_run: true }));
        }
    }
}

struct CallEntry {
    path: Bytes,
    /// The connection on which the request was sent; `None` until it was.
    generation: Option<Generation>,
    answer: oneshot::Sender<Result<ServiceResponse<Bytes>, CallError>>,
}

impl CallTable {
    /// The path that the answer to this call must have; `None` if no call of this id waits.
    pub(super) fn path(&self, id: &Bytes) -> Option<Bytes> {
        self.lock().by_id.get(id).map(|call| call.path.clone())
    }

    fn lock(&self) -> MutexGuard<'_, CallTableState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a call, if it still waits.
    pub(super) fn end(&self, id: &Bytes, outcome: Result<ServiceResponse<Bytes>, CallError>) {
        if let Some(expected) = self.lock().by_id.remove(id) {
            // Whoever waited may have gone this very moment.
            let _ = expected.answer.send(outcome);
        }
    }

    /// Ends all calls that were sent on a connection which is lost, or on one before it.
    pub(super) fn lose_up_to(&self, generation: Generation) {
        let mut calls = self.lock();
        calls.lost = calls.lost.max(generation);
        calls.lose(|sent| sent <= generation);
    }

    /// Ends all calls that were sent to a service which is gone, while others are not.
    pub(super) fn lose_one(&self, generation: Generation) {
        self.lock().lose(|sent| sent == generation);
    }
}

/// One call that waits; dropping it forgets the call.
pub(super) struct CallGuard {
    waiting: Arc<CallTable>,
    id: Bytes,
}

impl CallGuard {
    pub(super) fn begin(
        waiting: Arc<CallTable>,
        id: Bytes,
        path: Bytes,
    ) -> (
        CallGuard,
        oneshot::Receiver<Result<ServiceResponse<Bytes>, CallError>>,
    ) {
        let (answer, answered) = oneshot::channel();
        waiting.lock().by_id.insert(
            id.clone(),
            CallEntry {
                path,
                generation: None,
                answer,
            },
        );
        (CallGuard { waiting, id }, answered)
    }

    /// Notes on which connection the request was sent.
    pub(super) fn sent_on(&self, generation: Generation) {
        let mut calls = self.waiting.lock();
        if generation <= calls.lost {
            // The connection was lost before this could be noted, so `lose` has passed it by.
            if let Some(expected) = calls.by_id.remove(&self.id) {
                let _ = expected.answer.send(Err(CallError::Lost { may_have_run: true }));
            }
        } else if let Some(expected) = calls.by_id.get_mut(&self.id) {
            expected.generation = Some(generation);
        }
    }

    /// Notes to which service the request is about to be sent.
    pub(super) fn sent_to(&self, generation: Generation) {
        if let Some(expected) = self.waiting.lock().by_id.get_mut(&self.id) {
            expected.generation = Some(generation);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.waiting.lock().by_id.remove(&self.id);
    }
}

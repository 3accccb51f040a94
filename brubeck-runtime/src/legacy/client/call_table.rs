//! The calls of a link that wait for their response.

use crate::rpc::api::{CallError, ResponseBody, ServiceResponse};
use brubeck_zmtp::Generation;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

type CallOutcome = Result<ServiceResponse<ResponseBody>, CallError>;

/// The pending calls of one link, by their id. Each call is completed at most once.
#[derive(Default)]
pub(super) struct CallTable(Mutex<PendingCalls>);

#[derive(Default)]
struct PendingCalls {
    /// Set when no response can arrive any more, because the tokio runtime of the link has ended.
    closed: bool,
    by_id: HashMap<Bytes, CallEntry>,
    /// The newest connection that is known to be lost. Not used for services, which are lost in any order.
    last_lost: Generation,
}

impl PendingCalls {
    /// Fails all calls whose recorded generation is lost according to `is_lost`.
    fn fail_lost(&mut self, is_lost: impl Fn(Generation) -> bool) {
        for (_, call) in self
            .by_id
            .extract_if(|_, call| call.generation.is_some_and(&is_lost))
        {
            let _ = call.result.send(Err(CallError::lost(true)));
        }
    }
}

struct CallEntry {
    path: Bytes,
    /// The connection or service that the request is sent to. `None` until it is known.
    generation: Option<Generation>,
    result: oneshot::Sender<CallOutcome>,
}

impl CallTable {
    /// Returns the path of a call. Returns `None` if the call is not pending.
    pub(super) fn path(&self, id: &Bytes) -> Option<Bytes> {
        self.lock().by_id.get(id).map(|call| call.path.clone())
    }

    fn lock(&self) -> MutexGuard<'_, PendingCalls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes a call if it is pending.
    pub(super) fn complete(&self, id: &Bytes, result: CallOutcome) {
        if let Some(call) = self.lock().by_id.remove(id) {
            // The caller may have stopped waiting.
            let _ = call.result.send(result);
        }
    }

    /// Fails all calls, and all that are added later. Nothing receives their responses any more.
    pub(super) fn close(&self) {
        let mut calls = self.lock();
        calls.closed = true;
        for (_, call) in calls.by_id.drain() {
            let _ = call.result.send(Err(CallError::shutting_down()));
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Fails all calls that were sent on the connection `generation` or an earlier one.
    pub(super) fn connection_lost(&self, generation: Generation) {
        let mut calls = self.lock();
        calls.last_lost = calls.last_lost.max(generation);
        calls.fail_lost(|sent_on| sent_on <= generation);
    }

    /// Fails all calls that were sent to the service `generation`. Other services may still be connected.
    pub(super) fn service_lost(&self, generation: Generation) {
        self.lock().fail_lost(|sent_to| sent_to == generation);
    }
}

/// Removes a call from its [`CallTable`] on drop.
pub(super) struct CallGuard {
    table: Arc<CallTable>,
    id: Bytes,
}

impl CallGuard {
    /// Adds a call to the table. Returns its guard, and the receiver of its result, which has no sender if the table is closed.
    pub(super) fn insert(
        table: Arc<CallTable>,
        id: Bytes,
        path: Bytes,
    ) -> (CallGuard, oneshot::Receiver<CallOutcome>) {
        let (sender, result) = oneshot::channel();
        let entry = CallEntry {
            path,
            generation: None,
            result: sender,
        };
        let mut calls = table.lock();
        if !calls.closed {
            calls.by_id.insert(id.clone(), entry);
        }
        drop(calls);
        (CallGuard { table, id }, result)
    }

    /// Records that the request was sent on the connection `generation`.
    pub(super) fn sent_on(&self, generation: Generation) {
        let mut calls = self.table.lock();
        if generation <= calls.last_lost {
            // The connection was lost between sending and this call, so `connection_lost` did not find the generation.
            if let Some(call) = calls.by_id.remove(&self.id) {
                let _ = call.result.send(Err(CallError::lost(true)));
            }
        } else if let Some(call) = calls.by_id.get_mut(&self.id) {
            call.generation = Some(generation);
        }
    }

    /// Records that the request is about to be sent to the service `generation`.
    pub(super) fn sending_to(&self, generation: Generation) {
        if let Some(call) = self.table.lock().by_id.get_mut(&self.id) {
            call.generation = Some(generation);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.table.lock().by_id.remove(&self.id);
    }
}

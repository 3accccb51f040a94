//! Operations that a worker declares differently: found by the digests of its `welcome`, and described by its list of operations.

use super::{Caller, CallerAction, PeerId};
use crate::rpc::api::CallError;
use crate::rpc::codec::{
    CallRequest, ContractDigest, OPERATION_LIST, OperationDeclaration, Outcome, WireMessage, WireReply,
    WireRequest, declares_differently, read_operation_list,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// The timeout of a request for the list.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum number of declarations that wait for the list of one worker.
const MAX_AWAITED: usize = 64;

/// The operations that a worker serves, in one session.
#[derive(Debug)]
pub(super) struct WorkerContracts {
    /// Sorted by the declaration.
    digests: Vec<ContractDigest>,
    /// The declarations to be compared with the list of the worker.
    awaited: Vec<OperationDeclaration>,
    /// The id of the request for the list, while it has no response.
    list_request: Option<u64>,
}

impl WorkerContracts {
    pub(super) fn new(mut digests: Vec<ContractDigest>) -> Self {
        digests.sort_by_key(|digest| digest.declaration);
        Self {
            digests,
            awaited: Vec::new(),
            list_request: None,
        }
    }

    /// Returns whether the worker declares the operation of a call differently, and it was not compared yet. The list of the worker is then
    /// awaited.
    pub(super) fn check(&mut self, call: &CallRequest, declaration: &str, compared: &BTreeSet<u64>) -> bool {
        let (name, digest) = (call.operation.as_str(), call.contract);
        let differs = declares_differently(&self.digests, name, digest)
            && !compared.contains(&digest)
            && self.awaited.len() < MAX_AWAITED;
        if differs && self.awaited.iter().all(|awaited| awaited.digest != digest) {
            self.awaited
                .push(OperationDeclaration::parse(name, digest, declaration));
        }
        differs
    }

    /// Returns whether the list must be requested.
    pub(super) fn awaits_list(&self) -> bool {
        !self.awaited.is_empty() && self.list_request.is_none()
    }

    /// Returns whether this is the id of the request for the list.
    pub(super) fn is_list(&self, request_id: u64) -> bool {
        self.list_request == Some(request_id)
    }
}

impl Caller {
    /// Requests the list of the operations of a worker, unless its response is awaited, or the worker grants no credit. It is no call: it
    /// is not sent again, and nothing waits for it.
    pub(super) fn request_list(&mut self, to: PeerId, actions: &mut Vec<CallerAction>) {
        let Some(ready) = self.peers.get_mut(&to).and_then(|peer| peer.ready_mut()) else {
            return;
        };
        if !ready.contracts.awaits_list() || ready.draining || ready.limit <= ready.last_request_id {
            return;
        }
        ready.last_request_id += 1;
        ready.contracts.list_request = Some(ready.last_request_id);
        let request = WireMessage::Request(WireRequest {
            id: ready.last_request_id,
            timeout_ms: u32::try_from(LIST_TIMEOUT.as_millis()).unwrap_or(u32::MAX),
            more_waiting: false,
            call: CallRequest {
                operation: OPERATION_LIST.into(),
                ..CallRequest::new("request", "")
            }
            .into(),
        });
        self.send(to, &request, actions);
    }

    /// Compares the awaited declarations with the list, if this is the response with it.
    pub(super) fn list_received(
        &mut self,
        id: PeerId,
        request_id: u64,
        outcome: &Result<WireReply, CallError>,
        actions: &mut Vec<CallerAction>,
    ) {
        let Some(ready) = self.peers.get_mut(&id).and_then(|peer| peer.ready_mut()) else {
            return;
        };
        if !ready.contracts.is_list(request_id) {
            return;
        }
        ready.contracts.list_request = None;
        let list = match outcome {
            Ok(reply) if reply.outcome == Outcome::Value => read_operation_list(&reply.body),
            _ => None,
        };
        let list = list.unwrap_or_default();
        for here in std::mem::take(&mut ready.contracts.awaited) {
            let there = list.iter().find(|there| there.name == here.name).cloned();
            self.compared.insert(here.digest);
            actions.push(CallerAction::ContractDiffers {
                peer: id,
                here,
                there,
            });
        }
    }
}

//! The task that receives responses and completes their calls.

use super::call_table::CallTable;
use crate::legacy::codec::{self, Dialect, decode_response};
use crate::legacy::push_dealer::PushDealerEvent;
use crate::legacy::server::parse_headers;
use crate::rpc::api::{CallError, CallErrorReason, ResponseBody, ServiceResponse};
use crate::secret::Secret;
use crate::status::Status;
use brubeck_zmtp::{ClientEvent, EventReceiver};
use bytes::Bytes;
use std::sync::Arc;

/// Receives the responses of one link and completes the calls that they belong to.
pub(super) struct ResponseReader {
    pub(super) address: String,
    pub(super) dialect: Dialect,
    pub(super) passphrase: Secret,
    pub(super) calls: Arc<CallTable>,
}

/// No response arrives after the reader was dropped, which happens at the end of its runtime, too.
impl Drop for ResponseReader {
    fn drop(&mut self) {
        self.calls.close();
    }
}

impl ResponseReader {
    /// Reads the events of a `DEALER` until it is closed.
    pub(super) async fn read_dealer(self, mut inbound: EventReceiver<ClientEvent>) {
        while let Some(event) = inbound.recv().await {
            match event {
                ClientEvent::Up { generation } => {
                    tracing::debug!(address = %self.address, generation, "connected to the service");
                }
                ClientEvent::Message { frames, .. } => self.handle_response(&frames),
                ClientEvent::Down { generation, reason } => {
                    tracing::warn!(address = %self.address, generation, reason, "connection to the service lost");
                    self.calls.connection_lost(generation);
                }
            }
        }
    }

    /// Reads the events of a bound client until it is closed.
    pub(super) async fn read_push_dealer(self, mut inbound: EventReceiver<PushDealerEvent>) {
        while let Some(event) = inbound.recv().await {
            match event {
                PushDealerEvent::Message { frames } => self.handle_response(&frames),
                PushDealerEvent::Down { generation, reason } => {
                    tracing::warn!(address = %self.address, generation, reason, "service disconnected");
                    self.calls.service_lost(generation);
                }
            }
        }
    }

    /// Decodes and checks a response, then completes its call. Drops a response that has a wrong passphrase, path or method, or
    /// that belongs to no pending call. A response that cannot be decoded fails its call if the `conn_id` is known.
    fn handle_response(&self, frames: &[Bytes]) {
        let log_dropped =
            |reason: &str| tracing::warn!(address = %self.address, reason, "dropped a response");
        let response = match decode_response(self.dialect, frames) {
            Ok(response) => response,
            Err(error) => {
                log_dropped(&error.to_string());
                // Fail the call now instead of at its deadline. The passphrase is not checked, because it may not have been
                // decoded. This is safe: ids begin with a random number, which only peers that received requests know.
                if let Some(id) = error.conn_id().cloned() {
                    self.calls
                        .complete(&id, Err(CallError::BadReply(CallErrorReason::of(error))));
                }
                return;
            }
        };
        if !self.passphrase.matches(response.envelope.passphrase.expose()) {
            return log_dropped("the passphrase is wrong");
        }
        let id = response.envelope.conn_id.clone();
        match self.calls.path(&id) {
            None => return log_dropped("no call with its `conn_id` is pending"),
            Some(path) if path != response.envelope.path => {
                return log_dropped("the path differs from the path of the call");
            }
            Some(_) if response.method() != "response" => return log_dropped("the method is not `response`"),
            Some(_) => {}
        }
        self.calls.complete(&id, into_service_response(response));
    }
}

fn into_service_response(
    response: codec::LegacyResponse,
) -> Result<ServiceResponse<ResponseBody>, CallError> {
    let headers = parse_headers(&response.headers).map_err(|error| {
        CallError::BadReply(format!("the headers of the response are invalid: {error}").into())
    })?;
    let status = Status::new(response.status_code).message(response.status_msg);
    let body = response.body.json();
    // A body that is not JSON is an error for a caller that decodes it, and a text for one that asks for text. With an error status, it
    // is the reason, which becomes a JSON string.
    let body = if status.is_success() || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        Bytes::copy_from_slice(body)
    } else {
        serde_json::to_vec(&String::from_utf8_lossy(response.body.raw()))
            .unwrap_or_default()
            .into()
    };
    let mut response = ServiceResponse::new(status, ResponseBody::from(body));
    response.headers = headers;
    Ok(response)
}

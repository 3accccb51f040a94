//! Answers, off the link and to the calls they belong to.

use super::call_table::CallTable;
use crate::legacy::codec::{self, Dialect, decode_response};
use crate::legacy::push_dealer::PushDealerEvent;
use crate::legacy::server::headers;
use crate::rpc::api::{CallError, ServiceResponse};
use crate::secret::Secret;
use crate::status::Status;
use brubeck_zmtp::{ClientEvent, EventReceiver};
use bytes::Bytes;
use std::sync::Arc;

/// Takes answers off the link and ends the calls they belong to.
pub(super) struct ResponseReader {
    pub(super) address: String,
    pub(super) dialect: Dialect,
    pub(super) passphrase: Secret,
    pub(super) waiting: Arc<CallTable>,
}

impl ResponseReader {
    pub(super) async fn read_client(self, mut inbound: EventReceiver<ClientEvent>) {
        while let Some(event) = inbound.recv().await {
            match event {
                ClientEvent::Up { generation } => {
                    tracing::debug!(address = %self.address, generation, "connected to a service");
                }
                ClientEvent::Message { frames, .. } => self.take(&frames),
                ClientEvent::Down { generation, reason } => {
                    tracing::warn!(address = %self.address, generation, reason, "the connection to a service is lost");
                    self.waiting.lose_up_to(generation);
                }
            }
        }
    }

    pub(super) async fn read_hub(self, mut inbound: EventReceiver<PushDealerEvent>) {
        while let Some(event) = inbound.recv().await {
            match event {
                PushDealerEvent::Message { frames } => self.take(&frames),
                PushDealerEvent::Down { generation, reason } => {
                    tracing::warn!(address = %self.address, generation, reason, "a service is gone");
                    self.waiting.lose_one(generation);
                }
            }
        }
    }

    fn take(&self, frames: &[Bytes]) {
        let dropped = |why: &str| tracing::warn!(address = %self.address, "an answer was dropped: {why}");
        let response = match decode_response(self.dialect, frames) {
            Ok(response) => response,
            Err(error) => {
                dropped(&error.to_string());
                if let Some(id) = error.conn_id() {
                    self.waiting
                        .end(id, Err(CallError::BadReply(error.to_string().into())));
                }
                return;
            }
        };
        if !self.passphrase.matches(response.envelope.passphrase.expose()) {
            return dropped("its passphrase is wrong");
        }
        let id = response.envelope.conn_id.clone();
        match self.waiting.path(&id) {
            None => return dropped("no call waits for it"),
            Some(path) if path != response.envelope.path => {
                return dropped("its path is not that of the call");
            }
            Some(_) if response.method() != "response" => return dropped("its method is not `response`"),
            Some(_) => {}
        }
        self.waiting.end(&id, answer(response));
    }
}

fn answer(response: codec::LegacyResponse) -> Result<ServiceResponse<Bytes>, CallError> {
    let headers = headers(&response.headers)
        .map_err(|error| CallError::BadReply(format!("the headers of the answer: {error}").into()))?;
    let status = Status::new(response.status_code).message(response.status_msg);
    let body = match serde_json::from_slice::<serde::de::IgnoredAny>(response.body.json()) {
        Ok(_) => Bytes::copy_from_slice(response.body.json()),
        // Services in other languages answer plain text; a text is JSON too, once it is quoted.
        Err(_) => serde_json::to_vec(&String::from_utf8_lossy(response.body.raw()))
            .unwrap_or_default()
            .into(),
    };
    Ok(ServiceResponse {
        status,
        headers,
        body,
    })
}

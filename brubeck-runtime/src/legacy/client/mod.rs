//! Links to services that use a dialect.

mod call_table;
mod reader;

use super::codec::{self, Dialect, JsonText, Timestamp, encode_request};
use crate::error::Error;
use crate::legacy::push_dealer::{PushDealerSender, bind_push_dealer};
use crate::routing::misrouted;
use crate::rpc::api::{
    CallError, CallErrorReason, DeadlineTimer, Link, Origin, PendingResponse, Phase, ServiceAddress,
    ServiceRequest, merge_objects,
};
use crate::secret::Secret;
use brubeck_zmtp::{ClientSender, Endpoint, LinkConfig, SendError, Transport, TransportError, Zmtp};
use bytes::Bytes;
use call_table::{CallGuard, CallTable};
use reader::ResponseReader;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Opens a link to a service that uses `dialect`. In the `Pypi` dialects, the link binds both addresses and services connect to
/// them. Otherwise, the link connects in the background.
///
/// # Errors
/// Returns an error if the addresses are not valid for the dialect or cannot be bound, if the passphrase would cross the network
/// in clear text and `service` does not allow that, or if the operating system provides no random numbers.
pub(crate) fn open(dialect: Dialect, service: &ServiceAddress) -> crate::Result<Arc<dyn Link>> {
    let address = service.address();
    if service.addresses().nth(1).is_some() {
        return Err(Error::new(format!(
            "cannot call the service at {address}: a service in the dialect {dialect} has one address; remove `.and(..)`"
        )));
    }
    let call_error =
        |error: TransportError| Error::because(format!("cannot call the service at {address}"), error);
    let endpoint = |text: &str| -> crate::Result<Endpoint> {
        let endpoint: Endpoint = text
            .parse()
            .map_err(|error| call_error(TransportError::from(error)))?;
        if endpoint.is_loopback() || service.allows_clear_text() {
            return Ok(match (endpoint, service.folder()) {
                (Endpoint::Ipc(path), Some(folder)) => Endpoint::Ipc(folder.join(path)),
                (endpoint, _) => endpoint,
            });
        }
        Err(Error::new(format!(
            "cannot call the service at {address}: the passphrase would cross the network in clear to {text}; \
             use an ipc or loopback address, or call `.allow_clear_text()`"
        )))
    };
    let requests = endpoint(address)?;
    let calls = Arc::new(CallTable::default());
    let reader = ResponseReader {
        address: address.to_owned(),
        dialect,
        passphrase: service.passphrase()?.clone(),
        calls: calls.clone(),
    };
    let (sender, outbound) = match (dialect.has_sender_in_request(), service.responses()) {
        (false, None) => {
            let client = Zmtp.client(requests, LinkConfig::default()).map_err(call_error)?;
            tokio::spawn(reader.read_dealer(client.inbound));
            (Bytes::new(), RequestSender::Dealer(client.outbound))
        }
        (true, Some(responses)) => {
            let client = bind_push_dealer(&requests, &endpoint(responses)?, &LinkConfig::default())
                .map_err(call_error)?;
            tokio::spawn(reader.read_push_dealer(client.inbound));
            (client.identity, RequestSender::PushDealer(client.outbound))
        }
        (true, None) => {
            return Err(Error::new(format!(
                "cannot call the service at {address}: in the dialect {dialect} responses arrive at a second \
                 address; set it with `.responses_at(..)`"
            )));
        }
        (false, Some(_)) => {
            return Err(Error::new(format!(
                "cannot call the service at {address}: in the dialect {dialect} responses arrive at the same \
                 address; remove `.responses_at(..)`, or use `.dialect(Dialect::Pypi)`"
            )));
        }
    };
    Ok(Arc::new(LegacyLink {
        address: address.to_owned(),
        dialect,
        sender,
        passphrase: service.passphrase()?.clone(),
        ids: CallIds::new()?,
        calls,
        outbound,
    }))
}

/// A link to the service of one [`ServiceAddress`]. In the `Pypi` dialects, several services may share the link.
struct LegacyLink {
    address: String,
    dialect: Dialect,
    /// The identity that requests carry as their sender. Empty in the dialects whose requests carry none.
    sender: Bytes,
    passphrase: Secret,
    ids: CallIds,
    calls: Arc<CallTable>,
    outbound: RequestSender,
}

/// Sends requests to a service.
#[derive(Clone)]
enum RequestSender {
    /// The client connects to one service.
    Dealer(ClientSender),
    /// Any number of services connect to the client.
    PushDealer(PushDealerSender),
}

impl RequestSender {
    /// Sends a request, and records in `call` the connection or service that receives it.
    async fn send(&self, call: &CallGuard, frame: Bytes) -> Result<(), SendError> {
        match self {
            RequestSender::Dealer(sender) => {
                let generation = sender.send(vec![frame]).await?;
                call.sent_on(generation);
                Ok(())
            }
            RequestSender::PushDealer(sender) => loop {
                let permit = sender.reserve().await?;
                call.sending_to(permit.generation());
                match permit.send(frame.clone()) {
                    // The service disconnected in the meantime. Try another one.
                    Err(SendError::LinkDown) => {}
                    result => return result,
                }
            },
        }
    }
}

impl Link for LegacyLink {
    fn call(&self, request: ServiceRequest, origin: Option<Origin>, deadline: Instant) -> PendingResponse {
        // Requests in a dialect carry no operation, so the service routes them by path.
        if let Some(reason) = misrouted(&request) {
            return Box::pin(std::future::ready(Err(CallError::Refused(reason.into()))));
        }
        let id = self.ids.next();
        let request = self.encode_fields(id.clone(), &request, origin);
        let encoded =
            encode_request(&request).map_err(|error| CallError::Refused(CallErrorReason::of(error)));
        let (calls, outbound) = (self.calls.clone(), self.outbound.clone());
        Box::pin(async move {
            let frame = encoded?;
            let expired = |phase| CallError::deadline(phase);
            let mut timer = DeadlineTimer::new(deadline);
            let (call, result) = CallGuard::insert(calls, id, request.envelope.path);
            let sent = timer.limit(outbound.send(&call, frame)).await;
            sent.ok_or(expired(Phase::Waiting))?
                .map_err(|error| match error {
                    SendError::Closed => CallError::shutting_down(),
                    other => CallError::Refused(CallErrorReason::of(other)),
                })?;
            let result = timer.limit(result).await;
            let result = result.ok_or(expired(Phase::Running))?;
            result.unwrap_or(Err(CallError::shutting_down()))
        })
    }

    fn is_closed(&self) -> bool {
        self.calls.is_closed()
    }

    fn address(&self) -> &str {
        &self.address
    }
}

impl LegacyLink {
    /// Converts a request to the fields of the dialect.
    fn encode_fields(
        &self,
        id: Bytes,
        request: &ServiceRequest,
        origin: Option<Origin>,
    ) -> codec::LegacyRequest {
        let mut fields = codec::LegacyRequest::new(
            self.dialect,
            id,
            request.path().to_owned(),
            request.method().as_str(),
        );
        fields.envelope.sender = self.sender.clone();
        let now = Timestamp::from_millis(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        );
        fields.envelope.times = codec::Times {
            request: now.clone(),
            start: now.clone(),
            end: now,
        };
        fields.envelope.passphrase = self.passphrase.clone();
        if let Some(origin) = origin {
            fields.envelope.origin = origin;
        }
        fields.headers = object(request.headers());
        if self.dialect == Dialect::Seed {
            fields.body = seed_body(&request.inlined_body(), request);
        } else {
            fields.arguments = JsonText::from(request.inlined_arguments());
            fields.body = JsonText::from(request.inlined_body());
        }
        fields
    }
}

/// Returns the body of a request in the dialect `Seed`. It includes the arguments, because the dialect has no field for them.
///
/// A body that is not an object is returned without the arguments. [`encode_request`] then refuses it.
fn seed_body(body: &Bytes, request: &ServiceRequest) -> JsonText {
    if body.is_empty() {
        return JsonText::from(request.inlined_arguments());
    }
    match merge_objects(body, &request.inlined_arguments()) {
        Some(merged) => JsonText::from(merged),
        None => JsonText::from(body.clone()),
    }
}

fn object(fields: &Map<String, Value>) -> JsonText {
    // Serializing a map with string keys cannot fail.
    JsonText::from(serde_json::to_vec(fields).unwrap_or_default())
}

/// Generates call ids: a random part that identifies the client, followed by a number.
struct CallIds {
    client: u64,
    next: AtomicU64,
}

impl CallIds {
    fn new() -> crate::Result<CallIds> {
        let client = getrandom::u64()
            .map_err(|error| Error::because("the operating system provides no random numbers", error))?;
        Ok(CallIds {
            client,
            next: AtomicU64::new(1),
        })
    }

    fn next(&self) -> Bytes {
        format!(
            "{:016x}{:016x}",
            self.client,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_body_contains_the_arguments_or_is_refused() {
        let arguments = ServiceRequest::new("/service/slow").argument("a", 1);
        let body = |text: &'static str| seed_body(&Bytes::from_static(text.as_bytes()), &arguments);
        assert_eq!(body("").raw(), r#"{"a":1}"#);
        assert_eq!(body(r#"{"b":2}"#).raw(), r#"{"a":1,"b":2}"#);

        let mut request = codec::LegacyRequest::new(Dialect::Seed, "42", "/service/slow", "request");
        request.body = body("[2]");
        assert!(
            encode_request(&request).is_err(),
            "neither part is dropped silently"
        );
    }
}

//! The calling side: one link per service address, and the calls that wait on it.

mod call_table;
mod reader;

use super::codec::{self, Dialect, JsonText, Timestamp, encode_request};
use crate::error::Error;
use crate::legacy::push_dealer::{PushDealerSender, bind_push_dealer};
use crate::rpc::api::{CallError, Link, Origin, PendingResponse, Phase, ServiceAddress, ServiceRequest};
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

/// Opens the link to a service that speaks this dialect; connecting itself goes on in the background.
pub(crate) fn open(dialect: Dialect, service: &ServiceAddress) -> crate::Result<Arc<dyn Link>> {
    let address = service.address();
    if service.addresses().nth(1).is_some() {
        return Err(Error::new(format!(
            "cannot call the service at {address}: in the dialect {dialect} it has one address; leave `.and(..)` out"
        )));
    }
    let cannot =
        |error: TransportError| Error::because(format!("cannot call the service at {address}"), error);
    let endpoint = |text: &str| -> crate::Result<Endpoint> {
        let endpoint: Endpoint = text
            .parse()
            .map_err(|error| cannot(TransportError::from(error)))?;
        if endpoint.is_loopback() || service.allows_clear_text() {
            return Ok(endpoint);
        }
        Err(Error::new(format!(
            "cannot call the service at {address}: the passphrase would cross the network in clear to {text}; \
             use an ipc or loopback address, or say `.allow_clear_text()`"
        )))
    };
    let requests = endpoint(address)?;
    let waiting = Arc::new(CallTable::default());
    let reader = ResponseReader {
        address: address.to_owned(),
        dialect,
        passphrase: service.passphrase().clone(),
        waiting: waiting.clone(),
    };
    let (sender, outbound) = match (dialect.has_sender_in_request(), service.responses()) {
        (false, None) => {
            let client = Zmtp.client(requests, LinkConfig::default()).map_err(cannot)?;
            tokio::spawn(reader.read_client(client.inbound));
            (Bytes::new(), RequestSender::Dealer(client.outbound))
        }
        (true, Some(responses)) => {
            let hub =
                bind_push_dealer(&requests, &endpoint(responses)?, &LinkConfig::default()).map_err(cannot)?;
            tokio::spawn(reader.read_hub(hub.inbound));
            (hub.identity, RequestSender::PushDealer(hub.outbound))
        }
        (true, None) => {
            return Err(Error::new(format!(
                "cannot call the service at {address}: in the dialect {dialect} services send their answers to \
                 an address of their own; say which with `.responses_at(..)`"
            )));
        }
        (false, Some(_)) => {
            return Err(Error::new(format!(
                "cannot call the service at {address}: in the dialect {dialect} answers come back on the same \
                 address; leave `.responses_at(..)` out, or say `.dialect(Dialect::Pypi)`"
            )));
        }
    };
    Ok(Arc::new(LegacyLink {
        address: address.to_owned(),
        dialect,
        sender,
        passphrase: service.passphrase().clone(),
        ids: CallIds::new()?,
        waiting,
        outbound,
    }))
}

struct LegacyLink {
    address: String,
    dialect: Dialect,
    /// What a request says of who sends it; empty where the socket does.
    sender: Bytes,
    passphrase: Secret,
    ids: CallIds,
    waiting: Arc<CallTable>,
    outbound: RequestSender,
}

/// The way to a service.
#[derive(Clone)]
enum RequestSender {
    /// To one that is connected to.
    Dealer(ClientSender),
    /// To one of those that have connected.
    PushDealer(PushDealerSender),
}

impl RequestSender {
    async fn send(&self, call: &CallGuard, frame: Bytes, deadline: Instant) -> Result<(), SendError> {
        match self {
            RequestSender::Dealer(outbox) => {
                let generation = outbox.send_by(vec![frame], deadline).await?;
                call.sent_on(generation);
                Ok(())
            }
            RequestSender::PushDealer(outbox) => loop {
                let place = outbox.reserve_by(deadline).await?;
                call.sent_to(place.generation());
                match place.send(frame.clone()) {
                    // That service went while this was being said; there may be others.
                    Err(SendError::LinkDown) => {}
                    sent => return sent,
                }
            },
        }
    }
}

impl Link for LegacyLink {
    fn call(&self, request: ServiceRequest, origin: Option<Origin>, deadline: Instant) -> PendingResponse {
        let id = self.ids.next();
        let request = self.wire(id.clone(), &request, origin);
        let sent = encode_request(&request).map_err(|error| CallError::Refused(error.to_string().into()));
        let (waiting, outbound, deadline) = (self.waiting.clone(), self.outbound.clone(), deadline);
        Box::pin(async move {
            let frame = sent?;
            let (call, answer) = CallGuard::begin(waiting, id, request.envelope.path);
            outbound
                .send(&call, frame, deadline)
                .await
                .map_err(|error| match error {
                    SendError::Deadline => CallError::Deadline {
                        phase: Phase::Waiting,
                    },
                    SendError::Closed => CallError::ShuttingDown,
                    other => CallError::Refused(other.to_string().into()),
                })?;
            match tokio::time::timeout_at(deadline, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(CallError::ShuttingDown),
                Err(_) => Err(CallError::Deadline {
                    phase: Phase::Running,
                }),
            }
        })
    }

    fn address(&self) -> &str {
        &self.address
    }
}

impl LegacyLink {
    fn wire(&self, id: Bytes, request: &ServiceRequest, origin: Option<Origin>) -> codec::LegacyRequest {
        let mut wire = codec::LegacyRequest::new(
            self.dialect,
            id,
            request.path().to_owned(),
            request.method().as_str(),
        );
        wire.envelope.sender = self.sender.clone();
        let now = Timestamp::from_millis(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        );
        wire.envelope.times = codec::Times {
            request: now.clone(),
            start: now.clone(),
            end: now,
        };
        wire.envelope.passphrase = self.passphrase.clone();
        if let Some(origin) = origin {
            wire.envelope.origin = origin;
        }
        wire.headers = object(request.headers());
        if self.dialect == Dialect::Seed {
            // This dialect carries no arguments: its services look for them in the body.
            wire.body = match serde_json::from_slice::<Map<String, Value>>(request.body_text()) {
                Ok(mut body) => {
                    body.extend(request.arguments().clone());
                    object(&body)
                }
                Err(_) if request.arguments().is_empty() => JsonText::from(request.body_text().clone()),
                Err(_) => object(request.arguments()),
            };
        } else {
            wire.arguments = object(request.arguments());
            wire.body = JsonText::from(request.body_text().clone());
        }
        wire
    }
}

fn object(fields: &Map<String, Value>) -> JsonText {
    // A map of JSON values is JSON.
    JsonText::from(serde_json::to_vec(fields).unwrap_or_default())
}

/// Call ids: the random part keeps the calls of two clients apart, the number those of one.
struct CallIds {
    client: u64,
    next: AtomicU64,
}

impl CallIds {
    fn new() -> crate::Result<CallIds> {
        let client =
            getrandom::u64().map_err(|error| Error::because("the system gives no random numbers", error))?;
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

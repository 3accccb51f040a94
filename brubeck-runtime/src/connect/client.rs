//! The calling side: one supervised DEALER per service address, and the calls that wait on it.

use super::service::headers;
use super::transport::{
    self, ClientEvent, ClientOutbox, Endpoint, Generation, SendError, Timing, Transport, ZeroMq,
};
use crate::call::{CallError, Client, Link, Origin, Phase, Request};
use crate::error::Error;
use crate::message::Message;
use crate::status::Status;
use crate::wire::service::{self, Dialect, JsonText, Secret, Timestamp, decode_response, encode_request};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

impl Client {
    /// A client of the service at this address, in this dialect, that belongs to no application.
    ///
    /// ```no_run
    /// use brubeck::{Client, Dialect};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let slow = Client::connect("ipc://run/slow", "my_shared_secret", Dialect::Branch)?;
    /// let reply = slow.request("/service/slow").argument("RETURN_DATA", "hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The address is none. A service that does not run yet is no error: calls wait for it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect(address: &str, passphrase: &str, dialect: Dialect) -> crate::Result<Client> {
        Ok(Client::over(open_client(address, passphrase, dialect)?))
    }
}

/// Opens the link to a service; connecting itself goes on in the background.
pub(crate) fn open_client(address: &str, passphrase: &str, dialect: Dialect) -> crate::Result<Arc<dyn Link>> {
    let cannot = |error: transport::TransportError| {
        Error::because(format!("cannot call a service at {address}"), error)
    };
    let endpoint: Endpoint = address
        .parse()
        .map_err(|error| cannot(transport::TransportError::from(error)))?;
    let client = ZeroMq.client(endpoint, Timing::default()).map_err(cannot)?;
    let waiting = Arc::new(Waiting::default());
    let passphrase = Secret::new(passphrase.to_owned());
    let reader = Reader {
        address: address.to_owned(),
        dialect,
        passphrase: passphrase.clone(),
        waiting: waiting.clone(),
    };
    tokio::spawn(reader.read(client.inbound));
    Ok(Arc::new(ServiceLink {
        address: address.to_owned(),
        dialect,
        passphrase,
        ids: CallIds::new()?,
        waiting,
        outbound: client.outbound,
    }))
}

struct ServiceLink {
    address: String,
    dialect: Dialect,
    passphrase: Secret,
    ids: CallIds,
    waiting: Arc<Waiting>,
    outbound: ClientOutbox,
}

impl Link for ServiceLink {
    fn call(
        &self,
        request: Request,
        origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<Message, CallError>> {
        let id = self.ids.next();
        let request = self.wire(id.clone(), &request, origin);
        let sent = encode_request(&request).map_err(|error| CallError::Refused(error.to_string().into()));
        let (waiting, outbound, deadline) = (self.waiting.clone(), self.outbound.clone(), deadline.into());
        Box::pin(async move {
            let frame = sent?;
            let (call, answer) = WaitingCall::begin(waiting, id, request.envelope.path);
            let generation = outbound
                .send_by(vec![frame], deadline)
                .await
                .map_err(|error| match error {
                    SendError::Deadline => CallError::Deadline {
                        phase: Phase::Waiting,
                    },
                    SendError::Closed => CallError::ShuttingDown,
                    other => CallError::Refused(other.to_string().into()),
                })?;
            call.sent_on(generation);
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

impl ServiceLink {
    fn wire(&self, id: Bytes, request: &Request, origin: Option<Origin>) -> service::Request {
        let mut wire = service::Request::new(
            self.dialect,
            id,
            request.path().to_owned(),
            request.method().as_str(),
        );
        let now = Timestamp::from_millis(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        );
        wire.envelope.times = service::Times {
            request: now.clone(),
            start: now.clone(),
            end: now,
        };
        wire.envelope.passphrase = self.passphrase.clone();
        if let Some(origin) = origin {
            wire.envelope.origin = service::Origin {
                sender_id: origin.sender_id.into(),
                conn_id: origin.conn_id.into(),
                out_addr: origin.out_addr.into(),
            };
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

/// The calls that wait for an answer on one link.
#[derive(Default)]
struct Waiting(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    by_id: HashMap<Bytes, Expected>,
    /// The newest connection that is known to be lost.
    lost: Generation,
}

struct Expected {
    path: Bytes,
    /// The connection on which the request was sent; `None` until it was.
    generation: Option<Generation>,
    answer: oneshot::Sender<Result<Message, CallError>>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a call, if it still waits.
    fn end(&self, id: &Bytes, outcome: Result<Message, CallError>) {
        if let Some(expected) = self.lock().by_id.remove(id) {
            // Whoever waited may have gone this very moment.
            let _ = expected.answer.send(outcome);
        }
    }

    /// Ends all calls that were sent on a connection which is lost.
    fn lose(&self, generation: Generation) {
        let mut calls = self.lock();
        calls.lost = calls.lost.max(generation);
        for (_, lost) in calls
            .by_id
            .extract_if(|_, call| call.generation.is_some_and(|sent| sent <= generation))
        {
            let _ = lost.answer.send(Err(CallError::Lost { may_have_run: true }));
        }
    }
}

/// One call that waits; dropping it forgets the call.
struct WaitingCall {
    waiting: Arc<Waiting>,
    id: Bytes,
}

impl WaitingCall {
    fn begin(
        waiting: Arc<Waiting>,
        id: Bytes,
        path: Bytes,
    ) -> (WaitingCall, oneshot::Receiver<Result<Message, CallError>>) {
        let (answer, answered) = oneshot::channel();
        waiting.lock().by_id.insert(
            id.clone(),
            Expected {
                path,
                generation: None,
                answer,
            },
        );
        (WaitingCall { waiting, id }, answered)
    }

    fn sent_on(&self, generation: Generation) {
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
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.waiting.lock().by_id.remove(&self.id);
    }
}

/// Takes answers off the link and ends the calls they belong to.
struct Reader {
    address: String,
    dialect: Dialect,
    passphrase: Secret,
    waiting: Arc<Waiting>,
}

impl Reader {
    async fn read(self, mut inbound: transport::Inbox<ClientEvent>) {
        while let Some(event) = inbound.recv().await {
            match event {
                ClientEvent::Up { generation } => {
                    tracing::debug!(address = %self.address, generation, "connected to a service");
                }
                ClientEvent::Message { frames, .. } => self.take(&frames),
                ClientEvent::Down { generation, reason } => {
                    tracing::warn!(address = %self.address, generation, reason, "the connection to a service is lost");
                    self.waiting.lose(generation);
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
        match self.waiting.lock().by_id.get(&id) {
            None => return dropped("no call waits for it"),
            Some(call) if call.path != response.envelope.path => {
                return dropped("its path is not that of the call");
            }
            Some(_) if response.method() != "response" => return dropped("its method is not `response`"),
            Some(_) => {}
        }
        self.waiting.end(&id, message(response));
    }
}

fn message(response: service::Response) -> Result<Message, CallError> {
    let path = response.envelope.path_str().unwrap_or_default();
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
    Ok(Message::response(path, status)
        .with_headers(headers)
        .with_body(body))
}

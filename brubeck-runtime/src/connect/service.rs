//! The serving side of a service: requests come in over a ROUTER, each is answered in its own dialect.

mod encode;

use super::transport::{
    self, Endpoint, LINGER, Limits, Peer, ServerEvent, ServerOutbox, Transport, TransportError, ZeroMq,
};
use super::v2::Sessions;
use super::{Application, Connection, Opened, Stop};
use crate::call::protocol::WorkerConfig;
use crate::error::Error;
use crate::message::Message;
use crate::method::Method;
use crate::reply::{IntoReply, Response};
use crate::status::Status;
use crate::wire::service::{Envelope, JsonText, Request, Secret, decode_request};
use crate::wire::v2::is_v2;
use bytes::Bytes;
use encode::encode;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};

/// How many handlers of one service run at once, unless it says otherwise.
const SLOTS: usize = 1024;

/// Answers the calls of other applications.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Service::bind("ipc://run/slow", "my_shared_secret")).await
/// # }
/// ```
///
/// It speaks brubeck's own protocol and the dialects of Brubeck Services side by side, and answers each
/// caller in its own. Requests run side by side, at most 1,024 at once unless
/// [`slots`](Service::slots) says otherwise; what comes beyond is refused at once as busy. A caller that goes
/// away, cancels or sees its deadline pass stops its handlers.
///
/// In brubeck's own protocol the passphrase never crosses the wire. Callers in a dialect of the original send it
/// in clear, so they are taken only on ipc and loopback addresses, unless
/// [`allow_clear_text`](Service::allow_clear_text) says otherwise; one with another passphrase is answered with
/// 401, one that cannot be read with 400 where it still says who asked.
#[derive(Clone, Debug)]
#[must_use]
pub struct Service {
    address: String,
    passphrase: Secret,
    clear_text: bool,
    slots: usize,
}

impl Service {
    /// Binds `ipc://path/of/socket` or `tcp://host:port`; callers must know the passphrase.
    pub fn bind(address: impl Into<String>, passphrase: impl Into<String>) -> Service {
        Service {
            address: address.into(),
            passphrase: Secret::new(passphrase.into()),
            clear_text: false,
            slots: SLOTS,
        }
    }

    /// How many handlers may run at once; as many calls again may wait for one of them.
    pub fn slots(mut self, slots: usize) -> Service {
        self.slots = slots.max(1);
        self
    }

    /// Takes callers that send the passphrase in clear from other machines, too: whoever can read the network
    /// can then call the service.
    pub fn allow_clear_text(mut self) -> Service {
        self.clear_text = true;
        self
    }
}

impl Connection for Service {
    fn open(self: Box<Self>, application: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<Opened>> {
        Box::pin(async move { self.open_over(&ZeroMq, application).await })
    }
}

impl Service {
    pub(super) async fn open_over(
        self,
        transport: &dyn Transport,
        application: Arc<dyn Application>,
    ) -> crate::Result<Opened> {
        let cannot =
            |error: TransportError| Error::because(format!("cannot serve at {}", self.address), error);
        let endpoint: Endpoint = self
            .address
            .parse()
            .map_err(|error| cannot(TransportError::from(error)))?;
        let clear_text = self.clear_text || endpoint.is_loopback();
        let server = transport
            .server(endpoint, Limits::default())
            .await
            .map_err(cannot)?;
        let config = WorkerConfig {
            passphrase: self.passphrase.clone(),
            slots: self.slots,
            ..WorkerConfig::default()
        };
        let sessions = Sessions::new(config, application.clone(), server.outbound.clone())?;
        let address = server.local.to_string();
        let answering = Answering {
            passphrase: self.passphrase,
            clear_text,
            application,
        };
        let serving = Serving {
            answering: Arc::new(answering),
            places: Arc::new(Semaphore::new(self.slots)),
            handlers: JoinSet::new(),
            by_peer: HashMap::new(),
            sessions,
        };
        Ok(Opened {
            address,
            serve: Box::new(|stop| Box::pin(serving.serve(server, stop))),
        })
    }
}

struct Serving {
    answering: Arc<Answering>,
    sessions: Sessions,
    /// Handlers that run for callers in dialects of the original.
    places: Arc<Semaphore>,
    handlers: JoinSet<()>,
    by_peer: HashMap<Peer, Vec<AbortHandle>>,
}

impl Serving {
    async fn serve(mut self, mut server: transport::Server, mut stop: Stop) {
        let (mut stopping, mut idle) = (false, false);
        while !(stopping && idle && self.handlers.is_empty()) {
            tokio::select! {
                () = stop.requested(), if !stopping => {
                    stopping = true;
                    self.sessions.drain();
                }
                () = self.sessions.idle(), if stopping && !idle => idle = true,
                Some(_) = self.handlers.join_next() => {}
                event = server.inbound.recv() => match event {
                    Some(ServerEvent::Message { peer, frames }) if is_v2(&frames) => self.sessions.take(&peer, frames),
                    Some(ServerEvent::Message { peer, frames }) => self.legacy(peer, frames, &server.outbound, stopping),
                    Some(ServerEvent::Gone { peer }) => self.gone(&peer),
                    None => return,
                },
            }
        }
        server.shutdown(LINGER).await;
    }

    fn legacy(&mut self, peer: Peer, frames: Vec<Bytes>, outbound: &ServerOutbox, stopping: bool) {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) if !stopping => Some(place),
            _ => None,
        };
        let (answering, outbound) = (self.answering.clone(), outbound.clone());
        let asks = peer.clone();
        let handler = self
            .handlers
            .spawn(async move { answering.take(asks, frames, outbound, place).await });
        if self.by_peer.len() > SLOTS {
            // Not every peer that leaves is told of.
            self.by_peer
                .retain(|_, handlers| handlers.iter().any(|handler| !handler.is_finished()));
        }
        let handlers = self.by_peer.entry(peer).or_default();
        handlers.retain(|handler| !handler.is_finished());
        handlers.push(handler);
    }

    fn gone(&mut self, peer: &Peer) {
        self.sessions.gone(peer);
        self.by_peer
            .remove(peer)
            .into_iter()
            .flatten()
            .for_each(|handler| handler.abort());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.sessions.stop();
    }
}

struct Answering {
    passphrase: Secret,
    /// Whether callers may send the passphrase in clear.
    clear_text: bool,
    application: Arc<dyn Application>,
}

impl Answering {
    /// Reads one message, has it answered, and sends the answer; without a place it is refused.
    async fn take(
        &self,
        peer: Peer,
        frames: Vec<Bytes>,
        outbound: ServerOutbox,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let received = SystemTime::now();
        let mut routed = Vec::with_capacity(frames.len() + 1);
        routed.push(peer.identity().clone());
        routed.extend(frames);
        let (envelope, response) = match decode_request(&routed) {
            Ok(request) => {
                let response = self.answer(&request, place.is_some()).await;
                (request.envelope, response)
            }
            Err(error) => match error.envelope() {
                Some(envelope) => {
                    let reason = error.to_string();
                    (envelope.clone(), Status::BAD_REQUEST.message(reason).into_reply())
                }
                None => {
                    tracing::warn!(?peer, %error, "a message that is no request was dropped");
                    return;
                }
            },
        };
        let frames = match encode(&envelope, response, received) {
            Ok(frames) => frames,
            Err(error) => {
                tracing::error!(?peer, %error, "an answer could not be written in the caller's dialect");
                return;
            }
        };
        // The outbox is closed only when this process is on its way out.
        let _ = outbound.send(peer, frames).await;
    }

    async fn answer(&self, request: &Request, has_place: bool) -> Response {
        let envelope = &request.envelope;
        if !self.clear_text {
            tracing::warn!("a caller from another machine sent the passphrase in clear and was refused");
            return Status::FORBIDDEN
                .message("no passphrases in clear here")
                .into_reply();
        }
        if !self.passphrase.matches(envelope.passphrase.expose()) {
            tracing::warn!(path = %envelope.path.escape_ascii(), "a request with another passphrase was refused");
            return Status::new(401).message("wrong passphrase").into_reply();
        }
        if !has_place {
            return Status::SERVICE_UNAVAILABLE.into_reply();
        }
        match message(request) {
            Ok(message) => self.application.clone().answer(message).await,
            Err(status) => status.into_reply(),
        }
    }
}

/// The message that a request carries; `Err` says what the caller got wrong.
fn message(request: &Request) -> Result<Message, Status> {
    let bad = |what: String| Status::BAD_REQUEST.message(what);
    let path = request
        .envelope
        .path_str()
        .ok_or_else(|| bad("the path is not UTF-8".into()))?;
    let method: Method = std::str::from_utf8(request.method())
        .ok()
        .and_then(|name| name.parse().ok())
        .filter(|method| *method != Method::Response)
        .ok_or_else(|| {
            bad(format!(
                "`{}` is not a method of a service",
                request.method().escape_ascii()
            ))
        })?;
    for (name, text) in [("arguments", &request.arguments), ("body", &request.body)] {
        text.object().map_err(|error| bad(format!("{name}: {error}")))?;
    }
    let headers = headers(&request.headers).map_err(|error| bad(format!("headers: {error}")))?;
    Ok(Message::service(method, path)
        .with_headers(headers)
        .with_arguments(request.arguments.raw().clone())
        .with_body(request.body.raw().clone())
        .with_extension(origin(&request.envelope)))
}

/// Headers as HTTP knows them; other names are left out.
pub(super) fn headers(text: &JsonText) -> Result<HeaderMap, crate::wire::service::NotAnObject> {
    let named = |(name, value): (String, Value)| {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Some((
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value).ok()?,
        ))
    };
    Ok(text.object()?.into_iter().filter_map(named).collect())
}

fn origin(envelope: &Envelope) -> crate::call::Origin {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    crate::call::Origin {
        sender_id: text(&envelope.origin.sender_id),
        conn_id: text(&envelope.origin.conn_id),
        out_addr: text(&envelope.origin.out_addr),
    }
}

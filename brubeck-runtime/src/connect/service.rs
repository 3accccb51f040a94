//! The serving side of a service: requests come in over a ROUTER, each is answered in its own dialect.

mod encode;

use super::transport::{self, Endpoint, LINGER, Limits, Peer, ServerEvent, ServerOutbox, Transport, ZeroMq};
use super::{Application, Connection, Opened, Stop};
use crate::error::Error;
use crate::message::Message;
use crate::method::Method;
use crate::reply::{IntoReply, Response};
use crate::status::Status;
use crate::wire::service::{Envelope, JsonText, Request, Secret, decode_request};
use bytes::Bytes;
use encode::encode;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many requests of one service are worked on at once.
const IN_FLIGHT: usize = 1024;

/// Answers the calls of other applications.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Service::bind("ipc://run/slow", "my_shared_secret")).await
/// # }
/// ```
///
/// Requests run side by side, at most 1,024 at once; what comes beyond waits in the sockets. Each is
/// answered in the dialect in which it came. A request with another passphrase is answered with 401, one
/// that cannot be read with 400 where it still says who asked.
///
/// Callers send the passphrase in clear, so it is taken only on ipc and loopback addresses, unless
/// [`allow_clear_text`](Service::allow_clear_text) says otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct Service {
    address: String,
    passphrase: Secret,
    clear_text: bool,
}

impl Service {
    /// Binds `ipc://path/of/socket` or `tcp://host:port`; callers must know the passphrase.
    pub fn bind(address: impl Into<String>, passphrase: impl Into<String>) -> Service {
        Service {
            address: address.into(),
            passphrase: Secret::new(passphrase.into()),
            clear_text: false,
        }
    }

    /// Takes passphrases in clear from other machines: whoever can read the network can then call the service.
    pub fn allow_clear_text(mut self) -> Service {
        self.clear_text = true;
        self
    }
}

impl Connection for Service {
    fn open(self: Box<Self>, application: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<Opened>> {
        Box::pin(async move {
            let cannot = |error: transport::TransportError| {
                Error::because(format!("cannot serve at {}", self.address), error)
            };
            let endpoint: Endpoint = self
                .address
                .parse()
                .map_err(|error| cannot(transport::TransportError::from(error)))?;
            if !self.clear_text && !endpoint.is_loopback() {
                return Err(Error::new(format!(
                    "cannot serve at {}: callers on other machines would send the passphrase in clear; \
                     bind an ipc or loopback address, or say `.allow_clear_text()`",
                    self.address
                )));
            }
            let server = ZeroMq.server(endpoint, Limits::default()).await.map_err(cannot)?;
            let answering = Arc::new(Answering {
                passphrase: self.passphrase,
                application,
            });
            Ok(Opened {
                address: server.local.to_string(),
                serve: Box::new(|stop| Box::pin(serve(server, answering, stop))),
            })
        })
    }
}

async fn serve(mut server: transport::Server, answering: Arc<Answering>, mut stop: Stop) {
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut handlers = JoinSet::new();
    loop {
        let event = async {
            let place = places.clone().acquire_owned().await;
            Some((place.ok()?, server.inbound.recv().await?))
        };
        let event = tokio::select! {
            biased;
            () = stop.requested() => break,
            event = event => event,
        };
        let Some((place, event)) = event else { break };
        while handlers.try_join_next().is_some() {}
        if let ServerEvent::Message { peer, frames } = event {
            let (answering, outbound) = (answering.clone(), server.outbound.clone());
            handlers.spawn(async move {
                answering.take(peer, frames, outbound).await;
                drop(place);
            });
        }
    }
    while handlers.join_next().await.is_some() {}
    server.shutdown(LINGER).await;
}

struct Answering {
    passphrase: Secret,
    application: Arc<dyn Application>,
}

impl Answering {
    /// Reads one message, has it answered, and sends the answer.
    async fn take(&self, peer: Peer, frames: Vec<Bytes>, outbound: ServerOutbox) {
        let received = SystemTime::now();
        let mut routed = Vec::with_capacity(frames.len() + 1);
        routed.push(peer.identity().clone());
        routed.extend(frames);
        let (envelope, response) = match decode_request(&routed) {
            Ok(request) => {
                let response = self.answer(&request).await;
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

    async fn answer(&self, request: &Request) -> Response {
        let envelope = &request.envelope;
        if !self.passphrase.matches(envelope.passphrase.expose()) {
            tracing::warn!(path = %envelope.path.escape_ascii(), "a request with another passphrase was refused");
            return Status::new(401).message("wrong passphrase").into_reply();
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

//! From the frames of a request to those of its answer.

use super::super::introspection::Introspected;
use super::encode::encode;
use crate::message::Message;
use crate::method::Method;
use crate::reply::{IntoReply, Response};
use crate::status::Status;
use crate::wire::service::{
    DecodeError, Envelope, JsonText, Request, Secret, decode_pull_request, decode_request,
};
use brubeck_zmtp::{Peer, ServerSender};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::OwnedSemaphorePermit;

/// A request as it came in, read.
pub(super) struct Arrived {
    received: SystemTime,
    request: Result<Request, DecodeError>,
}

impl Arrived {
    /// From a ROUTER, which tells who asks.
    pub(super) fn from_router(peer: &Peer, frames: Vec<Bytes>) -> Arrived {
        let mut routed = Vec::with_capacity(frames.len() + 1);
        routed.push(peer.identity().clone());
        routed.extend(frames);
        Arrived {
            received: SystemTime::now(),
            request: decode_request(&routed),
        }
    }

    /// From a PULL, where the request tells it.
    pub(super) fn from_pull(frames: Vec<Bytes>) -> Arrived {
        Arrived {
            received: SystemTime::now(),
            request: decode_pull_request(&frames),
        }
    }
}

pub(super) struct Answering {
    passphrase: Secret,
    /// Whether callers may send the passphrase in clear.
    clear_text: bool,
    application: Arc<Introspected>,
}

impl Answering {
    pub(super) fn new(
        passphrase: Secret,
        clear_text: bool,
        application: Arc<Introspected>,
    ) -> Arc<Answering> {
        Arc::new(Answering {
            passphrase,
            clear_text,
            application,
        })
    }

    /// Has one request answered, and sends the answer; without a place it is refused.
    pub(super) async fn take(
        &self,
        arrived: Arrived,
        outbound: ServerSender,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let (envelope, response) = match arrived.request {
            Ok(request) => {
                let response = self.answer(&request, place.is_some()).await;
                (request.envelope, response)
            }
            Err(error) => match error.envelope() {
                Some(envelope) => {
                    let response = match self.refuses(envelope) {
                        Some(response) => response,
                        None => Status::BAD_REQUEST.message(error.to_string()).into_reply(),
                    };
                    (envelope.clone(), response)
                }
                None => {
                    tracing::warn!(%error, "a message that is no request was dropped");
                    return;
                }
            },
        };
        let peer = Peer::new(envelope.sender.clone());
        let frames = match encode(&envelope, response, arrived.received) {
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
        if let Some(response) = self.refuses(&request.envelope) {
            return response;
        }
        if !has_place {
            return Status::SERVICE_UNAVAILABLE.into_reply();
        }
        match message(request) {
            Ok(message) => self.application.call(message).await,
            Err(status) => status.into_reply(),
        }
    }

    /// The answer to a caller that is not let in.
    fn refuses(&self, envelope: &Envelope) -> Option<Response> {
        let refusal = if !self.clear_text {
            tracing::warn!("a caller from another machine sent the passphrase in clear and was refused");
            Status::FORBIDDEN.message("no passphrases in clear here")
        } else if !self.passphrase.matches(envelope.passphrase.expose()) {
            tracing::warn!(path = %envelope.path.escape_ascii(), "a request with another passphrase was refused");
            Status::new(401).message("wrong passphrase")
        } else {
            return None;
        };
        Some(refusal.into_reply())
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
pub(in crate::connect) fn headers(text: &JsonText) -> Result<HeaderMap, crate::wire::service::NotAnObject> {
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
    let origin = envelope.origin.clone();
    crate::call::Origin {
        sender_id: origin.sender_id,
        conn_id: origin.conn_id,
        out_addr: origin.out_addr,
    }
}

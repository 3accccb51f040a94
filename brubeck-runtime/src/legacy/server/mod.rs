//! From the frames of a request to those of its answer.

mod encode;

use super::codec::{
    JsonText, LegacyDecodeError, LegacyEnvelope, LegacyRequest, decode_pull_request, decode_request,
};
use super::pull_router::PullRouterService;
use crate::handler::Stop;
use crate::message::Message;
use crate::method::Method;
use crate::response::{IntoReply, Response};
use crate::rpc::convert::{http_headers, plain};
use crate::rpc::server::InstrumentedApplication;
use crate::secret::Secret;
use crate::status::Status;
use brubeck_zmtp::{LINGER, RoutingId, ServerSender};
use bytes::Bytes;
use encode::encode;
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};

/// A request as it came in, read.
pub(super) struct ReceivedRequest {
    received: SystemTime,
    request: Result<LegacyRequest, LegacyDecodeError>,
}

impl ReceivedRequest {
    /// From a ROUTER, which tells who asks.
    pub(super) fn from_router(peer: &RoutingId, frames: Vec<Bytes>) -> ReceivedRequest {
        let mut routed = Vec::with_capacity(frames.len() + 1);
        routed.push(peer.identity().clone());
        routed.extend(frames);
        ReceivedRequest {
            received: SystemTime::now(),
            request: decode_request(&routed),
        }
    }

    /// From a PULL, where the request tells it.
    pub(super) fn from_pull(frames: Vec<Bytes>) -> ReceivedRequest {
        ReceivedRequest {
            received: SystemTime::now(),
            request: decode_pull_request(&frames),
        }
    }
}

pub(crate) struct LegacyRequestHandler {
    passphrase: Secret,
    /// Whether callers may send the passphrase in clear.
    clear_text: bool,
    application: Arc<InstrumentedApplication>,
}

impl LegacyRequestHandler {
    pub(crate) fn new(
        passphrase: Secret,
        clear_text: bool,
        application: Arc<InstrumentedApplication>,
    ) -> Arc<LegacyRequestHandler> {
        Arc::new(LegacyRequestHandler {
            passphrase,
            clear_text,
            application,
        })
    }

    /// Has one request answered, and sends the answer; without a place it is refused.
    pub(super) async fn take(
        &self,
        arrived: ReceivedRequest,
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
        let peer = RoutingId::new(envelope.sender.clone());
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

    async fn answer(&self, request: &LegacyRequest, has_place: bool) -> Response {
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
    fn refuses(&self, envelope: &LegacyEnvelope) -> Option<Response> {
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

/// A service that callers in dialects of the original come to, on one ROUTER.
pub(crate) struct LegacyServer {
    answering: Arc<LegacyRequestHandler>,
    /// Handlers that may run; closed when it is time to stop.
    places: Arc<Semaphore>,
    concurrency: usize,
    handlers: Mutex<Handlers>,
}

#[derive(Default)]
struct Handlers {
    running: JoinSet<()>,
    by_peer: HashMap<RoutingId, Vec<AbortHandle>>,
}

impl LegacyServer {
    pub(crate) fn new(answering: Arc<LegacyRequestHandler>, concurrency: usize) -> LegacyServer {
        LegacyServer {
            answering,
            places: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            handlers: Mutex::default(),
        }
    }

    /// Takes no more requests.
    pub(crate) fn drain(&self) {
        self.places.close();
    }

    fn lock(&self) -> MutexGuard<'_, Handlers> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, peer: RoutingId, frames: Vec<Bytes>, outbound: &ServerSender) {
        let place = self.places.clone().try_acquire_owned().ok();
        let (answering, outbound) = (self.answering.clone(), outbound.clone());
        let arrived = ReceivedRequest::from_router(&peer, frames);
        let mut handlers = self.lock();
        while handlers.running.try_join_next().is_some() {}
        let handler = handlers
            .running
            .spawn(async move { answering.take(arrived, outbound, place).await });
        if handlers.by_peer.len() > self.concurrency {
            // Not every peer that leaves is told of.
            handlers
                .by_peer
                .retain(|_, handlers| handlers.iter().any(|handler| !handler.is_finished()));
        }
        let of_peer = handlers.by_peer.entry(peer).or_default();
        of_peer.retain(|handler| !handler.is_finished());
        of_peer.push(handler);
    }

    pub(crate) fn gone(&self, peer: &RoutingId) {
        let handlers = self.lock().by_peer.remove(peer);
        handlers.into_iter().flatten().for_each(|handler| handler.abort());
    }

    /// Returns when every request that was taken is answered.
    pub(crate) async fn idle(&self) {
        loop {
            let mut running = std::mem::take(&mut self.lock().running);
            if running.is_empty() {
                return;
            }
            while running.join_next().await.is_some() {}
        }
    }

    pub(crate) fn stop(&self) {
        self.lock().running.abort_all();
    }
}

/// A service that goes to its caller: it takes requests off one address of the caller and answers to the other.
pub(crate) struct ConnectedLegacyServer {
    answering: Arc<LegacyRequestHandler>,
    outbound: ServerSender,
    places: Arc<Semaphore>,
    handlers: JoinSet<()>,
}

impl ConnectedLegacyServer {
    pub(crate) fn new(
        answering: Arc<LegacyRequestHandler>,
        concurrency: usize,
        outbound: ServerSender,
    ) -> ConnectedLegacyServer {
        ConnectedLegacyServer {
            answering,
            outbound,
            places: Arc::new(Semaphore::new(concurrency)),
            handlers: JoinSet::new(),
        }
    }

    pub(crate) async fn serve(mut self, mut worker: PullRouterService, mut stop: Stop) {
        while let Some((place, arrived)) = self.next(&mut worker, &mut stop).await {
            let (answering, outbound) = (self.answering.clone(), self.outbound.clone());
            self.handlers
                .spawn(async move { answering.take(arrived, outbound, Some(place)).await });
        }
        while self.handlers.join_next().await.is_some() {}
        worker.shutdown(LINGER).await;
    }

    /// What comes next, once there is a place for it; `None` when it is time to stop.
    async fn next(
        &mut self,
        worker: &mut PullRouterService,
        stop: &mut Stop,
    ) -> Option<(OwnedSemaphorePermit, ReceivedRequest)> {
        let arrived = async {
            let place = self.places.clone().acquire_owned().await.ok()?;
            Some((place, ReceivedRequest::from_pull(worker.inbound.recv().await?)))
        };
        let arrived = tokio::select! {
            biased;
            () = stop.requested() => None,
            arrived = arrived => arrived,
        };
        while self.handlers.try_join_next().is_some() {}
        arrived
    }
}

/// The message that a request carries; `Err` says what the caller got wrong.
fn message(request: &LegacyRequest) -> Result<Message, Status> {
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
        .with_extension(request.envelope.origin.clone()))
}

/// Headers as HTTP knows them; other names are left out.
pub(crate) fn headers(text: &JsonText) -> Result<HeaderMap, super::codec::NotAnObject> {
    let object = text.object()?;
    Ok(http_headers(
        object.into_iter().map(|(name, value)| (name, plain(value))),
    ))
}

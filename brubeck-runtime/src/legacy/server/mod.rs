//! Servers for the dialects: from the frames of a request to the frames of its response.

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

/// A decoded request, or the error of decoding it.
pub(super) struct ReceivedRequest {
    at: SystemTime,
    request: Result<LegacyRequest, LegacyDecodeError>,
}

impl ReceivedRequest {
    /// Decodes a request from a `ROUTER`, which identifies the sender.
    pub(super) fn from_router(peer: &RoutingId, frames: Vec<Bytes>) -> ReceivedRequest {
        let mut message = Vec::with_capacity(frames.len() + 1);
        message.push(peer.identity().clone());
        message.extend(frames);
        ReceivedRequest {
            at: SystemTime::now(),
            request: decode_request(&message),
        }
    }

    /// Decodes a request from a `PULL`, whose envelope identifies the sender.
    pub(super) fn from_pull(frames: Vec<Bytes>) -> ReceivedRequest {
        ReceivedRequest {
            at: SystemTime::now(),
            request: decode_pull_request(&frames),
        }
    }
}

/// Authenticates requests and runs the application for them.
pub(crate) struct LegacyRequestHandler {
    passphrase: Secret,
    /// `true` if callers may send the passphrase in clear text.
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

    /// Runs the application for one request and sends the response. Drops a request whose envelope cannot be decoded.
    ///
    /// A valid request without a `permit` gets a 503 response: the limit of concurrent handlers is reached, or the server drains.
    pub(super) async fn handle(
        &self,
        received: ReceivedRequest,
        outbound: ServerSender,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let (envelope, response) = match received.request {
            Ok(request) => {
                let response = self.respond(&request, permit.is_some()).await;
                (request.envelope, response)
            }
            Err(error) => match error.envelope() {
                Some(envelope) => {
                    let response = match self.refuse(envelope) {
                        Some(response) => response,
                        None => Status::BAD_REQUEST.message(error.to_string()).into_reply(),
                    };
                    (envelope.clone(), response)
                }
                None => {
                    tracing::warn!(%error, "dropped an invalid request");
                    return;
                }
            },
        };
        let peer = RoutingId::new(envelope.sender.clone());
        let frames = match encode(&envelope, response, received.at) {
            Ok(frames) => frames,
            Err(error) => {
                tracing::error!(?peer, %error, "cannot encode the response in the caller's dialect");
                return;
            }
        };
        // Fails only if the server is shut down.
        let _ = outbound.send(peer, frames).await;
    }

    async fn respond(&self, request: &LegacyRequest, has_permit: bool) -> Response {
        if let Some(response) = self.refuse(&request.envelope) {
            return response;
        }
        if !has_permit {
            return Status::SERVICE_UNAVAILABLE.into_reply();
        }
        match to_message(request) {
            Ok(message) => self.application.call(message).await,
            Err(status) => status.into_reply(),
        }
    }

    /// Authenticates a request. Returns the response to a request that is refused.
    fn refuse(&self, envelope: &LegacyEnvelope) -> Option<Response> {
        let refusal = if !self.clear_text {
            tracing::warn!(
                "refused a request with the passphrase in clear text; bind an ipc or loopback address, or call \
                 `.allow_clear_text()`"
            );
            Status::FORBIDDEN.message("this service does not accept passphrases in clear text")
        } else if !self.passphrase.matches(envelope.passphrase.expose()) {
            tracing::warn!(path = %envelope.path.escape_ascii(), "refused a request with a wrong passphrase");
            Status::new(401).message("wrong passphrase")
        } else {
            return None;
        };
        Some(refusal.into_reply())
    }
}

/// A server for callers that connect to its `ROUTER`, in the dialects `Seed` and `Branch`.
pub(crate) struct LegacyServer {
    handler: Arc<LegacyRequestHandler>,
    /// A permit for each handler that may run. Closed once the server drains.
    permits: Arc<Semaphore>,
    concurrency: usize,
    tasks: Mutex<HandlerTasks>,
}

/// The tasks of the running handlers.
#[derive(Default)]
struct HandlerTasks {
    running: JoinSet<()>,
    by_peer: HashMap<RoutingId, Vec<AbortHandle>>,
}

impl LegacyServer {
    pub(crate) fn new(handler: Arc<LegacyRequestHandler>, concurrency: usize) -> LegacyServer {
        LegacyServer {
            handler,
            permits: Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS))),
            concurrency,
            tasks: Mutex::default(),
        }
    }

    /// Stops accepting requests. Further requests get a 503 response.
    pub(crate) fn drain(&self) {
        self.permits.close();
    }

    fn lock(&self) -> MutexGuard<'_, HandlerTasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns a handler task for a request of `peer`.
    pub(crate) fn handle(&self, peer: RoutingId, frames: Vec<Bytes>, outbound: &ServerSender) {
        let permit = self.permits.clone().try_acquire_owned().ok();
        let (handler, outbound) = (self.handler.clone(), outbound.clone());
        let received = ReceivedRequest::from_router(&peer, frames);
        let mut tasks = self.lock();
        // Remove finished tasks from the set, which keeps their results otherwise.
        while tasks.running.try_join_next().is_some() {}
        let task = tasks
            .running
            .spawn(async move { handler.handle(received, outbound, permit).await });
        // A request may be handled after its peer has disconnected, and no event removes the entry of the peer then. Remove the
        // entries without running tasks when the map grows.
        if tasks.by_peer.len() > self.concurrency {
            tasks
                .by_peer
                .retain(|_, tasks| tasks.iter().any(|task| !task.is_finished()));
        }
        let of_peer = tasks.by_peer.entry(peer).or_default();
        of_peer.retain(|task| !task.is_finished());
        of_peer.push(task);
    }

    /// Aborts the handlers of a peer that disconnected.
    pub(crate) fn disconnected(&self, peer: &RoutingId) {
        let tasks = self.lock().by_peer.remove(peer);
        tasks.into_iter().flatten().for_each(|task| task.abort());
    }

    /// Waits until no handler is running.
    pub(crate) async fn idle(&self) {
        loop {
            // Take the tasks out of the lock, and check again afterwards: requests may start more of them.
            let mut running = std::mem::take(&mut self.lock().running);
            if running.is_empty() {
                return;
            }
            while running.join_next().await.is_some() {}
        }
    }

    /// Aborts all handlers, except for those that a pending [`idle`](Self::idle) waits for. Dropping the future of `idle` aborts
    /// those.
    pub(crate) fn abort(&self) {
        self.lock().running.abort_all();
    }
}

/// A server that connects to its caller, in the dialects `Pypi` and `Pypi01x`.
pub(crate) struct ConnectedLegacyServer {
    handler: Arc<LegacyRequestHandler>,
    outbound: ServerSender,
    permits: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl ConnectedLegacyServer {
    pub(crate) fn new(
        handler: Arc<LegacyRequestHandler>,
        concurrency: usize,
        outbound: ServerSender,
    ) -> ConnectedLegacyServer {
        ConnectedLegacyServer {
            handler,
            outbound,
            permits: Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS))),
            tasks: JoinSet::new(),
        }
    }

    /// Serves requests until the server is stopped or the sockets are closed. Then waits for the running handlers, and closes the
    /// sockets.
    pub(crate) async fn serve(mut self, mut sockets: PullRouterService, mut stop: Stop) {
        while let Some((permit, received)) = self.next(&mut sockets, &mut stop).await {
            let (handler, outbound) = (self.handler.clone(), self.outbound.clone());
            self.tasks
                .spawn(async move { handler.handle(received, outbound, Some(permit)).await });
        }
        while self.tasks.join_next().await.is_some() {}
        sockets.shutdown(LINGER).await;
    }

    /// Waits for a permit and then for a request. Returns `None` if the server is stopped or the sockets are closed.
    async fn next(
        &mut self,
        sockets: &mut PullRouterService,
        stop: &mut Stop,
    ) -> Option<(OwnedSemaphorePermit, ReceivedRequest)> {
        let receive = async {
            // The permit first: while no handler may run, the event queue fills, and then further requests stay in the socket
            // of the caller, for another service.
            let permit = self.permits.clone().acquire_owned().await.ok()?;
            Some((permit, ReceivedRequest::from_pull(sockets.inbound.recv().await?)))
        };
        let received = tokio::select! {
            biased;
            () = stop.requested() => None,
            received = receive => received,
        };
        while self.tasks.try_join_next().is_some() {}
        received
    }
}

/// Converts a request to the message for the application. Returns a 400 status if the request is invalid.
fn to_message(request: &LegacyRequest) -> Result<Message, Status> {
    let bad_request = |reason: String| Status::BAD_REQUEST.message(reason);
    let path = request
        .envelope
        .path_str()
        .ok_or_else(|| bad_request("the path is not UTF-8".into()))?;
    let method: Method = std::str::from_utf8(request.method())
        .ok()
        .and_then(|name| name.parse().ok())
        .filter(|method| *method != Method::Response)
        .ok_or_else(|| {
            bad_request(format!(
                "`{}` is not a service method",
                request.method().escape_ascii()
            ))
        })?;
    for (name, text) in [("arguments", &request.arguments), ("body", &request.body)] {
        text.object()
            .map_err(|error| bad_request(format!("{name}: {error}")))?;
    }
    let headers =
        parse_headers(&request.headers).map_err(|error| bad_request(format!("headers: {error}")))?;
    Ok(Message::service(method, path)
        .with_headers(headers)
        .with_arguments(request.arguments.raw().clone())
        .with_body(request.body.raw().clone())
        .with_extension(request.envelope.origin.clone()))
}

/// Parses headers. Headers whose name or value is not valid in HTTP are skipped.
pub(crate) fn parse_headers(text: &JsonText) -> Result<HeaderMap, super::codec::NotAnObject> {
    let object = text.object()?;
    Ok(http_headers(
        object.into_iter().map(|(name, value)| (name, plain(value))),
    ))
}

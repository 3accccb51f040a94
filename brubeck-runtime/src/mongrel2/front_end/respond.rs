//! What runs on behalf of one request: the application, and then the response on its way to the loop.

use super::convert_request::{ConvertedRequest, RequestRejection};
use super::http1::{Framing, Persistence, head};
use super::message_format::MessageFormat;
use super::pipeline::{OutboundChunk, ResponseEnd};
use super::websocket::FrontEndEvent;
use crate::handler::{Application, DispatchMode};
use crate::message::{Message, RemoteAddr};
use crate::response::Body;
use crate::response::http_response::error_response;
use crate::websocket::{
    ClientId as Ticket, Close, Deflate, SocketSender, UpgradeHandle, switching_protocols,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION};
use http_body_util::BodyExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{Semaphore, mpsc};

/// How many bytes of a body may wait for its client.
const WINDOW: usize = 256 << 10;

/// One request that is being answered.
pub(super) struct ResponseWriter {
    pub(super) ticket: Ticket,
    pub(super) persistence: Persistence,
    pub(super) is_http_10: bool,
    /// Who asks.
    pub(super) peer: Option<RemoteAddr>,
    pub(super) events: mpsc::Sender<FrontEndEvent>,
}

/// A WebSocket that the client asks for.
pub(super) struct WebSocketUpgrade {
    pub(super) offer: UpgradeHandle,
    pub(super) sender: SocketSender,
    /// What was agreed to about deflated messages.
    pub(super) deflate: Option<Deflate>,
    /// What proves to the client that it was understood.
    pub(super) accept: HeaderValue,
}

impl ResponseWriter {
    pub(super) fn new(
        ticket: Ticket,
        asked: &ConvertedRequest,
        events: mpsc::Sender<FrontEndEvent>,
    ) -> ResponseWriter {
        ResponseWriter {
            ticket,
            persistence: asked.persistence,
            is_http_10: asked.is_http_10,
            peer: asked.peer,
            events,
        }
    }

    /// Sends an answer to its end, once it is there.
    pub(super) async fn answer(self, answer: impl Future<Output = http::Response<Body>>) {
        self.send(answer.await).await;
    }

    /// The answer, where it is whole; otherwise it comes back.
    pub(super) fn whole(
        &self,
        response: http::Response<Body>,
    ) -> Result<CompleteResponse, http::Response<Body>> {
        match response.body().bytes().cloned() {
            Some(bytes) => Ok(whole(response.into_parts().0, &bytes, self.persistence)),
            None => Err(response),
        }
    }

    /// Answers one that asks for a WebSocket, and stays until that is closed.
    pub(super) async fn open(
        mut self,
        application: Arc<dyn Application>,
        mut request: http::Request<Body>,
        asking: WebSocketUpgrade,
    ) {
        request.extensions_mut().insert(asking.offer.clone());
        let response = application
            .serve_peer(request, self.peer, DispatchMode::Inline)
            .await;
        let Some(accepted) = asking.offer.take_accepted() else {
            // Mongrel2 reads frames from now on, whatever the client was told.
            self.persistence = Persistence::Close;
            return self.send(response).await;
        };
        let parts = switching_protocols(response, asking.accept, accepted.protocol, asking.deflate);
        let head = head(parts, Framing::Length, None, Persistence::Open, SystemTime::now()).freeze();
        let ticket = self.ticket.clone();
        if self
            .events
            .send(FrontEndEvent::Open { ticket, head })
            .await
            .is_err()
        {
            return;
        }
        if AssertUnwindSafe(accepted.run).catch_unwind().await.is_err() {
            tracing::error!("the handler of a WebSocket panicked");
            asking.sender.close(Close::FAILED);
        }
    }

    /// Answers a message of a socket that speaks no HTTP.
    pub(super) async fn say(self, application: Arc<dyn Application>, message: Message, words: MessageFormat) {
        let limit = application.body_limit();
        let said = words.of_response(application.answer(message).await, limit).await;
        // Nobody takes it when the server has ended meanwhile.
        let _ = self
            .tell(said.map(OutboundChunk::from), Some(ResponseEnd::Open))
            .await;
    }

    async fn send(&self, response: http::Response<Body>) {
        match self.whole(response) {
            // Nobody takes it when the server has ended meanwhile.
            Ok(CompleteResponse { piece, end }) => drop(self.tell([piece], Some(end)).await),
            Err(response) => {
                let (parts, body) = response.into_parts();
                self.stream(parts, body).await;
            }
        }
    }

    async fn stream(&self, parts: http::response::Parts, mut body: Body) {
        let mut persistence = self.persistence;
        let framing = Framing::of(&parts, self.is_http_10);
        if framing == Framing::ToTheEnd {
            persistence = Persistence::Close;
        }
        let mut promised = parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let head = head(parts, framing, None, persistence, SystemTime::now()).freeze();
        if self.tell([head.into()], None).await.is_err() {
            return;
        }
        let window = Arc::new(Semaphore::new(WINDOW));
        while let Some(frame) = body.frame().await {
            let bytes = match frame.map(|frame| frame.into_data()) {
                Ok(Ok(bytes)) => bytes,
                // Trailers are for those who asked for them.
                Ok(Err(_)) => continue,
                Err(error) => {
                    tracing::warn!(error, "the body of a response broke off");
                    // The client sees by the close that something is missing.
                    let _ = self.tell([], Some(ResponseEnd::Close)).await;
                    return;
                }
            };
            if let Some(promised) = &mut promised {
                let Some(left) = promised.checked_sub(bytes.len() as u64) else {
                    tracing::error!("the body of a response is longer than its content-length");
                    let _ = self.tell([], Some(ResponseEnd::Close)).await;
                    return;
                };
                *promised = left;
            }
            for bytes in cut(bytes) {
                let room = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                // Nobody closes it.
                let Ok(place) = window.clone().acquire_many_owned(room).await else {
                    return;
                };
                let piece = OutboundChunk::placed(framing.piece(bytes), place);
                if self.tell([piece], None).await.is_err() {
                    return;
                }
            }
        }
        let end = match promised {
            Some(missing) if missing > 0 => ResponseEnd::Close,
            _ if persistence == Persistence::Close => ResponseEnd::Close,
            _ => ResponseEnd::Open,
        };
        let last = framing.last();
        let _ = self
            .tell((!last.is_empty()).then(|| last.into()), Some(end))
            .await;
    }

    async fn tell(
        &self,
        pieces: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) -> Result<(), ()> {
        let event = FrontEndEvent::Reply {
            ticket: self.ticket.clone(),
            pieces: pieces.into_iter().collect(),
            end,
        };
        self.events.send(event).await.map_err(drop)
    }
}

/// A response in one piece.
pub(super) struct CompleteResponse {
    pub(super) piece: OutboundChunk,
    pub(super) end: ResponseEnd,
}

/// What a front end answers by itself.
pub(super) fn refusal_of((code, reason): RequestRejection, head_only: bool) -> CompleteResponse {
    let (mut parts, body) = error_response(code, reason).into_parts();
    if code == StatusCode::SERVICE_UNAVAILABLE {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if code == StatusCode::UPGRADE_REQUIRED {
        parts
            .headers
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    let body = body.bytes().cloned().filter(|_| !head_only).unwrap_or_default();
    whole(parts, &body, Persistence::Close)
}

fn whole(parts: http::response::Parts, body: &[u8], persistence: Persistence) -> CompleteResponse {
    let untold = (!body.is_empty() && !parts.headers.contains_key(CONTENT_LENGTH)).then_some(body.len());
    let mut text = head(parts, Framing::Length, untold, persistence, SystemTime::now());
    text.extend_from_slice(body);
    CompleteResponse {
        piece: text.freeze().into(),
        end: match persistence {
            Persistence::Close => ResponseEnd::Close,
            Persistence::Open | Persistence::KeepAlive => ResponseEnd::Open,
        },
    }
}

/// Pieces of which several fit into what may wait.
fn cut(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let many = bytes.len().min(WINDOW / 4);
        (many > 0).then(|| bytes.split_to(many))
    })
}

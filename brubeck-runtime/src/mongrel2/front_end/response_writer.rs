//! The encoding of responses, and the task of one request, which waits for the response of the application and sends it
//! to the event loop.

use super::convert_request::{ClientInfo, RequestRejection};
use super::events::FrontEndEvent;
use super::http1::{Framing, Persistence, encode_head};
use super::message_format::MessageFormat;
use super::pipeline::{OutboundChunk, ResponseEnd};
use crate::handler::{Application, DispatchMode};
use crate::message::Message;
use crate::response::Body;
use crate::response::http_response::error_response;
use crate::websocket::{ClientId, Close, Deflate, SocketSender, UpgradeHandle, switching_protocols};
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION};
use http::{StatusCode, response};
use http_body_util::BodyExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{Semaphore, mpsc};

/// Limit of bytes of a streamed body that are queued for the client. Once it is reached, the body is polled again only when
/// some of them have been sent.
const BODY_WINDOW_BYTES: usize = 256 << 10;

/// Limit of bytes in one chunk, so that several fit into the window.
const MAX_CHUNK_BYTES: usize = BODY_WINDOW_BYTES / 4;

const RETRY_AFTER_SECONDS: &str = "1";

/// The version of the WebSocket protocol that RFC 6455 specifies.
pub(super) const WEBSOCKET_VERSION: &str = "13";

/// Sends the response to one request.
pub(super) struct ResponseWriter {
    pub(super) client: ClientId,
    pub(super) info: ClientInfo,
    pub(super) events: mpsc::Sender<FrontEndEvent>,
}

/// A WebSocket that the application has not accepted yet.
pub(super) struct WebSocketUpgrade {
    pub(super) handle: UpgradeHandle,
    pub(super) sender: SocketSender,
    /// The negotiated compression, if any.
    pub(super) deflate: Option<Deflate>,
    /// The value of `Sec-WebSocket-Accept`.
    pub(super) accept: HeaderValue,
}

/// An encoded response, with its whole body.
pub(super) struct CompleteResponse {
    pub(super) chunk: OutboundChunk,
    pub(super) end: ResponseEnd,
}

impl ResponseWriter {
    pub(super) fn new(
        client: ClientId,
        info: ClientInfo,
        events: mpsc::Sender<FrontEndEvent>,
    ) -> ResponseWriter {
        ResponseWriter { client, info, events }
    }

    /// Waits for a response and sends it.
    pub(super) async fn respond(self, response: impl Future<Output = http::Response<Body>>) {
        self.send(response.await).await;
    }

    /// Encodes a response whose body is in memory. Returns the response if its body is streamed.
    pub(super) fn try_encode(
        &self,
        response: http::Response<Body>,
    ) -> Result<CompleteResponse, http::Response<Body>> {
        match response.body().bytes().cloned() {
            Some(bytes) => Ok(encode_complete(
                response.into_parts().0,
                &bytes,
                self.info.persistence,
            )),
            None => Err(response),
        }
    }

    /// Calls the handler of a WebSocket request. If it accepts the WebSocket, sends the head of the 101 response and runs
    /// the WebSocket until its handler ends. Otherwise sends the response, after which the connection is closed.
    pub(super) async fn serve_websocket(
        mut self,
        application: Arc<dyn Application>,
        mut request: http::Request<Body>,
        upgrade: WebSocketUpgrade,
    ) {
        request.extensions_mut().insert(upgrade.handle.clone());
        let response = application
            .serve_peer(request, self.info.client, DispatchMode::Inline)
            .await;
        let Some(accepted) = upgrade.handle.take_accepted_for(&response) else {
            // Mongrel2 takes all further bytes of the client for WebSocket frames, even if the response is not 101.
            self.info.persistence = Persistence::Close;
            return self.send(response).await;
        };
        let parts = switching_protocols(response, Some(upgrade.accept), accepted.protocol, upgrade.deflate);
        let head = encode_head(parts, Framing::Length, None, Persistence::Open, SystemTime::now());
        let event = FrontEndEvent::WebSocketAccepted {
            client: self.client.clone(),
            head: head.freeze(),
            message_limit: accepted.message_limit,
        };
        if self.events.send(event).await.is_err() {
            return;
        }
        if AssertUnwindSafe(accepted.run).catch_unwind().await.is_err() {
            tracing::error!("WebSocket handler panicked, closing the WebSocket");
            upgrade.sender.close(Close::FAILED);
        }
    }

    /// Calls the handler of a message and sends its response.
    pub(super) async fn respond_to_message(
        self,
        application: Arc<dyn Application>,
        message: Message,
        format: MessageFormat,
    ) {
        let body_limit = application.body_limit();
        let response = application.answer(message).await;
        let encoded = format.encode_response(response, body_limit).await;
        // Fails only if the event loop has ended.
        let _ = self
            .send_chunks(encoded.map(OutboundChunk::from), Some(ResponseEnd::KeepOpen))
            .await;
    }

    async fn send(&self, response: http::Response<Body>) {
        match self.try_encode(response) {
            // Fails only if the event loop has ended.
            Ok(CompleteResponse { chunk, end }) => drop(self.send_chunks([chunk], Some(end)).await),
            Err(response) => {
                let (parts, body) = response.into_parts();
                // Fails only if the event loop has ended.
                let _ = self.send_stream(parts, body).await;
            }
        }
    }

    /// Sends a response with a streamed body.
    ///
    /// If the body fails, or its length differs from its `content-length`, the connection is closed, so that the
    /// client notices that the body is incomplete.
    ///
    /// # Errors
    /// Returns an error if the event loop has ended.
    async fn send_stream(&self, parts: response::Parts, body: Body) -> Result<(), ()> {
        let framing = Framing::of_stream(&parts, self.info.is_http_10);
        let persistence = if framing == Framing::UntilClose {
            Persistence::Close
        } else {
            self.info.persistence
        };
        let content_length = parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let head = encode_head(parts, framing, None, persistence, SystemTime::now()).freeze();
        self.send_chunks([head.into()], None).await?;
        if !self.send_body(body, framing, content_length).await? {
            return self.send_chunks([], Some(ResponseEnd::Close)).await;
        }
        let terminator = framing.terminator();
        let last_chunk = (!terminator.is_empty()).then(|| terminator.into());
        self.send_chunks(last_chunk, Some(persistence.into())).await
    }

    /// Sends the body. Returns `false` if it failed or its length differs from `content_length`.
    ///
    /// # Errors
    /// Returns an error if the event loop has ended.
    async fn send_body(
        &self,
        mut body: Body,
        framing: Framing,
        content_length: Option<u64>,
    ) -> Result<bool, ()> {
        let mut remaining = content_length;
        let window = Arc::new(Semaphore::new(BODY_WINDOW_BYTES));
        while let Some(frame) = body.frame().await {
            let bytes = match frame.map(|frame| frame.into_data()) {
                Ok(Ok(bytes)) => bytes,
                // Trailers are not supported.
                Ok(Err(_)) => continue,
                Err(error) => {
                    tracing::warn!(error, "the body of a response failed, closing the connection");
                    return Ok(false);
                }
            };
            if let Some(remaining) = &mut remaining {
                let Some(rest) = remaining.checked_sub(bytes.len() as u64) else {
                    tracing::error!(
                        content_length,
                        "the body of a response is longer than its content-length, closing the connection"
                    );
                    return Ok(false);
                };
                *remaining = rest;
            }
            for bytes in split_into_chunks(bytes) {
                let permits = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                // The window is never closed, so this does not fail.
                let permit = window.clone().acquire_many_owned(permits).await.map_err(drop)?;
                let chunk = OutboundChunk::with_permit(framing.encode_chunk(bytes), permit);
                self.send_chunks([chunk], None).await?;
            }
        }
        Ok(remaining.unwrap_or(0) == 0)
    }

    /// Sends a part of the response to the event loop.
    ///
    /// # Errors
    /// Returns an error if the event loop has ended.
    async fn send_chunks(
        &self,
        chunks: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) -> Result<(), ()> {
        let event = FrontEndEvent::Response {
            client: self.client.clone(),
            chunks: chunks.into_iter().collect(),
            end,
        };
        self.events.send(event).await.map_err(drop)
    }
}

impl From<Persistence> for ResponseEnd {
    fn from(persistence: Persistence) -> ResponseEnd {
        match persistence {
            Persistence::Close => ResponseEnd::Close,
            Persistence::Open | Persistence::KeepAlive => ResponseEnd::KeepOpen,
        }
    }
}

/// Encodes the response to a request that is rejected before it reaches a handler. The connection is closed after it.
pub(super) fn encode_rejection((code, reason): RequestRejection, head_only: bool) -> CompleteResponse {
    let (mut parts, body) = error_response(code, reason).into_parts();
    match code {
        StatusCode::SERVICE_UNAVAILABLE => {
            let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            parts.headers.insert(RETRY_AFTER, seconds);
        }
        StatusCode::UPGRADE_REQUIRED => {
            let version = HeaderValue::from_static(WEBSOCKET_VERSION);
            parts.headers.insert(SEC_WEBSOCKET_VERSION, version);
        }
        _ => {}
    }
    let body = body.bytes().cloned().filter(|_| !head_only).unwrap_or_default();
    encode_complete(parts, &body, Persistence::Close)
}

fn encode_complete(parts: response::Parts, body: &[u8], persistence: Persistence) -> CompleteResponse {
    let needs_length = !body.is_empty() && !parts.headers.contains_key(CONTENT_LENGTH);
    let content_length = needs_length.then_some(body.len());
    let mut text = encode_head(
        parts,
        Framing::Length,
        content_length,
        persistence,
        SystemTime::now(),
    );
    text.extend_from_slice(body);
    CompleteResponse {
        chunk: text.freeze().into(),
        end: persistence.into(),
    }
}

fn split_into_chunks(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = bytes.len().min(MAX_CHUNK_BYTES);
        (length > 0).then(|| bytes.split_to(length))
    })
}

//! WebSocket handshakes and frames.

use super::pipeline::{OutboundChunk, ResponseEnd};
use super::response_writer::{ResponseWriter, WEBSOCKET_VERSION, WebSocketUpgrade};
use super::websocket::{FrameOutcome, WebSocketState};
use super::{FrontEnd, MAX_WEBSOCKETS, convert_request};
use crate::mongrel2::codec::Mongrel2Request;
use crate::response::Body;
use crate::websocket::{ClientId, Close, Deflate, INVALID_KEY, UpgradeHandle, close_frame, handshake_key};
use http::{HeaderValue, StatusCode};
use std::time::Instant;

/// The close code Service Restart of the IANA registry. A client that receives it may connect again.
const CLOSE_SERVICE_RESTART: u16 = 1012;

impl FrontEnd {
    /// Calls the handler of a request to open a WebSocket, or rejects the request.
    pub(super) fn handle_websocket_handshake(&mut self, request: &Mongrel2Request) {
        let (info, http_request) = convert_request::to_http(request, &self.recv_spec);
        let client = self.begin_request(
            &request.ident,
            &request.conn_id,
            request.headers.download_credits(),
        );
        let version = request.headers.get_all("sec-websocket-version").last();
        let rejection = match &http_request {
            Err(rejection) => Some(*rejection),
            Ok(_) if version.is_none_or(|version| version != WEBSOCKET_VERSION) => Some((
                StatusCode::UPGRADE_REQUIRED,
                "only version 13 of the WebSocket protocol is supported",
            )),
            Ok(request) if handshake_key(request.headers()).is_none() => {
                Some((StatusCode::BAD_REQUEST, INVALID_KEY))
            }
            Ok(_) if self.websocket_count >= MAX_WEBSOCKETS => {
                Some((StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"))
            }
            Ok(_) => self.check_capacity(&client),
        };
        if let Some(rejection) = rejection {
            return self.reject(&client, rejection, false);
        }
        let writer = ResponseWriter::new(client.clone(), info, self.handle.0.clone());
        // Mongrel2 calculates the value of `Sec-WebSocket-Accept` and sends it as the body, so it is always valid.
        let accept = HeaderValue::from_maybe_shared(request.body.clone());
        let (Ok(http_request), Ok(accept)) = (http_request, accept) else {
            return;
        };
        let message_limit = self.application.message_limit();
        let deflate = Deflate::negotiate(http_request.headers());
        let Some(connection) = self.connections.find(&client) else {
            return;
        };
        let reading = connection.reading.clone();
        let (state, websocket) =
            WebSocketState::new(client.clone(), message_limit, deflate, reading, &self.handle);
        let upgrade = WebSocketUpgrade {
            sender: websocket.sender(),
            deflate,
            handle: UpgradeHandle::new(websocket),
            accept,
        };
        let application = self.application.clone();
        let http_request = http_request.map(|()| Body::empty());
        let task = self
            .handlers
            .spawn(writer.serve_websocket(application, http_request, upgrade));
        if let Some(connection) = self.connections.find(&client) {
            connection.set_task(&client, task);
            connection.websocket = Some(state);
            self.websocket_count += 1;
        }
    }

    /// Passes a frame to its WebSocket.
    pub(super) fn handle_websocket_frame(&mut self, request: &Mongrel2Request) {
        let connection = self
            .connections
            .get(&request.conn_id)
            .filter(|connection| connection.websocket.is_some());
        let Some(connection) = connection else {
            // An earlier process or generation accepted the WebSocket, and pages reconnect after this close code. Or this
            // event loop has closed the WebSocket already, and the client does not receive the close frame.
            let restart = close_frame(&Close::new(CLOSE_SERVICE_RESTART, ""));
            let client = self.begin_request(&request.ident, &request.conn_id, None);
            self.queue_response(&client, [restart.into()], Some(ResponseEnd::Close));
            return;
        };
        connection.last_request_at = Instant::now();
        let Some(websocket) = &mut connection.websocket else {
            return;
        };
        let client = websocket.client.clone();
        let outcome = match request.headers.flags() {
            Some(first_byte) => websocket.receive(first_byte, request.body.clone()),
            None => FrameOutcome::default(),
        };
        self.apply_frame_outcome(&client, outcome);
    }

    /// Sends the frames that follow from a received frame, and closes the connection if necessary.
    pub(super) fn apply_frame_outcome(&mut self, client: &ClientId, outcome: FrameOutcome) {
        let FrameOutcome { frames, close } = outcome;
        if close {
            self.remove_websocket(client);
        }
        if !frames.is_empty() || close {
            let chunks = frames.into_iter().map(OutboundChunk::from);
            self.queue_response(client, chunks, close.then_some(ResponseEnd::Close));
        }
    }

    pub(super) fn remove_websocket(&mut self, client: &ClientId) {
        if let Some(connection) = self.connections.find(client)
            && connection.websocket.take().is_some()
        {
            self.websocket_count -= 1;
        }
    }

    /// Begins the closing handshake of a WebSocket, or closes a message socket after its queued data.
    pub(super) fn close_socket(&mut self, client: &ClientId, close: &Close) {
        let Some(connection) = self.connections.find(client) else {
            return;
        };
        if connection.message_socket.is_some() {
            let tasks = self.connections.close_after_queue(client);
            return tasks.into_iter().for_each(|task| task.abort());
        }
        if let Some(websocket) = &mut connection.websocket {
            let outcome = websocket.begin_close(close, Instant::now());
            self.apply_frame_outcome(client, outcome);
        }
    }
}

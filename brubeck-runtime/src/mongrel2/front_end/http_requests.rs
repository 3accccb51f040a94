//! HTTP requests, uploads, and messages that could not be decoded.

use super::convert_request::{self, RequestRejection};
use super::http1::Persistence;
use super::response_writer::{CompleteResponse, ResponseWriter, encode_rejection};
use super::{FrontEnd, MAX_CONCURRENT_REQUESTS, MAX_CONNECTION_REQUESTS};
use crate::extract::SpooledFile;
use crate::handler::DispatchMode;
use crate::mongrel2::codec::{Mongrel2DecodeError, Mongrel2Request};
use crate::mongrel2::uploads::IncomingUpload;
use crate::mongrel2::uploads::body_location::{self, BodyLocation};
use crate::response::Body;
use crate::websocket::ClientId;
use bytes::Bytes;
use futures_util::future::Either;
use http::{Method, StatusCode};
use std::future::ready;
use std::path::PathBuf;

impl FrontEnd {
    /// Passes an HTTP request to the application, or rejects it. If the request only reports the end of an upload to a file,
    /// passes the file to the handler.
    pub(super) fn handle_http_request(&mut self, request: &Mongrel2Request) {
        let upload_store = self.settings.upload_store.as_ref();
        let location = body_location::locate_body(&request.headers, &request.body, upload_store);
        // Mongrel2 sends the request again when it has finished writing the body to a file.
        if let BodyLocation::File {
            name,
            path,
            done: true,
        } = &location
        {
            return self.finish_file_upload(request, name, path.clone());
        }
        let (mut info, http_request) = convert_request::to_http(request, &self.recv_spec);
        if location != BodyLocation::Inline {
            // Mongrel2 may have taken the first bytes of the next request for the end of this body.
            info.persistence = Persistence::Close;
        }
        let client = self.begin_request(
            &request.ident,
            &request.conn_id,
            request.headers.download_credits(),
        );
        let Some(connection) = self.connections.find(&client) else {
            return;
        };
        if connection.pipeline.closes_before(client.number) {
            return;
        }
        let running = connection.pipeline.running_tasks();
        let mut http_request = match http_request {
            Ok(http_request) => http_request,
            Err(rejection) => return self.reject(&client, rejection, false),
        };
        let is_head = http_request.method() == Method::HEAD;
        if let Some(rejection) = self.check_capacity_with(running) {
            return self.reject(&client, rejection, is_head);
        }
        let body = match self.open_body(&client, request, location, http_request.extensions_mut()) {
            Ok(body) => body,
            Err(rejection) => return self.reject(&client, rejection, is_head),
        };
        let writer = ResponseWriter::new(client, info, self.handle.0.clone());
        let http_request = http_request.map(|()| body);
        // A fast handler has run inline, and its response is here already. If its body is in memory, no task is
        // needed.
        match self
            .application
            .serve_peer(http_request, info.client, DispatchMode::InlineIfFast)
        {
            Either::Left(response) => match writer.try_encode(response.into_inner()) {
                Ok(CompleteResponse { chunk, end }) => {
                    self.queue_response(&writer.client, [chunk], Some(end));
                }
                Err(response) => self.spawn_response(writer, ready(response)),
            },
            Either::Right(response) => self.spawn_response(writer, response),
        }
    }

    /// Creates the body of a request. If it is an upload, stores the upload in its connection. Returns a 413 if the body is in
    /// a file that is not accepted: uploads to files are not configured, or its name does not match the template.
    fn open_body(
        &mut self,
        client: &ClientId,
        request: &Mongrel2Request,
        location: BodyLocation,
        extensions: &mut http::Extensions,
    ) -> Result<Body, RequestRejection> {
        let content_length = || body_location::content_length(&request.headers).unwrap_or_default();
        let (upload, body) = match location {
            BodyLocation::Inline => return Ok(Body::from(request.body.clone())),
            BodyLocation::File { name, .. } => {
                let (upload, body, pending_file) = IncomingUpload::file(name, content_length());
                extensions.insert(pending_file);
                (upload, body)
            }
            BodyLocation::Streamed { last, .. } => IncomingUpload::streamed(
                client.clone(),
                content_length(),
                &request.body,
                last,
                self.handle.clone(),
            ),
            BodyLocation::TooLarge => {
                return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
            }
        };
        if let Some(connection) = self.connections.find(client) {
            connection.upload = Some((client.number, upload));
        }
        Ok(body)
    }

    /// Spawns a task that waits for a response and sends it.
    fn spawn_response(
        &mut self,
        writer: ResponseWriter,
        response: impl Future<Output = http::Response<Body>> + Send + 'static,
    ) {
        let client = writer.client.clone();
        let task = self.handlers.spawn(writer.respond(response));
        if let Some(connection) = self.connections.find(&client) {
            connection.set_task(&client, task);
        }
    }

    /// Responds to a request that is not passed to the application, and closes the connection.
    pub(super) fn reject(&mut self, client: &ClientId, rejection: RequestRejection, head_only: bool) {
        let CompleteResponse { chunk, end } = encode_rejection(rejection, head_only);
        self.queue_response(client, [chunk], Some(end));
    }

    /// Returns a rejection if the event loop is stopping, or the limit of concurrent requests is reached, in total or on
    /// the connection of this request.
    pub(super) fn check_capacity(&mut self, client: &ClientId) -> Option<RequestRejection> {
        let connection = self.connections.find(client);
        let running = connection.map_or(0, |connection| connection.pipeline.running_tasks());
        self.check_capacity_with(running)
    }

    /// The same for a connection with this number of running tasks.
    fn check_capacity_with(&mut self, running: usize) -> Option<RequestRejection> {
        // Open WebSockets have their own limit.
        let requests = self.handlers.len().saturating_sub(self.websocket_count);
        let is_overloaded = requests >= MAX_CONCURRENT_REQUESTS || running >= MAX_CONNECTION_REQUESTS;
        if is_overloaded && !self.is_stopping {
            self.counts.add_shed(1);
        }
        (is_overloaded || self.is_stopping)
            .then_some((StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"))
    }

    /// Logs a message that could not be decoded. Sends a 400 response and closes the connection, if it is known.
    pub(super) fn handle_malformed_message(&mut self, error: &Mongrel2DecodeError) {
        tracing::warn!(%error, "cannot decode a message from Mongrel2");
        self.counts.add_malformed(1);
        if let Some((ident, connection_id)) = error.connection() {
            let client = self.begin_request(&ident, &connection_id, None);
            self.reject(&client, (StatusCode::BAD_REQUEST, "Bad Request"), false);
        }
    }

    /// Passes the file of a finished upload to its handler. From now on this process must remove the file.
    fn finish_file_upload(&mut self, request: &Mongrel2Request, name: &str, path: PathBuf) {
        let upload = self
            .connections
            .get(&request.conn_id)
            .and_then(|connection| connection.upload.as_mut())
            .map(|(_, upload)| upload)
            .filter(|upload| upload.is_file(name));
        let result = match upload {
            Some(upload) => upload.finish_file(path),
            // The handler has already responded, or the upload began before this process did. Dropping the file
            // removes it.
            None => SpooledFile::open(path, None).map(drop),
        };
        if let Err(error) = result {
            tracing::warn!(
                %error,
                name,
                "cannot open an upload of Mongrel2, closing its connection; check that this process may read the file"
            );
            self.abort_connection(&request.ident, &request.conn_id);
        }
    }

    /// Adds a further part to a streamed upload. If its handler has responded already, closes the connection: the client
    /// would wait for credit that is never granted.
    pub(super) fn handle_upload_part(&mut self, request: &Mongrel2Request) {
        let location = body_location::locate_body(&request.headers, &request.body, None);
        let upload = self
            .connections
            .get(&request.conn_id)
            .and_then(|connection| connection.upload.as_ref());
        match (upload, location) {
            (Some((_, upload)), BodyLocation::Streamed { last, .. }) => upload.add_part(&request.body, last),
            _ => self.abort_connection(&request.ident, &request.conn_id),
        }
    }

    /// Makes Mongrel2 close a connection now, and removes it.
    pub(super) fn abort_connection(&mut self, ident: &Bytes, connection_id: &Bytes) {
        self.connection_closed(connection_id);
        self.cancel_connection(ident, connection_id);
    }
}

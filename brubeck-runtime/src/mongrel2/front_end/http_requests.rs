//! What browsers ask, and what they upload.

use super::convert_request::{self, RequestRejection};
use super::http1::Persistence;
use super::respond::{CompleteResponse, ResponseWriter, refusal_of};
use super::{FrontEnd, IN_FLIGHT, PIPELINED};
use crate::extract::SpooledFile;
use crate::handler::DispatchMode;
use crate::mongrel2::codec::{Mongrel2DecodeError, Mongrel2Request};
use crate::mongrel2::uploads::IncomingUpload;
use crate::mongrel2::uploads::body_location::{self, BodyLocation};
use crate::response::Body;
use crate::websocket::ClientId as Ticket;
use bytes::Bytes;
use futures_util::future::Either;
use http::StatusCode;
use std::future::ready;
use std::path::PathBuf;

impl FrontEnd {
    pub(super) fn http(&mut self, request: &Mongrel2Request) {
        let store = self.settings.store.as_ref();
        let announced = body_location::announced(&request.headers, &request.body, store);
        if let BodyLocation::File {
            name,
            path,
            done: true,
        } = &announced
        {
            return self.stored(&request.conn_id, name, path.clone());
        }
        let mut asked = convert_request::read(request, &self.replies_to);
        let ticket = self.begin(
            &request.ident,
            &request.conn_id,
            request.headers.download_credits(),
        );
        let conversation = self.conversations.of(&ticket);
        let (ends, running) = conversation.map_or((false, 0), |conversation| {
            (conversation.ends_before(&ticket), conversation.running())
        });
        if ends {
            return;
        }
        if announced != BodyLocation::Inline {
            // Mongrel2 may have taken the beginning of the next request for the end of this body.
            asked.persistence = Persistence::Close;
        }
        let head = matches!(&asked.request, Ok(request) if request.method() == http::Method::HEAD);
        let mut head_of = match std::mem::replace(&mut asked.request, Err((StatusCode::BAD_REQUEST, ""))) {
            Ok(request) => request,
            Err(refusal) => return self.refuse(&ticket, refusal, head),
        };
        if let Some(refusal) = self.overload_beside(running) {
            return self.refuse(&ticket, refusal, head);
        }
        let length = body_location::length(&request.headers).unwrap_or_default();
        let (coming, body) = match announced {
            BodyLocation::Inline => (None, Body::from(request.body.clone())),
            BodyLocation::File { name, .. } => {
                let (upload, body, waiting) = IncomingUpload::file(name, length);
                head_of.extensions_mut().insert(waiting);
                (Some(upload), body)
            }
            BodyLocation::Streamed { last, .. } => {
                let (upload, body) =
                    IncomingUpload::parts(ticket.clone(), length, &request.body, last, self.link.clone());
                (Some(upload), body)
            }
            BodyLocation::TooLarge => {
                let refusal = (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
                return self.refuse(&ticket, refusal, head);
            }
        };
        if coming.is_some()
            && let Some(conversation) = self.conversations.of(&ticket)
        {
            conversation.upload = coming;
        }
        let responding = ResponseWriter::new(ticket, &asked, self.link.0.clone());
        let request = head_of.map(|()| body);
        match self
            .application
            .serve_peer(request, asked.peer, DispatchMode::InlineIfFast)
        {
            Either::Left(answered) => match responding.whole(answered.into_inner()) {
                Ok(CompleteResponse { piece, end }) => self.reply(&responding.ticket, [piece], Some(end)),
                Err(response) => self.respond(responding, ready(response)),
            },
            Either::Right(answer) => self.respond(responding, answer),
        }
    }

    /// Has an answer sent by a task, once it is there.
    fn respond(
        &mut self,
        responding: ResponseWriter,
        answer: impl Future<Output = http::Response<Body>> + Send + 'static,
    ) {
        let ticket = responding.ticket.clone();
        let task = self.handlers.spawn(responding.answer(answer));
        if let Some(conversation) = self.conversations.of(&ticket) {
            conversation.runs(&ticket, task);
        }
    }

    /// Answers what no handler is to see. The connection is closed then: what else comes on it is not worth reading.
    pub(super) fn refuse(&mut self, ticket: &Ticket, refusal: RequestRejection, head_only: bool) {
        let CompleteResponse { piece, end } = refusal_of(refusal, head_only);
        self.reply(ticket, [piece], Some(end));
    }

    /// Why no more can be done now for the connection of this request.
    pub(super) fn overload(&mut self, ticket: &Ticket) -> Option<RequestRejection> {
        let conversation = self.conversations.of(ticket);
        let running = conversation.map_or(0, |conversation| conversation.running());
        self.overload_beside(running)
    }

    /// The same where so many handlers run on behalf of the connection.
    fn overload_beside(&mut self, running: usize) -> Option<RequestRejection> {
        let busy = self.handlers.len().saturating_sub(self.sockets) >= IN_FLIGHT || running >= PIPELINED;
        if busy && !self.stopping {
            self.counts.add_shed(1);
        }
        let refusal = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        (self.stopping || busy).then_some(refusal)
    }

    /// What cannot be read is answered where it still says who asked.
    pub(super) fn unreadable(&mut self, error: &Mongrel2DecodeError) {
        tracing::warn!(%error, "a message of Mongrel2 was refused");
        self.counts.add_refused(1);
        if let Some((ident, connection)) = error.connection() {
            let ticket = self.begin(&ident, &connection, None);
            let refusal = (StatusCode::BAD_REQUEST, "Bad Request");
            self.refuse(&ticket, refusal, false);
        }
    }

    /// Mongrel2 has written an upload to its end; nobody else removes the file.
    pub(super) fn stored(&mut self, connection: &Bytes, name: &str, path: PathBuf) {
        let upload = self
            .conversations
            .get(connection)
            .and_then(|conversation| conversation.upload.as_mut())
            .filter(|upload| upload.is_file(name));
        let written = match upload {
            Some(upload) => upload.written(path),
            // Its handler has answered, or it began before this process did.
            None => SpooledFile::open(path, None).map(drop),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "an upload that Mongrel2 wrote cannot be read");
            self.gone(connection);
        }
    }

    pub(super) fn part(&mut self, request: &Mongrel2Request) {
        let part = body_location::announced(&request.headers, &request.body, None);
        let upload = self
            .conversations
            .get(&request.conn_id)
            .and_then(|conversation| conversation.upload.as_ref());
        match (upload, part) {
            (Some(upload), BodyLocation::Streamed { last, .. }) => upload.part(&request.body, last),
            _ => self.cancel(&request.ident, &request.conn_id),
        }
    }
}

//! What comes over WebSockets and message sockets.

use super::connection_table::BroadcastOutcome;
use super::http1::Persistence;
use super::message_format::MessageFormat;
use super::message_socket::MessageSocketClient;
use super::pipeline::{OutboundChunk, ResponseEnd};
use super::respond::{ResponseWriter, WebSocketUpgrade};
use super::websocket::{FrameOutcome, WebSocketState};
use super::{FrontEnd, SOCKETS, convert_request, end};
use crate::mongrel2::codec as wire;
use crate::mongrel2::codec::Mongrel2Request;
use crate::response::Body;
use crate::websocket::{ClientId as Ticket, Close, Deflate, SocketSender, UpgradeHandle, close_frame};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use std::collections::HashMap;
use std::time::Instant;

impl FrontEnd {
    pub(super) fn handshake(&mut self, request: &Mongrel2Request) {
        let asked = convert_request::read(request, &self.replies_to);
        let ticket = self.begin(
            &request.ident,
            &request.conn_id,
            request.headers.download_credits(),
        );
        let versions = request.headers.get_all("sec-websocket-version");
        let speaks = versions.last().is_some_and(|version| version == "13");
        let too_many = self.sockets >= SOCKETS;
        let accept = HeaderValue::from_maybe_shared(request.body.clone());
        let refusal = match &asked.request {
            Err(refusal) => Some(*refusal),
            Ok(_) if !speaks => Some((StatusCode::UPGRADE_REQUIRED, "only version 13 is spoken here")),
            Ok(_) if too_many => Some((StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")),
            Ok(_) => self.overload(&ticket),
        };
        if let Some(refusal) = refusal {
            return self.refuse(&ticket, refusal, false);
        }
        let responding = ResponseWriter::new(ticket.clone(), &asked, self.link.0.clone());
        let (Ok(head), Ok(accept)) = (asked.request, accept) else {
            return;
        };
        let limit = self.application.body_limit();
        let deflate = Deflate::negotiate(head.headers());
        let (socket, ours) = WebSocketState::new(ticket.clone(), limit, deflate, &self.link);
        let asking = WebSocketUpgrade {
            sender: ours.sender(),
            deflate,
            offer: UpgradeHandle::new(ours),
            accept,
        };
        let application = self.application.clone();
        let task = self
            .handlers
            .spawn(responding.open(application, head.map(|()| Body::empty()), asking));
        if let Some(conversation) = self.conversations.of(&ticket) {
            conversation.runs(&ticket, task);
            conversation.socket = Some(socket);
            self.sockets += 1;
        }
    }

    pub(super) fn frame(&mut self, request: &Mongrel2Request) {
        let now = Instant::now();
        let known = self.conversations.get(&request.conn_id);
        let Some(conversation) = known.filter(|conversation| conversation.socket.is_some()) else {
            // It was opened by a process that is no more; a page that is told so connects again.
            let restart = close_frame(&Close::new(1012, ""));
            let ticket = self.begin(&request.ident, &request.conn_id, None);
            self.reply(&ticket, [restart.into()], Some(ResponseEnd::Close));
            return;
        };
        conversation.touch(now);
        let Some(socket) = &mut conversation.socket else {
            return;
        };
        let ticket = socket.ticket.clone();
        let reaction = match request.headers.flags() {
            Some(first) => socket.hear(first, request.body.clone()),
            None => FrameOutcome::default(),
        };
        self.react(&ticket, reaction);
    }

    pub(super) fn react(&mut self, ticket: &Ticket, FrameOutcome { answers, close }: FrameOutcome) {
        if close {
            self.drop_socket(ticket);
        }
        if !answers.is_empty() || close {
            let pieces = answers.into_iter().map(OutboundChunk::from);
            self.reply(ticket, pieces, close.then_some(ResponseEnd::Close));
        }
    }

    pub(super) fn drop_socket(&mut self, ticket: &Ticket) {
        if let Some(conversation) = self.conversations.of(ticket)
            && conversation.socket.take().is_some()
        {
            self.sockets -= 1;
        }
    }

    pub(super) fn shut(&mut self, ticket: &Ticket, close: &Close) {
        let conversation = self.conversations.of(ticket);
        if conversation.is_some_and(|conversation| conversation.listener.is_some()) {
            let stopped = self.conversations.hang_up(ticket);
            return stopped.into_iter().for_each(|task| task.abort());
        }
        let socket = self
            .conversations
            .of(ticket)
            .and_then(|conversation| conversation.socket.as_mut());
        if let Some(frame) = socket.and_then(|socket| socket.shut(close, Instant::now())) {
            self.reply(ticket, [frame.into()], None);
        }
    }

    /// Sends the same to many: to those who wait for nothing else in one message, to the others after what they wait for.
    pub(super) fn cast(&mut self, to: &[Ticket], bytes: &Bytes) {
        let now = Instant::now();
        let mut together: HashMap<Bytes, Vec<Bytes>> = HashMap::new();
        for ticket in to {
            match self
                .conversations
                .cast(ticket, bytes.len(), || bytes.clone().into(), now)
            {
                BroadcastOutcome::Now => {
                    if let Some(conversation) = self.conversations.of(ticket) {
                        let ident = conversation.ident.clone();
                        together.entry(ident).or_default().push(ticket.connection.clone());
                    }
                }
                BroadcastOutcome::Later | BroadcastOutcome::Gone => {}
                BroadcastOutcome::TooSlow => self.cut(ticket),
            }
        }
        for (ident, ids) in together {
            match wire::reply(&ident, &ids, bytes) {
                Ok(messages) => self.messages.extend(messages),
                Err(error) => tracing::error!(%error, "a message for Mongrel2 could not be written"),
            }
        }
    }

    /// A client that does not read is let go.
    pub(super) fn cut(&mut self, ticket: &Ticket) {
        self.counts.add_cut(1);
        let Some(conversation) = self.conversations.forget(&ticket.connection) else {
            return;
        };
        tracing::debug!("a client that does not read is cut off");
        let ident = conversation.ident.clone();
        self.sockets -= usize::from(conversation.socket.is_some());
        end(conversation);
        self.cancel(&ident, &ticket.connection);
    }

    /// A message of a socket that speaks no HTTP: it is answered like that of another application.
    pub(super) fn message(&mut self, request: &Mongrel2Request) {
        let ticket = self.begin(
            &request.ident,
            &request.conn_id,
            request.headers.download_credits(),
        );
        let Some(message) = convert_request::message(request, &self.replies_to) else {
            return self.cancel(&request.ident, &request.conn_id);
        };
        let Some(conversation) = self.conversations.of(&ticket) else {
            return;
        };
        let listener = conversation
            .listener
            .get_or_insert_with(|| MessageSocketClient::new(ticket.clone()));
        let message = message.with_extension(SocketSender(listener.way(&self.link)));
        let words = MessageFormat::of(&request.path);
        if let Some((code, _)) = self.overload(&ticket) {
            let piece = OutboundChunk::from(words.status(&code.into()));
            return self.reply(&ticket, [piece], Some(ResponseEnd::Open));
        }
        let responding = ResponseWriter {
            ticket: ticket.clone(),
            persistence: Persistence::Open,
            is_http_10: false,
            peer: None,
            events: self.link.0.clone(),
        };
        let task = self
            .handlers
            .spawn(responding.say(self.application.clone(), message, words));
        if let Some(conversation) = self.conversations.of(&ticket) {
            conversation.runs(&ticket, task);
        }
    }
}

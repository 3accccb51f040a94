//! What handlers say, and what of it goes to Mongrel2.

use super::pipeline::{OutboundChunk, ResponseEnd};
use super::websocket::{FrontEndEvent, WebSocketState};
use super::{FrontEnd, MESSAGES};
use crate::mongrel2::codec as wire;
use crate::mongrel2::codec::ControlCommand;
use crate::mongrel2::server_link::ServerLink;
use crate::websocket::{ClientId as Ticket, Close};
use brubeck_zmtp::SendError;
use bytes::Bytes;
use std::time::Instant;

impl FrontEnd {
    pub(super) fn hear(&mut self, event: FrontEndEvent) {
        match event {
            FrontEndEvent::Reply { ticket, pieces, end } => self.reply(&ticket, pieces, end),
            FrontEndEvent::Open { ticket, head } => {
                let Some(conversation) = self.conversations.of(&ticket) else {
                    return self.counts.add_stale(1);
                };
                conversation.outlives(&ticket);
                let reaction = conversation.socket.as_mut().map(WebSocketState::open);
                self.reply(&ticket, [head.into()], None);
                self.react(&ticket, reaction.unwrap_or_default());
                if self.stopping {
                    self.shut(&ticket, &Close::AWAY);
                }
            }
            FrontEndEvent::Push { ticket, piece } => {
                if !self.conversations.push(&ticket, piece) {
                    self.counts.add_stale(1);
                }
            }
            FrontEndEvent::Shut { ticket, close } => self.shut(&ticket, &close),
            FrontEndEvent::BroadcastOutcome { to, bytes } => self.cast(&to, &bytes),
            FrontEndEvent::Allow { ticket, bytes } => {
                if let Some(conversation) = self.conversations.of(&ticket) {
                    let ident = conversation.ident.clone();
                    self.control(&ident, &[ticket.connection], ControlCommand::Credits(bytes));
                }
            }
        }
    }

    pub(super) fn reply(
        &mut self,
        ticket: &Ticket,
        pieces: impl IntoIterator<Item = OutboundChunk>,
        end: Option<ResponseEnd>,
    ) {
        let Some((conversation, stopped)) = self.conversations.reply(ticket, pieces, end) else {
            return self.counts.add_stale(1);
        };
        if end.is_some() {
            self.sockets -= usize::from(conversation.socket.take().is_some());
            conversation.upload = None;
        }
        stopped.into_iter().for_each(|task| task.abort());
    }

    /// Hands over what may go now: one message for each client that is due.
    pub(super) fn flush(&mut self, link: &ServerLink) {
        let now = Instant::now();
        while self.messages.len() < MESSAGES {
            let Some(outgoing) = self.conversations.next(now) else {
                break;
            };
            let to = [outgoing.connection];
            if !outgoing.bytes.is_empty() {
                match wire::reply(&outgoing.ident, &to, &outgoing.bytes) {
                    Ok(messages) => self.messages.extend(messages),
                    Err(error) => tracing::error!(%error, "a reply for Mongrel2 could not be written"),
                }
            }
            if outgoing.close {
                let [connection] = &to;
                self.close(&outgoing.ident, connection);
            }
        }
        if let Some(watch) = &mut self.watch
            && self.conversations.wait_for_control()
        {
            watch.ask();
        }
        while let Some(message) = self.messages.front() {
            // Counted before anybody can have been answered by it.
            let count = || self.counts.add_messages(1);
            match link
                .outbound
                .try_send_noted(self.generation, message.clone(), count)
            {
                Ok(()) => drop(self.messages.pop_front()),
                Err(SendError::LinkDown) => self.sent(Err(SendError::LinkDown)),
                // What waits longer is handed over when there is room.
                Err(_) => break,
            }
        }
    }

    pub(super) fn sent(&mut self, sent: Result<(), SendError>) {
        self.messages.pop_front();
        match sent {
            Ok(()) => self.counts.add_messages(1),
            Err(_) => self.counts.add_stale(1),
        }
    }

    pub(super) fn close(&mut self, ident: &Bytes, connection: &Bytes) {
        match wire::close(ident, &[connection]) {
            Ok(messages) => self.messages.extend(messages),
            Err(error) => tracing::error!(%error, "a connection of Mongrel2 could not be closed"),
        }
    }

    pub(super) fn cancel(&mut self, ident: &Bytes, connection: &Bytes) {
        self.control(ident, std::slice::from_ref(connection), ControlCommand::Cancel);
    }

    pub(super) fn control(&mut self, ident: &Bytes, connections: &[Bytes], command: ControlCommand) {
        match wire::control(ident, connections, command) {
            Ok(messages) => self.messages.extend(messages),
            Err(error) => tracing::error!(%error, "a command for Mongrel2 could not be written"),
        }
    }
}

//! The receiving side of a WebSocket: validates messages and control frames that are unmasked and defragmented already.

use super::codec::compressed_limit;
use super::frame::{close_frame, frame};
use super::opcode::{BINARY, CLOSE, PING, PONG, RSV1, TEXT};
use super::{Close, Deflate, InboundMessage};
use bytes::Bytes;

/// The protocol state of the client of a WebSocket.
#[derive(Debug)]
pub(crate) struct SocketPeer {
    limit: usize,
    deflate: Option<Deflate>,
    /// Set after a close frame or an error of the client. All further frames are ignored.
    closed: bool,
}

/// The action for a received frame.
#[derive(Debug, PartialEq)]
pub(crate) enum FrameAction {
    /// Deliver the message to the handler.
    Deliver(InboundMessage),
    /// Send the frame to the client.
    Reply(Bytes),
    /// The client closes: send the frame `last` to it, and close the connection. `close` is the reason for the handler.
    Close { last: Bytes, close: Close },
    /// The client has violated the protocol or a limit. Let the handler respond to the messages before, then send a close frame and close
    /// the connection.
    Fail(Close),
    /// Do nothing.
    Ignore,
}

impl SocketPeer {
    /// `limit` is the maximum size of a message in bytes, after decompression.
    pub(crate) fn new(limit: usize, deflate: Option<Deflate>) -> SocketPeer {
        SocketPeer {
            limit,
            deflate,
            closed: false,
        }
    }

    /// Sets the maximum size of a message.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Processes a frame. `first` is its first byte: FIN, the reserved bits and the opcode.
    pub(crate) fn receive(&mut self, first: u8, payload: Bytes) -> FrameAction {
        if self.closed {
            return FrameAction::Ignore;
        }
        let (reserved_bits, opcode) = (first & 0x70, first & 0x0f);
        match (reserved_bits, opcode) {
            (0, TEXT | BINARY) if payload.len() > self.limit => self.end(Close::TOO_LARGE),
            (0, TEXT | BINARY) => match InboundMessage::plain(opcode, payload) {
                Ok(message) => FrameAction::Deliver(message),
                Err(close) => self.end(close),
            },
            (RSV1, TEXT | BINARY) => match self.deflate {
                Some(_) if payload.len() > compressed_limit(self.limit) => self.end(Close::TOO_LARGE),
                Some(deflate) => FrameAction::Deliver(InboundMessage::Deflated {
                    opcode,
                    bytes: payload,
                    deflate,
                    limit: self.limit,
                }),
                None => self.end(Close::PROTOCOL),
            },
            (0, CLOSE) => {
                let (reply, close) = read_close(&payload);
                self.closed = true;
                FrameAction::Close {
                    last: close_frame(&reply),
                    close,
                }
            }
            // The pong has the payload of the ping (section 5.5.3).
            (0, PING) => FrameAction::Reply(frame(PONG, &payload)),
            (0, PONG) => FrameAction::Ignore,
            _ => self.end(Close::PROTOCOL),
        }
    }

    /// Returns the action that closes the connection because of an error of the client. All further frames are ignored.
    pub(crate) fn end(&mut self, close: Close) -> FrameAction {
        self.closed = true;
        FrameAction::Fail(close)
    }
}

/// Parses the payload of a close frame. Returns the close to reply with, and the one that the client sent.
fn read_close(payload: &[u8]) -> (Close, Close) {
    let both = |close: Close| (close.clone(), close);
    // Without a code, the payload must be empty (section 5.5.1).
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => both(Close::NONE),
            _ => both(Close::PROTOCOL),
        };
    };
    let code = u16::from_be_bytes(*code);
    match std::str::from_utf8(reason) {
        // The reply has the same code, without the reason.
        Ok(reason) if super::close::is_sendable(code) => {
            (Close::new(code, ""), Close::new(code, reason.to_owned()))
        }
        Ok(_) => both(Close::PROTOCOL),
        Err(_) => both(Close::NOT_UTF8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(first: u8, payload: &[u8]) -> FrameAction {
        SocketPeer::new(10, None).receive(first, Bytes::copy_from_slice(payload))
    }

    #[track_caller]
    fn assert_closes(action: FrameAction, code: u16) {
        match action {
            FrameAction::Close { close, .. } | FrameAction::Fail(close) => assert_eq!(close.code(), code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn delivers_valid_messages() {
        let plain = |message| FrameAction::Deliver(InboundMessage::Plain(message));
        assert_eq!(receive(0x81, "hé".as_bytes()), plain("hé".into()));
        assert_eq!(receive(0x82, &[0, 255]), plain(vec![0, 255].into()));
    }

    #[test]
    fn replies_to_ping_with_its_payload() {
        assert_eq!(
            receive(0x89, b"abc"),
            FrameAction::Reply(Bytes::from_static(b"\x8a\x03abc"))
        );
        assert_eq!(receive(0x8a, b"abc"), FrameAction::Ignore);
    }

    #[test]
    fn closes_on_invalid_frames() {
        assert_closes(receive(0x81, b"\xff"), 1007);
        assert_closes(receive(0x81, b"\xed\xa0\x80"), 1007);
        assert_closes(receive(0x82, &[0; 11]), 1009);
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f, 0x80] {
            assert_closes(receive(first, b""), 1002);
        }
    }

    #[test]
    fn reply_to_close_has_code_without_reason() {
        let action = receive(0x88, b"\x03\xe8bye");
        assert_eq!(
            action,
            FrameAction::Close {
                last: Bytes::from_static(b"\x88\x02\x03\xe8"),
                close: Close::new(1000, "bye")
            }
        );
        assert_closes(receive(0x88, b""), 1005);
    }

    #[test]
    fn rejects_invalid_close_payloads() {
        assert_closes(receive(0x88, b"\x03"), 1002);
        assert_closes(receive(0x88, b"\x03\xed"), 1002);
        assert_closes(receive(0x88, b"\x03\xe8\xff"), 1007);
    }

    #[test]
    fn ignores_frames_after_close() {
        let mut peer = SocketPeer::new(10, None);
        assert_closes(peer.receive(0x88, Bytes::new()), 1005);
        assert_eq!(
            peer.receive(0x81, Bytes::from_static(b"late")),
            FrameAction::Ignore
        );
    }
}

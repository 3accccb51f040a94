//! What a client may send over a WebSocket, where the front end hands over its frames: unmasked and put together.

use super::frame::{BINARY, CLOSE, DEFLATED, PING, PONG, TEXT, close_frame, frame};
use super::{Close, Deflate, InboundMessage};
use bytes::Bytes;

/// The client of one WebSocket.
#[derive(Debug)]
pub(crate) struct SocketPeer {
    limit: usize,
    deflate: Option<Deflate>,
    /// Whether nothing it sends is of interest any more.
    over: bool,
}

/// What follows from a frame.
#[derive(Debug, PartialEq)]
pub(crate) enum FrameAction {
    /// The handler gets a message.
    Deliver(InboundMessage),
    /// The client gets an answer.
    Reply(Bytes),
    /// The connection ends: with this last frame to the client, and for this reason.
    Close { last: Bytes, close: Close },
    /// Nothing.
    Ignore,
}

impl SocketPeer {
    /// Messages may have up to `limit` bytes, and be deflated where that was agreed to.
    pub(crate) fn new(limit: usize, deflate: Option<Deflate>) -> SocketPeer {
        SocketPeer {
            limit,
            deflate,
            over: false,
        }
    }

    /// `first` is the first byte of the frame: its opcode, and bits of extensions.
    pub(crate) fn receive(&mut self, first: u8, payload: Bytes) -> FrameAction {
        if self.over {
            return FrameAction::Ignore;
        }
        let (bits, opcode) = (first & 0x70, first & 0x0f);
        match (bits, opcode) {
            (0, TEXT | BINARY) if payload.len() > self.limit => self.end(Close::TOO_LARGE),
            (0, TEXT | BINARY) => match InboundMessage::plain(opcode, payload) {
                Ok(message) => FrameAction::Deliver(message),
                Err(close) => self.end(close),
            },
            (DEFLATED, TEXT | BINARY) => match self.deflate {
                // What cannot be deflated grows a little by it.
                Some(_) if payload.len() > self.limit.saturating_add(self.limit / 1024 + 64) => {
                    self.end(Close::TOO_LARGE)
                }
                Some(deflate) => FrameAction::Deliver(InboundMessage::Deflated {
                    opcode,
                    bytes: payload,
                    deflate,
                    limit: self.limit,
                }),
                None => self.end(Close::PROTOCOL),
            },
            (0, CLOSE) => {
                let (answer, close) = read_close(&payload);
                self.over = true;
                FrameAction::Close {
                    last: close_frame(&answer),
                    close,
                }
            }
            (0, PING) => FrameAction::Reply(frame(PONG, &payload)),
            (0, PONG) => FrameAction::Ignore,
            _ => self.end(Close::PROTOCOL),
        }
    }

    /// Ends the connection, because of what the client did.
    pub(crate) fn end(&mut self, close: Close) -> FrameAction {
        self.over = true;
        FrameAction::Close {
            last: close_frame(&close),
            close,
        }
    }
}

/// What a close is answered with, and what it says.
fn read_close(payload: &[u8]) -> (Close, Close) {
    let both = |close: Close| (close.clone(), close);
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => both(Close::NONE),
            _ => both(Close::PROTOCOL),
        };
    };
    let code = u16::from_be_bytes(*code);
    match std::str::from_utf8(reason) {
        Ok(reason) if super::close::is_sent(code) => {
            (Close::new(code, ""), Close::new(code, reason.to_owned()))
        }
        Ok(_) => both(Close::PROTOCOL),
        Err(_) => both(Close::NOT_UTF8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(first: u8, payload: &[u8]) -> FrameAction {
        SocketPeer::new(10, None).receive(first, Bytes::copy_from_slice(payload))
    }

    #[track_caller]
    fn ends(heard: FrameAction, code: u16) {
        match heard {
            FrameAction::Close { close, .. } => assert_eq!(close.code(), code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_come_through() {
        let whole = |message| FrameAction::Deliver(InboundMessage::Plain(message));
        assert_eq!(hear(0x81, "hé".as_bytes()), whole("hé".into()));
        assert_eq!(hear(0x82, &[0, 255]), whole(vec![0, 255].into()));
    }

    #[test]
    fn a_ping_is_answered_with_its_own_bytes() {
        assert_eq!(
            hear(0x89, b"abc"),
            FrameAction::Reply(Bytes::from_static(b"\x8a\x03abc"))
        );
        assert_eq!(hear(0x8a, b"abc"), FrameAction::Ignore);
    }

    #[test]
    fn what_is_wrong_ends_it() {
        ends(hear(0x81, b"\xff"), 1007);
        ends(hear(0x81, b"\xed\xa0\x80"), 1007);
        ends(hear(0x82, &[0; 11]), 1009);
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f, 0x80] {
            ends(hear(first, b""), 1002);
        }
    }

    #[test]
    fn a_close_is_answered() {
        let heard = hear(0x88, b"\x03\xe8bye");
        assert_eq!(
            heard,
            FrameAction::Close {
                last: Bytes::from_static(b"\x88\x02\x03\xe8"),
                close: Close::new(1000, "bye")
            }
        );
        ends(hear(0x88, b""), 1005);
        ends(hear(0x88, b"\x03"), 1002);
        ends(hear(0x88, b"\x03\xed"), 1002);
        ends(hear(0x88, b"\x03\xe8\xff"), 1007);
        let mut peer = SocketPeer::new(10, None);
        ends(peer.receive(0x88, Bytes::new()), 1005);
        assert_eq!(
            peer.receive(0x81, Bytes::from_static(b"late")),
            FrameAction::Ignore
        );
    }
}

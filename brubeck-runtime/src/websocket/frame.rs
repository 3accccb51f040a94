//! The frames of a server (RFC 6455, 5.2): whole and unmasked.

use super::{Close, Deflate, SocketMessage};
use bytes::{BufMut, Bytes, BytesMut};

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
/// The bit of a message that is deflated.
pub(super) const DEFLATED: u8 = 0x40;

/// A whole message, for a client that agreed to this.
pub(crate) fn message_frame(message: &SocketMessage, deflate: Option<Deflate>) -> Bytes {
    match deflate.and_then(|deflate| deflate.deflate(message.as_bytes())) {
        Some(small) => frame(DEFLATED | opcode(message), &small),
        None => frame(opcode(message), message.as_bytes()),
    }
}

/// One message for many: as it is, and deflated, each made when it is asked for.
pub(super) struct ForMany<'m> {
    message: &'m SocketMessage,
    plain: Option<Bytes>,
    deflated: Option<Bytes>,
}

impl ForMany<'_> {
    pub(super) fn of(message: &SocketMessage) -> ForMany<'_> {
        ForMany {
            message,
            plain: None,
            deflated: None,
        }
    }

    /// Deflated for those who understand it, where that is worth it.
    pub(super) fn frame(&mut self, deflated: bool) -> Bytes {
        let message = self.message;
        let plain = || frame(opcode(message), message.as_bytes());
        if !deflated {
            return self.plain.get_or_insert_with(plain).clone();
        }
        let made = self.deflated.get_or_insert_with(|| {
            Deflate::for_all(message.as_bytes()).map_or_else(
                || self.plain.get_or_insert_with(plain).clone(),
                |small| frame(DEFLATED | opcode(message), &small),
            )
        });
        made.clone()
    }
}

fn opcode(message: &SocketMessage) -> u8 {
    match message {
        SocketMessage::Text(_) => TEXT,
        SocketMessage::Binary(_) => BINARY,
    }
}

/// Asks the peer whether it is there.
pub(crate) fn ping_frame() -> Bytes {
    frame(PING, b"")
}

/// Closes, or agrees to it.
pub(crate) fn close_frame(close: &Close) -> Bytes {
    if !super::close::is_sent(close.code()) {
        return frame(CLOSE, b"");
    }
    frame(
        CLOSE,
        &[&close.code().to_be_bytes()[..], close.reason().as_bytes()].concat(),
    )
}

pub(super) fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => frame.put_u8(length as u8),
        length @ 126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(length as u16);
        }
        length => {
            frame.put_u8(127);
            frame.put_u64(length as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_one_three_or_nine_bytes() {
        assert_eq!(frame(TEXT, b"hi"), &b"\x81\x02hi"[..]);
        assert_eq!(frame(BINARY, &[0; 125])[..2], [0x82, 125]);
        assert_eq!(frame(BINARY, &[0; 126])[..4], [0x82, 126, 0, 126]);
        assert_eq!(frame(BINARY, &[0; 0xffff])[..4], [0x82, 126, 0xff, 0xff]);
        assert_eq!(
            frame(BINARY, &[0; 0x1_0000])[..10],
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
    }

    #[test]
    fn a_close_says_why_unless_there_is_nothing_to_say() {
        assert_eq!(close_frame(&Close::new(1000, "bye")), &b"\x88\x05\x03\xe8bye"[..]);
        assert_eq!(close_frame(&Close::NONE), &b"\x88\x00"[..]);
    }
}

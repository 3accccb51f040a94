//! The frames of a server (RFC 6455, 5.2): whole and unmasked.

use super::Close;
use bytes::{BufMut, Bytes, BytesMut};

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
/// The bit of a message that is deflated.
pub(super) const DEFLATED: u8 = 0x40;

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

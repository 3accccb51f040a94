//! Encodes the frames of a server (RFC 6455, section 5.2). They are unmasked and not fragmented.

use super::Close;
use super::opcode::{CLOSE, PING};
use bytes::{BufMut, Bytes, BytesMut};

/// Encodes a ping without a payload.
pub(crate) fn ping_frame() -> Bytes {
    frame(PING, b"")
}

/// Encodes a close frame. Its payload is empty if the code must not be sent, such as that of [`Close::NONE`].
pub(crate) fn close_frame(close: &Close) -> Bytes {
    if !super::close::is_sendable(close.code()) {
        return frame(CLOSE, b"");
    }
    frame(
        CLOSE,
        &[&close.code().to_be_bytes()[..], close.reason().as_bytes()].concat(),
    )
}

/// Encodes a frame with FIN set. `opcode` can include the reserved bits.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(0x80 | opcode);
    // The length takes 7 bits, or 16 or 64 bits after the markers 126 and 127.
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

/// Returns the size of the first frame of `bytes`, header included. The frames are those of a server, so they have no mask. Returns `None`
/// if the header is incomplete.
pub(crate) fn frame_size(bytes: &[u8]) -> Option<usize> {
    let (header, length) = match bytes.get(1)? {
        126 => (4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into()),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?,
        ),
        length => (2, usize::from(*length)),
    };
    length.checked_add(header)
}

#[cfg(test)]
mod tests {
    use super::super::opcode::{BINARY, TEXT};
    use super::*;

    #[test]
    fn encodes_lengths_in_one_three_or_nine_bytes() {
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
    fn reads_the_size_of_its_own_frames() {
        for length in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let frame = frame(BINARY, &vec![0; length]);
            assert_eq!(frame_size(&frame), Some(frame.len()));
            assert_eq!(frame_size(&frame[..1]), None);
        }
    }

    #[test]
    fn close_frame_omits_code_that_must_not_be_sent() {
        assert_eq!(close_frame(&Close::new(1000, "bye")), &b"\x88\x05\x03\xe8bye"[..]);
        assert_eq!(close_frame(&Close::NONE), &b"\x88\x00"[..]);
    }
}

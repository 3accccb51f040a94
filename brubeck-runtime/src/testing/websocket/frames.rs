//! The frames of a WebSocket client (RFC 6455, section 5.2): masked ones to the server, unmasked ones from it.

use crate::websocket::Close;
use crate::websocket::opcode::CLOSE;
use bytes::{Buf, Bytes, BytesMut};

/// A frame of the server.
#[derive(Debug, PartialEq)]
pub(super) struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub(super) first: u8,
    pub(super) payload: Bytes,
}

impl Frame {
    pub(super) fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// Returns the code and the reason of a close frame.
    pub(super) fn close(&self) -> Close {
        match self.payload.split_first_chunk::<2>() {
            Some((code, reason)) => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                Close::new(u16::from_be_bytes(*code), reason)
            }
            None => Close::NONE,
        }
    }
}

/// Encodes a frame with FIN set. The mask hides the payload from proxies that do not know WebSockets, and there are none in memory, so it need
/// not be random.
pub(super) fn encode(opcode: u8, payload: &[u8]) -> Bytes {
    const MASK: [u8; 4] = [0x5a, 0x13, 0xc4, 0x7e];
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame.into()
}

/// Encodes a close frame. It is empty if the code must not be sent.
pub(super) fn encode_close(close: &Close) -> Bytes {
    if *close == Close::NONE || *close == Close::BROKEN {
        return encode(CLOSE, b"");
    }
    encode(
        CLOSE,
        &[&close.code().to_be_bytes()[..], close.reason().as_bytes()].concat(),
    )
}

/// Takes the first frame from the buffer. Returns `None` if it is not complete.
pub(super) fn decode(buffer: &mut BytesMut) -> Option<Frame> {
    let mut rest = &buffer[..];
    let first = rest.try_get_u8().ok()?;
    let length = match rest.try_get_u8().ok()? & 0x7f {
        126 => u64::from(rest.try_get_u16().ok()?),
        127 => rest.try_get_u64().ok()?,
        length => u64::from(length),
    };
    let length = usize::try_from(length).ok()?;
    if rest.len() < length {
        return None;
    }
    buffer.advance(buffer.len() - rest.len());
    let payload = buffer.split_to(length).freeze();
    Some(Frame { first, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::opcode::{BINARY, TEXT};

    #[test]
    fn frames_are_taken_from_the_buffer_when_they_are_complete() {
        let mut buffer = BytesMut::from(&b"\x81\x02hi\x88\x02\x0f"[..]);
        let frame = decode(&mut buffer).unwrap();
        assert_eq!((frame.opcode(), &frame.payload[..]), (TEXT, &b"hi"[..]));
        assert_eq!(decode(&mut buffer), None);
        buffer.extend_from_slice(b"\xa1");
        assert_eq!(decode(&mut buffer).unwrap().close(), Close::new(4001, ""));
        assert!(buffer.is_empty());
        for length in [0, 125, 126, 0xffff, 0x1_0000] {
            let encoded = encode(BINARY, &vec![7; length]);
            let header = encoded.len() - length - 4;
            let mut unmasked = BytesMut::from(&encoded[..header]);
            unmasked.extend(vec![7; length]);
            assert_eq!(decode(&mut unmasked).unwrap().payload.len(), length);
        }
        assert_eq!(encode_close(&Close::NONE).len(), 6);
    }
}

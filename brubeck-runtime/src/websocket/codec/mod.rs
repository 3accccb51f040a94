//! Decodes the frames of WebSocket clients (RFC 6455, section 5.2) into messages.

#[cfg(feature = "deflate")]
pub mod deflate;

use bytes::{Bytes, BytesMut};
use std::fmt;

// The bits of the first byte of a frame.
const FIN: u8 = 0x80;
const RSV_MASK: u8 = 0x70;
/// Marks a compressed message (RFC 7692).
const RSV1: u8 = 0x40;
const OPCODE_MASK: u8 = 0x0f;
/// The bit of the opcode that distinguishes control frames.
const CONTROL: u8 = 0x08;

/// The bit of the second byte of a frame that has a mask.
const MASKED: u8 = 0x80;

/// The limit for the payload of a control frame, in bytes.
const MAX_CONTROL_BYTES: usize = 125;

/// Returns the limit for a compressed message whose content may have `limit` bytes. The limit for the compressed message is a little
/// higher, because data that is not compressible grows.
pub(crate) fn compressed_limit(limit: usize) -> usize {
    limit.saturating_add(limit / 1024 + 64)
}

/// Decodes the frames of one client: unmasks them and joins fragments.
///
/// ```
/// use brubeck_runtime::wire::websocket::MessageDecoder;
/// use bytes::BytesMut;
///
/// let mut decoder = MessageDecoder::new(100);
/// let mut bytes = BytesMut::from(&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..]);
/// let (first, payload) = decoder.decode(&mut bytes)?.expect("a complete frame");
/// assert_eq!((first, &payload[..]), (0x81, &b"Hello"[..]));
/// assert_eq!(decoder.decode(&mut bytes)?, None);
/// # Ok::<(), brubeck_runtime::wire::websocket::FrameError>(())
/// ```
///
/// A fragmented message is returned with the first byte of its first fragment, with FIN set. Control frames are returned at once, also
/// between the fragments of a message. The caller interprets opcodes and reserved bits.
#[derive(Debug)]
pub struct MessageDecoder {
    limit: usize,
    /// The first byte and the payload of an incomplete message.
    partial: Option<(u8, BytesMut)>,
}

/// Errors of decoding frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The client has violated the protocol.
    Protocol(&'static str),
    /// A message exceeds the limit.
    TooLarge,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Protocol(violation) => f.write_str(violation),
            FrameError::TooLarge => f.write_str("the message exceeds the limit"),
        }
    }
}

impl std::error::Error for FrameError {}

impl MessageDecoder {
    /// Creates a decoder for messages of up to `limit` bytes. Compressed messages may be larger by `limit / 1024 + 64` bytes, because data
    /// that is not compressible grows.
    pub fn new(limit: usize) -> MessageDecoder {
        MessageDecoder { limit, partial: None }
    }

    /// Removes the next message or control frame from the start of `bytes`, and returns its first byte and its payload. Returns `None` if
    /// more bytes are needed; fragments of an incomplete message have been removed then.
    ///
    /// # Errors
    ///
    /// Returns an error if a frame is invalid, or its message exceeds the limit. Both are detected from the header of the frame, before
    /// the payload is received. The connection must be closed after an error, because the decoder cannot continue.
    pub fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<(u8, Bytes)>, FrameError> {
        while let Some(header) = FrameHeader::read(bytes)? {
            self.check(&header)?;
            if bytes.len() - header.size < header.length {
                return Ok(None);
            }
            let mut frame = bytes.split_to(header.size + header.length);
            let mut payload = frame.split_off(header.size);
            unmask(&mut payload, header.mask);
            if header.is_control() {
                return Ok(Some((header.first, payload.freeze())));
            }
            let (first, message) = match self.partial.take() {
                None => (header.first, payload),
                Some((first, mut message)) => {
                    message.extend_from_slice(&payload);
                    (first, message)
                }
            };
            if header.first & FIN != 0 {
                return Ok(Some((first | FIN, message.freeze())));
            }
            self.partial = Some((first, message));
        }
        Ok(None)
    }

    /// Checks that a frame is valid in the current state and within the limit.
    fn check(&self, header: &FrameHeader) -> Result<(), FrameError> {
        if header.is_control() {
            if header.first & FIN == 0 {
                return Err(FrameError::Protocol("control frame is fragmented"));
            }
            if header.length > MAX_CONTROL_BYTES {
                return Err(FrameError::Protocol("control frame exceeds 125 bytes"));
            }
            return Ok(());
        }
        let is_continuation = header.first & OPCODE_MASK == 0;
        let (first, received) = match &self.partial {
            Some(_) if !is_continuation => {
                return Err(FrameError::Protocol(
                    "new message before the end of a fragmented message",
                ));
            }
            // Only the first fragment may have reserved bits (RFC 7692, section 6.1).
            Some(_) if header.first & RSV_MASK != 0 => {
                return Err(FrameError::Protocol("continuation frame with reserved bits"));
            }
            None if is_continuation => {
                return Err(FrameError::Protocol("continuation frame without a message"));
            }
            Some((first, message)) => (*first, message.len()),
            None => (header.first, 0),
        };
        let limit = if first & RSV1 == 0 {
            self.limit
        } else {
            compressed_limit(self.limit)
        };
        match received.checked_add(header.length) {
            Some(size) if size <= limit => Ok(()),
            _ => Err(FrameError::TooLarge),
        }
    }
}

/// The header of a frame.
struct FrameHeader {
    /// FIN, the reserved bits and the opcode.
    first: u8,
    /// The size of the header, in bytes.
    size: usize,
    /// The length of the payload, in bytes.
    length: usize,
    mask: [u8; 4],
}

impl FrameHeader {
    /// Parses a header. Returns `None` if more bytes are needed.
    fn read(bytes: &[u8]) -> Result<Option<FrameHeader>, FrameError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        if second & MASKED == 0 {
            return Err(FrameError::Protocol("client frame is not masked"));
        }
        let (length, rest) = match second & !MASKED {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            length => (length.into(), rest),
        };
        let Some((mask, payload)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        Ok(Some(FrameHeader {
            first,
            size: bytes.len() - payload.len(),
            length: usize::try_from(length).map_err(|_| FrameError::TooLarge)?,
            mask: *mask,
        }))
    }

    fn is_control(&self) -> bool {
        self.first & CONTROL != 0
    }
}

/// Applies the mask, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide_mask = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide_mask).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(MASKED | length as u8),
            length @ 126..=0xffff => {
                frame.push(MASKED | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    fn read(bytes: &[u8]) -> Result<Vec<(u8, Bytes)>, FrameError> {
        let (mut decoder, mut bytes) = (MessageDecoder::new(1000), BytesMut::from(bytes));
        std::iter::from_fn(|| decoder.decode(&mut bytes).transpose()).collect()
    }

    #[test]
    fn returns_control_frame_between_fragments() {
        let mask = [1, 2, 3, 4];
        let sent = [
            frame(0x41, b"a", mask),
            frame(0x89, b"?", mask),
            frame(0x00, b"b", mask),
            frame(0x80, b"", mask),
        ];
        let seen = read(&sent.concat()).unwrap();
        assert_eq!(seen, [(0x89, "?".into()), (0xc1, "ab".into())]);
    }

    #[test]
    fn rejects_invalid_frames_by_their_header() {
        let refused = |bytes: &[u8]| matches!(read(bytes), Err(FrameError::Protocol(_)));
        assert!(refused(b"\x81\x05Hello"), "without a mask");
        assert!(refused(b"\x09\x80\0\0\0\0"), "a fragmented ping");
        assert!(refused(b"\x89\xfe\x00\x7e\0\0\0\0"), "a large ping");
        assert!(refused(b"\x80\x80\0\0\0\0"), "a continuation without a message");
        assert!(
            refused(b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0"),
            "a message within a message"
        );
        assert!(
            refused(b"\x01\x80\0\0\0\0\xc0\x80\0\0\0\0"),
            "a continuation with reserved bits"
        );
    }

    #[test]
    fn rejects_messages_beyond_limit_by_their_headers() {
        let large = |bytes: &[u8]| read(bytes) == Err(FrameError::TooLarge);
        assert!(large(b"\x82\xfe\x03\xe9\0\0\0\0"));
        assert!(large(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"));
        assert!(large(
            &[frame(0x02, &[0; 600], [0; 4]), frame(0x00, &[0; 401], [0; 4])].concat()
        ));
        assert_eq!(read(b"\x82\xfe\x03\xe8\0\0\0\0"), Ok(vec![]));
        // The limit for compressed messages is a little higher.
        assert_eq!(read(b"\xc2\xfe\x04\x28\0\0\0\0"), Ok(vec![]));
        assert!(large(b"\xc2\xfe\x04\x29\0\0\0\0"));
    }

    proptest! {
        #[test]
        fn result_does_not_depend_on_chunks_of_input(
            messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<[u8; 4]>()), 1..8),
            cuts in prop::collection::vec(1usize..40, 1..60),
        ) {
            let sent: Vec<u8> = messages.iter().flat_map(|(payload, mask)| frame(0x82, payload, *mask)).collect();
            let (mut decoder, mut bytes) = (MessageDecoder::new(1000), BytesMut::new());
            let (mut seen, mut rest) = (Vec::new(), &sent[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*cut));
                bytes.extend_from_slice(now);
                rest = later;
                while let Some((first, payload)) = decoder.decode(&mut bytes).unwrap() {
                    prop_assert_eq!(first, 0x82);
                    seen.push(payload);
                }
            }
            prop_assert_eq!(seen, messages.into_iter().map(|(payload, _)| payload).collect::<Vec<_>>());
        }
    }
}

//! The frames of a client of a WebSocket (RFC 6455, 5.2): unmasked and put together to messages.

#[cfg(feature = "deflate")]
pub mod deflate;

use bytes::{Bytes, BytesMut};
use std::fmt;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// The bit by which a message says that it is deflated (RFC 7692).
const DEFLATED: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;

/// Reads the frames of one client.
///
/// ```
/// use brubeck_runtime::wire::websocket::MessageDecoder;
/// use bytes::BytesMut;
///
/// let mut frames = MessageDecoder::new(100);
/// let mut bytes = BytesMut::from(&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..]);
/// let (first, payload) = frames.decode(&mut bytes)?.expect("a whole frame");
/// assert_eq!((first, &payload[..]), (0x81, &b"Hello"[..]));
/// assert_eq!(frames.decode(&mut bytes)?, None);
/// # Ok::<(), brubeck_runtime::wire::websocket::FrameError>(())
/// ```
///
/// A message that came in fragments has the first byte of its first one, with FIN set. Control frames come out at once,
/// also between the fragments of a message. What the bits of extensions and the opcode mean is left to whoever reads on.
#[derive(Debug)]
pub struct MessageDecoder {
    limit: usize,
    begun: Option<(u8, BytesMut)>,
}

/// What a client must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It does not keep to the protocol.
    Protocol(&'static str),
    /// A message is larger than the limit.
    TooLarge,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Protocol(what) => f.write_str(what),
            FrameError::TooLarge => f.write_str("a message is larger than the limit"),
        }
    }
}

impl std::error::Error for FrameError {}

impl MessageDecoder {
    /// Messages may have so many bytes; deflated ones a little more, because what cannot be deflated grows by it.
    pub fn new(limit: usize) -> MessageDecoder {
        MessageDecoder { limit, begun: None }
    }

    /// Takes the next message or control frame from the front of `bytes`: its first byte, and what it carries. `None`
    /// where more must come first.
    ///
    /// # Errors
    ///
    /// What no client may send. A frame is judged by its head, before what it carries has come.
    pub fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<(u8, Bytes)>, FrameError> {
        while let Some(head) = FrameHeader::read(bytes)? {
            self.check(&head)?;
            if bytes.len() - head.size < head.length {
                return Ok(None);
            }
            let mut frame = bytes.split_to(head.size + head.length);
            let mut payload = frame.split_off(head.size);
            unmask(&mut payload, head.mask);
            if head.is_control() {
                return Ok(Some((head.first, payload.freeze())));
            }
            let (first, message) = match self.begun.take() {
                None => (head.first, payload),
                Some((first, mut message)) => {
                    message.extend_from_slice(&payload);
                    (first, message)
                }
            };
            if head.first & FINAL != 0 {
                return Ok(Some((first | FINAL, message.freeze())));
            }
            self.begun = Some((first, message));
        }
        Ok(None)
    }

    /// Whether this frame may come now, as large as it is.
    fn check(&self, head: &FrameHeader) -> Result<(), FrameError> {
        if head.is_control() {
            return match head.first & FINAL == 0 || head.length > 125 {
                true => Err(FrameError::Protocol(
                    "a control frame is in fragments, or larger than 125 bytes",
                )),
                false => Ok(()),
            };
        }
        let (first, before) = match &self.begun {
            Some((first, message)) => (*first, message.len()),
            None => (head.first, 0),
        };
        match (head.first & OPCODE, self.begun.is_some()) {
            (0, true) if head.first & RESERVED != 0 => {
                return Err(FrameError::Protocol("a fragment has bits of its own"));
            }
            (0, false) => return Err(FrameError::Protocol("a fragment of nothing")),
            (1.., true) => return Err(FrameError::Protocol("a message within another one")),
            (0, true) | (1.., false) => {}
        }
        let spare = match first & DEFLATED {
            0 => 0,
            _ => self.limit / 1024 + 64,
        };
        let limit = self.limit.saturating_add(spare);
        match before.checked_add(head.length) {
            Some(size) if size <= limit => Ok(()),
            _ => Err(FrameError::TooLarge),
        }
    }
}

/// What stands before the payload of a frame.
struct FrameHeader {
    first: u8,
    size: usize,
    length: usize,
    mask: [u8; 4],
}

impl FrameHeader {
    fn read(bytes: &[u8]) -> Result<Option<FrameHeader>, FrameError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        if second & MASKED == 0 {
            return Err(FrameError::Protocol("a frame of a client is not masked"));
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

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (eights, rest) = payload.as_chunks_mut();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ twice).to_ne_bytes();
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
        let (mut frames, mut bytes) = (MessageDecoder::new(1000), BytesMut::from(bytes));
        std::iter::from_fn(|| frames.decode(&mut bytes).transpose()).collect()
    }

    #[test]
    fn a_control_frame_comes_out_between_fragments() {
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
    fn what_no_client_may_send_is_known_by_its_head() {
        let refused = |bytes: &[u8]| matches!(read(bytes), Err(FrameError::Protocol(_)));
        let large = |bytes: &[u8]| read(bytes) == Err(FrameError::TooLarge);
        assert!(refused(b"\x81\x05Hello"), "without a mask");
        assert!(refused(b"\x09\x80\0\0\0\0"), "a ping in fragments");
        assert!(refused(b"\x89\xfe\x00\x7e\0\0\0\0"), "a large ping");
        assert!(refused(b"\x80\x80\0\0\0\0"), "a fragment of nothing");
        assert!(
            refused(b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0"),
            "a message in another"
        );
        assert!(
            refused(b"\x01\x80\0\0\0\0\xc0\x80\0\0\0\0"),
            "a fragment with a bit"
        );
        assert!(large(b"\x82\xfe\x03\xe9\0\0\0\0"));
        assert!(large(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"));
        assert!(large(
            &[frame(0x02, &[0; 600], [0; 4]), frame(0x00, &[0; 401], [0; 4])].concat()
        ));
        assert_eq!(read(b"\x82\xfe\x03\xe8\0\0\0\0"), Ok(vec![]));
        // Deflated, it may have a little more.
        assert_eq!(read(b"\xc2\xfe\x04\x28\0\0\0\0"), Ok(vec![]));
        assert!(large(b"\xc2\xfe\x04\x29\0\0\0\0"));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_reads_the_same(
            messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<[u8; 4]>()), 1..8),
            cuts in prop::collection::vec(1usize..40, 1..60),
        ) {
            let sent: Vec<u8> = messages.iter().flat_map(|(payload, mask)| frame(0x82, payload, *mask)).collect();
            let (mut frames, mut bytes) = (MessageDecoder::new(1000), BytesMut::new());
            let (mut seen, mut rest) = (Vec::new(), &sent[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*cut));
                bytes.extend_from_slice(now);
                rest = later;
                while let Some((first, payload)) = frames.decode(&mut bytes).unwrap() {
                    prop_assert_eq!(first, 0x82);
                    seen.push(payload);
                }
            }
            prop_assert_eq!(seen, messages.into_iter().map(|(payload, _)| payload).collect::<Vec<_>>());
        }
    }
}

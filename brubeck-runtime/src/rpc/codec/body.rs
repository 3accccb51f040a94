//! The body of a request or a reply, and its parts.

use super::field::Fields;
use super::limits::MAX_PARTS;
use crate::codec::{EncodeError, ParseError};
use bytes::Bytes;

/// Splits the frames after the head into the body and its parts, and checks their lengths.
pub(super) fn split_frames(fields: &Fields, frames: &[Bytes]) -> Result<(Bytes, Vec<Bytes>), ParseError> {
    let announced = fields.lengths.chunks_exact(4);
    let lengths = frames
        .iter()
        .map(|frame| u32::try_from(frame.len()).unwrap_or(u32::MAX));
    if !announced.eq(lengths.map(u32::to_be_bytes)) {
        return Err(ParseError::Frames {
            found: 1 + frames.len(),
            what: "a head, and frames with the lengths that it announces",
        });
    }
    // JSON is the only encoding so far.
    if fields.codec != 0 {
        return Err(ParseError::Expected {
            at: 0,
            what: "a body in JSON, which is codec 0",
        });
    }
    match frames.split_first() {
        Some((body, parts)) => Ok((body.clone(), parts.to_vec())),
        None => Ok((Bytes::new(), Vec::new())),
    }
}

/// Returns an error if there are more parts than the receiver accepts.
pub(super) fn check_parts(parts: &[Bytes]) -> Result<(), EncodeError> {
    if parts.len() > MAX_PARTS {
        return Err(EncodeError::new(
            "parts",
            "there are more than 64; join some of them, or send them in several calls",
        ));
    }
    Ok(())
}

pub(super) fn total_len(body: &Bytes, parts: &[Bytes]) -> usize {
    parts
        .iter()
        .fold(body.len(), |sum, part| sum.saturating_add(part.len()))
}

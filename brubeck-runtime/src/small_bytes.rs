//! Short texts and bodies, which most are.

use bytes::Bytes;
use std::cell::Cell;

/// How much text most values have, in bytes.
const USUAL: usize = 256;

thread_local! {
    /// Where texts are written, as long as they are short.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The text that is written. Where it is short, it is a piece, and nothing else was allocated.
pub(crate) fn write_with<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    let mut text = take_buffer();
    write(&mut text)?;
    Ok(freeze(text))
}

/// Room for a text, to be written bit by bit and handed to [`freeze`].
pub(crate) fn take_buffer() -> Vec<u8> {
    let mut text = ROOM.take();
    text.clear();
    text.reserve(USUAL);
    text
}

/// The text that was written. Where it is short, it is a piece, and its room is used again.
pub(crate) fn freeze(text: Vec<u8>) -> Bytes {
    if text.len() > USUAL {
        return text.into();
    }
    let piece = copy_from_slice(&text);
    ROOM.set(text);
    piece
}

/// A copy of these bytes. Where they are few, memory and count of references are one piece: clones allocate nothing then.
pub(crate) fn copy_from_slice(bytes: &[u8]) -> Bytes {
    match bytes.len() {
        0 => Bytes::new(),
        1..=64 => Bytes::from_owner(InlineBytes::<64>::of(bytes)),
        65..=96 => Bytes::from_owner(InlineBytes::<96>::of(bytes)),
        97..=128 => Bytes::from_owner(InlineBytes::<128>::of(bytes)),
        129..=192 => Bytes::from_owner(InlineBytes::<192>::of(bytes)),
        193..=256 => Bytes::from_owner(InlineBytes::<256>::of(bytes)),
        _ => Bytes::copy_from_slice(bytes),
    }
}

struct InlineBytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> InlineBytes<N> {
    fn of(bytes: &[u8]) -> Self {
        let mut piece = Self {
            bytes: [0; N],
            length: 0,
        };
        if let Some(room) = piece.bytes.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            piece.length = bytes.len();
        }
        piece
    }
}

impl<const N: usize> AsRef<[u8]> for InlineBytes<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there_short_or_long_and_within_another() {
        fn put(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ()> {
            text.extend_from_slice(bytes);
            Ok(())
        }
        for length in [0, 1, USUAL, USUAL + 1, 5000] {
            let text = write_with(|text| {
                let inner = write_with(|inner| put(inner, b"y"))?;
                text.resize(length, b'x');
                put(text, &inner)
            });
            let text = text.unwrap();
            assert_eq!((text.len(), text.last()), (length + 1, Some(&b'y')));
        }
        assert!(write_with(|text| put(text, b"x").and(Err(()))).is_err());
        assert!(write_with(|text| put(text, b"")).unwrap().is_empty());
    }

    #[test]
    fn a_piece_is_a_copy_of_any_length() {
        for length in 0..600 {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(copy_from_slice(&bytes), bytes, "{length}");
        }
    }
}

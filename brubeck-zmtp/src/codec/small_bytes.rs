//! Copies of short frames.

use bytes::Bytes;

/// A copy of these bytes. Where they are few, memory and count of references are one piece: clones allocate nothing then.
pub fn copy(bytes: &[u8]) -> Bytes {
    match bytes.len() {
        0 => Bytes::new(),
        1..=64 => Bytes::from_owner(Piece::<64>::of(bytes)),
        65..=96 => Bytes::from_owner(Piece::<96>::of(bytes)),
        97..=128 => Bytes::from_owner(Piece::<128>::of(bytes)),
        129..=192 => Bytes::from_owner(Piece::<192>::of(bytes)),
        193..=256 => Bytes::from_owner(Piece::<256>::of(bytes)),
        _ => Bytes::copy_from_slice(bytes),
    }
}

struct Piece<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Piece<N> {
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

impl<const N: usize> AsRef<[u8]> for Piece<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_a_copy_of_any_length() {
        for length in 0..600 {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(copy(&bytes), bytes, "{length}");
        }
    }
}

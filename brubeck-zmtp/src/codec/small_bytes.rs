//! Copies of short frames in one allocation each.

use bytes::Bytes;

/// Copies `bytes`.
///
/// Up to 256 bytes, data and reference count share one allocation, and clones of the result allocate nothing.
/// `Bytes::copy_from_slice` would allocate again at the first clone.
pub(super) fn copy_small(bytes: &[u8]) -> Bytes {
    match bytes.len() {
        0 => Bytes::new(),
        1..=64 => Bytes::from_owner(InlineBytes::<64>::new(bytes)),
        65..=96 => Bytes::from_owner(InlineBytes::<96>::new(bytes)),
        97..=128 => Bytes::from_owner(InlineBytes::<128>::new(bytes)),
        129..=192 => Bytes::from_owner(InlineBytes::<192>::new(bytes)),
        193..=256 => Bytes::from_owner(InlineBytes::<256>::new(bytes)),
        _ => Bytes::copy_from_slice(bytes),
    }
}

struct InlineBytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> InlineBytes<N> {
    fn new(source: &[u8]) -> Self {
        let mut inline = Self {
            bytes: [0; N],
            length: 0,
        };
        if let Some(space) = inline.bytes.get_mut(..source.len()) {
            space.copy_from_slice(source);
            inline.length = source.len();
        }
        inline
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
    fn copies_every_length() {
        for length in 0..600 {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(copy_small(&bytes), bytes, "{length}");
        }
    }
}

//! `Bytes` for short texts and bodies with few allocations.
//!
//! `Bytes` made of a `Vec` allocates a second time, for its reference count, when it is first cloned or if the `Vec` has spare
//! capacity. Here a short text is written to a buffer that the thread reuses, and copied to a single allocation that holds the
//! bytes and the reference count.

use bytes::Bytes;
use std::cell::Cell;

/// The length, in bytes, up to which a text is stored in one allocation. Most bodies are shorter.
const MAX_SMALL: usize = 256;

thread_local! {
    /// The buffer of this thread. It is replaced by an empty `Vec` while it is in use.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `write` with an empty buffer and returns the bytes that it has written.
pub(crate) fn write_with<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    let mut buffer = take_buffer();
    write(&mut buffer)?;
    Ok(freeze(buffer))
}

/// Takes the buffer of this thread and empties it. Pass the buffer to [`freeze`] when the text is complete; if the buffer is
/// dropped instead, the next call allocates.
pub(crate) fn take_buffer() -> Vec<u8> {
    let mut buffer = BUFFER.take();
    buffer.clear();
    buffer.reserve(MAX_SMALL);
    buffer
}

/// Converts the text in a buffer from [`take_buffer`] to `Bytes`. If the text is short, the thread reuses the buffer.
pub(crate) fn freeze(buffer: Vec<u8>) -> Bytes {
    if buffer.len() > MAX_SMALL {
        return buffer.into();
    }
    let bytes = copy_from_slice(&buffer);
    BUFFER.set(buffer);
    bytes
}

/// Copies `bytes`. Up to [`MAX_SMALL`] bytes, the copy and all of its clones use one allocation.
pub(crate) fn copy_from_slice(bytes: &[u8]) -> Bytes {
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

/// Up to `N` bytes, stored inline so that `Bytes::from_owner` puts them and its reference count in one allocation.
struct InlineBytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> InlineBytes<N> {
    fn new(bytes: &[u8]) -> Self {
        let mut inline = Self {
            bytes: [0; N],
            length: 0,
        };
        if let Some(target) = inline.bytes.get_mut(..bytes.len()) {
            target.copy_from_slice(bytes);
            inline.length = bytes.len();
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
    fn writes_short_long_and_nested_texts() {
        fn put(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ()> {
            text.extend_from_slice(bytes);
            Ok(())
        }
        for length in [0, 1, MAX_SMALL, MAX_SMALL + 1, 5000] {
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
    fn copies_slices_of_any_length() {
        for length in 0..600 {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(copy_from_slice(&bytes), bytes, "{length}");
        }
    }
}

//! Messages of WebSockets that are deflated (RFC 7692, 7.2), each by itself: nothing is kept from one to the next.

use miniz_oxide::DataFormat;
use miniz_oxide::deflate::CompressionLevel;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use std::cell::RefCell;
use std::fmt;

/// What a sender leaves away at the end of a message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The same, and a block that ends the stream: one that was cut does not end with it.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
/// The largest window, in bits: 32 KiB.
pub const MAX_WINDOW_BITS: u8 = 15;

thread_local! {
    // The first is large, so there is one for a thread and not for a connection.
    static DEFLATER: RefCell<CompressorOxide> = RefCell::new(CompressorOxide::with_format_and_level(
        DataFormat::Raw,
        CompressionLevel::BestSpeed,
    ));
    static INFLATER: RefCell<DecompressorOxide> = RefCell::new(DecompressorOxide::new());
}

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// It becomes larger than the limit; no more than that was made of it.
    TooLarge,
    /// It is not what deflating makes.
    Malformed,
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InflateError::TooLarge => "the message becomes larger than the limit",
            InflateError::Malformed => "the message is not deflated",
        })
    }
}

impl std::error::Error for InflateError {}

/// Deflates a message for a receiver that looks back `window` bits; `None` where it would not become smaller.
///
/// ```
/// use brubeck_runtime::wire::deflate::{MAX_WINDOW_BITS, deflate, inflate};
///
/// let text = b"well, well, well, well, well, well, well";
/// let small = deflate(text, MAX_WINDOW_BITS).expect("a smaller one");
/// assert_eq!(inflate(&small, 100).unwrap(), text);
/// assert_eq!(deflate(b"no", MAX_WINDOW_BITS), None);
/// ```
pub fn deflate(bytes: &[u8], window: u8) -> Option<Vec<u8>> {
    DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        let mut out = vec![0; bytes.len()];
        let mut written = 0;
        // What is deflated by itself never looks back further than it is long.
        let most = match window {
            MAX_WINDOW_BITS.. => bytes.len().max(1),
            window => 1_usize << window.max(8),
        };
        let mut pieces = bytes.chunks(most).peekable();
        while let Some(piece) = pieces.next() {
            let flush = match pieces.peek() {
                Some(_) => TDEFLFlush::Full,
                None => TDEFLFlush::Sync,
            };
            let (status, read, wrote) = compress(deflater, piece, out.get_mut(written..)?, flush);
            written += wrote;
            // Where no room is left, there may be more to come.
            if status != TDEFLStatus::Okay || read < piece.len() || written >= out.len() {
                return None;
            }
        }
        out.truncate(written);
        let end = out.strip_suffix(&TAIL)?.len();
        out.truncate(end);
        Some(out)
    })
}

/// Inflates a message to at most `limit` bytes.
///
/// # Errors
///
/// [`InflateError`].
pub fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    INFLATER.with_borrow_mut(|inflater| {
        inflater.init();
        // One byte more shows that there are too many.
        let most = limit.saturating_add(1);
        let mut out = vec![0; bytes.len().saturating_mul(4).clamp(64, most.max(64)).min(most)];
        let mut written = 0;
        for (mut rest, more) in [(bytes, TINFL_FLAG_HAS_MORE_INPUT), (&END[..], 0)] {
            loop {
                // The output is the window, so nothing but this message can be looked back at.
                let flags = more | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
                let (status, read, wrote) = decompress(inflater, rest, &mut out, written, flags);
                rest = rest.get(read..).unwrap_or_default();
                written += wrote;
                match status {
                    _ if written > limit => return Err(InflateError::TooLarge),
                    TINFLStatus::NeedsMoreInput if more != 0 => break,
                    // A sender may end the stream with each message (7.2.3.4).
                    TINFLStatus::Done if more == 0 || matches!(rest, [] | [0]) => {
                        out.truncate(written);
                        return Ok(out);
                    }
                    TINFLStatus::HasMoreOutput if out.len() < most => {
                        out.resize(out.len().saturating_mul(2).min(most), 0);
                    }
                    _ => return Err(InflateError::Malformed),
                }
            }
        }
        Err(InflateError::Malformed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7692, 7.2.3.
    #[test]
    fn the_examples_of_the_rfc() {
        let compressed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&compressed, 5).unwrap(), b"Hello");
        let not_compressed = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(inflate(&not_compressed, 5).unwrap(), b"Hello");
        let with_an_end = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflate(&with_an_end, 5).unwrap(), b"Hello");
        let two_blocks = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        assert_eq!(inflate(&two_blocks, 5).unwrap(), b"Hello");
        // An empty message (7.2.3.6), which is not one without anything.
        assert_eq!(inflate(&[0x00], 5).unwrap(), b"");
        assert_eq!(inflate(&[], 5), Err(InflateError::Malformed));
        // The second message of 7.2.3.2 looks back into the first, which nobody agreed to.
        let looks_back = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflate(&looks_back, 5), Err(InflateError::Malformed));
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = deflate(&vec![0; 64 << 20], MAX_WINDOW_BITS).unwrap();
        assert!(bomb.len() < 400 << 10, "{}", bomb.len());
        assert_eq!(inflate(&bomb, 1 << 20), Err(InflateError::TooLarge));
        assert_eq!(inflate(&bomb, (64 << 20) - 1), Err(InflateError::TooLarge));
        assert_eq!(inflate(&bomb, 64 << 20).unwrap().len(), 64 << 20);
        assert_eq!(inflate(&bomb, 0), Err(InflateError::TooLarge));
    }

    #[test]
    fn what_was_cut_is_refused() {
        let small = deflate(&b"one two three four ".repeat(20), MAX_WINDOW_BITS).unwrap();
        for end in 0..small.len() {
            assert!(inflate(&small[..end], 1000).is_err(), "{end}");
        }
    }

    #[test]
    fn what_stands_behind_an_end_is_refused() {
        let ended = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        for more in [&b"\0\0"[..], &ended, b"x"] {
            assert_eq!(
                inflate(&[&ended, more].concat(), 100),
                Err(InflateError::Malformed)
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_deflated_is_inflated(
            word in prop::collection::vec(any::<u8>(), 1..40),
            times in 1usize..4000,
            noise in prop::collection::vec(any::<u8>(), 0..300),
            window in 8u8..=15,
        ) {
            let text = [word.repeat(times), noise, word.repeat(times / 2)].concat();
            if let Some(small) = deflate(&text, window) {
                prop_assert!(small.len() < text.len());
                prop_assert_eq!(inflate(&small, text.len()).unwrap(), &text[..]);
                prop_assert_eq!(inflate(&small, text.len() - 1), Err(InflateError::TooLarge));
            }
        }

        #[test]
        fn any_bytes_are_inflated_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000), limit in 0usize..5000) {
            if let Ok(out) = inflate(&bytes, limit) {
                prop_assert!(out.len() <= limit);
            }
        }
    }
}

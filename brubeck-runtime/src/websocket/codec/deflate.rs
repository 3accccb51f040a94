//! Compression of WebSocket messages (RFC 7692, section 7.2), without context takeover: each message is compressed on its own.

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

/// The end of a sync flush, which the sender removes from each message (section 7.2.1).
const SYNC_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// [`SYNC_TAIL`], followed by an empty final block. The receiver decompresses it after each message, so that the deflate stream ends if
/// the message is complete. With a truncated message, the stream does not end.
const FINAL_TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
/// The default and largest window size in bits, which is 32 KiB.
pub const MAX_WINDOW_BITS: u8 = 15;

thread_local! {
    // A compressor takes several hundred KiB, so there is one per thread instead of one per connection.
    static DEFLATER: RefCell<CompressorOxide> = RefCell::new(CompressorOxide::with_format_and_level(
        DataFormat::Raw,
        CompressionLevel::BestSpeed,
    ));
    static INFLATER: RefCell<DecompressorOxide> = RefCell::new(DecompressorOxide::new());
}

/// Errors of decompressing a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// The content exceeds the limit. Decompression stopped there.
    TooLarge,
    /// The message is not valid deflate data.
    Malformed,
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InflateError::TooLarge => "the decompressed message exceeds the limit",
            InflateError::Malformed => "the message is not valid deflate data",
        })
    }
}

impl std::error::Error for InflateError {}

/// Compresses a message for a receiver with a window of `window` bits. Returns `None` if the result would not be at least five bytes
/// smaller.
///
/// ```
/// use brubeck_runtime::wire::deflate::{MAX_WINDOW_BITS, deflate, inflate};
///
/// let text = b"well, well, well, well, well, well, well";
/// let compressed = deflate(text, MAX_WINDOW_BITS).expect("smaller than the text");
/// assert_eq!(inflate(&compressed, 100).unwrap(), text);
/// assert_eq!(deflate(b"no", MAX_WINDOW_BITS), None);
/// ```
pub fn deflate(bytes: &[u8], window: u8) -> Option<Vec<u8>> {
    DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        let mut out = vec![0; bytes.len()];
        let mut written = 0;
        // The compressor always uses a window of 32 KiB. For a smaller window, the input is split into chunks of that size with a full
        // flush between them, so that no reference reaches back further than the window.
        let chunk_size = match window {
            MAX_WINDOW_BITS.. => bytes.len().max(1),
            window => 1_usize << window.max(8),
        };
        let mut chunks = bytes.chunks(chunk_size).peekable();
        while let Some(chunk) = chunks.next() {
            let flush = match chunks.peek() {
                Some(_) => TDEFLFlush::Full,
                None => TDEFLFlush::Sync,
            };
            let (status, read, wrote) = compress(deflater, chunk, out.get_mut(written..)?, flush);
            written += wrote;
            // A full output buffer means that the result, with its sync tail, is not smaller than the input.
            if status != TDEFLStatus::Okay || read < chunk.len() || written >= out.len() {
                return None;
            }
        }
        out.truncate(written);
        let end = out.strip_suffix(&SYNC_TAIL)?.len();
        out.truncate(end);
        Some(out)
    })
}

/// Decompresses a message, up to `limit` bytes.
///
/// # Errors
///
/// Returns an error if the content exceeds `limit`, or the message is not valid deflate data.
pub fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    INFLATER.with_borrow_mut(|inflater| {
        inflater.init();
        // One more byte than the limit, to detect that the limit is exceeded.
        let max_size = limit.saturating_add(1);
        let mut out = vec![
            0;
            bytes
                .len()
                .saturating_mul(4)
                .clamp(64, max_size.max(64))
                .min(max_size)
        ];
        let mut written = 0;
        // Decompresses the message and then the tail that the sender has removed from it. Instead of appending the tail to the message,
        // which would copy it, both are passed one after the other. The buffer grows up to `max_size`, so that a small message
        // that expands to a huge one (a decompression bomb) is detected with bounded memory.
        for (mut rest, has_more) in [(bytes, TINFL_FLAG_HAS_MORE_INPUT), (&FINAL_TAIL[..], 0)] {
            loop {
                // The output buffer is the window, so references cannot reach back before this message.
                let flags = has_more | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
                let (status, read, wrote) = decompress(inflater, rest, &mut out, written, flags);
                rest = rest.get(read..).unwrap_or_default();
                written += wrote;
                match status {
                    _ if written > limit => return Err(InflateError::TooLarge),
                    TINFLStatus::NeedsMoreInput if has_more != 0 => break,
                    // A message may end with a final block of its own (section 7.2.3.4).
                    TINFLStatus::Done if has_more == 0 || matches!(rest, [] | [0]) => {
                        out.truncate(written);
                        return Ok(out);
                    }
                    TINFLStatus::HasMoreOutput if out.len() < max_size => {
                        out.resize(out.len().saturating_mul(2).min(max_size), 0);
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

    /// RFC 7692, section 7.2.3.
    #[test]
    fn inflates_examples_of_rfc() {
        let compressed = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&compressed, 5).unwrap(), b"Hello");
        let not_compressed = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(inflate(&not_compressed, 5).unwrap(), b"Hello");
        let with_final_block = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflate(&with_final_block, 5).unwrap(), b"Hello");
        let two_blocks = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        assert_eq!(inflate(&two_blocks, 5).unwrap(), b"Hello");
        // An empty message is one byte long (section 7.2.3.6).
        assert_eq!(inflate(&[0x00], 5).unwrap(), b"");
        assert_eq!(inflate(&[], 5), Err(InflateError::Malformed));
        // The second message of section 7.2.3.2 refers to the first one, which requires context takeover.
        let looks_back = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflate(&looks_back, 5), Err(InflateError::Malformed));
    }

    #[test]
    fn inflate_stops_at_limit() {
        let bomb = deflate(&vec![0; 64 << 20], MAX_WINDOW_BITS).unwrap();
        assert!(bomb.len() < 400 << 10, "{}", bomb.len());
        assert_eq!(inflate(&bomb, 1 << 20), Err(InflateError::TooLarge));
        assert_eq!(inflate(&bomb, (64 << 20) - 1), Err(InflateError::TooLarge));
        assert_eq!(inflate(&bomb, 64 << 20).unwrap().len(), 64 << 20);
        assert_eq!(inflate(&bomb, 0), Err(InflateError::TooLarge));
    }

    #[test]
    fn rejects_truncated_message() {
        let small = deflate(&b"one two three four ".repeat(20), MAX_WINDOW_BITS).unwrap();
        for end in 0..small.len() {
            assert!(inflate(&small[..end], 1000).is_err(), "{end}");
        }
    }

    #[test]
    fn rejects_data_after_final_block() {
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
        fn inflate_reverses_deflate(
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
        fn inflate_of_any_bytes_respects_limit(bytes in prop::collection::vec(any::<u8>(), 0..2000), limit in 0usize..5000) {
            if let Ok(out) = inflate(&bytes, limit) {
                prop_assert!(out.len() <= limit);
            }
        }
    }
}

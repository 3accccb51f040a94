//! What is being written to a peer: small frames side by side in one buffer, large ones as they are.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::codec::frames;

/// A frame from this size on is written from where it lies; copying a smaller one costs less than a piece of its own.
const LARGE: usize = 4 << 10;

/// Pieces written at once.
const PIECES: usize = 16;

/// Bytes on their way out, in order.
#[derive(Debug, Default)]
pub struct Output {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
}

impl Output {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }

    /// Adds a message.
    pub fn push(&mut self, message: Vec<Bytes>) {
        let mut left = message.len();
        for frame in message {
            left -= 1;
            self.push_frame(frame, left > 0);
        }
    }

    /// Adds a frame of a message, of which more may follow.
    pub fn push_frame(&mut self, frame: Bytes, more: bool) {
        frames::put_header(&mut self.tail, frame.len(), more);
        if frame.len() < LARGE {
            self.tail.put_slice(&frame);
        } else {
            self.pieces.push_back(self.tail.split().freeze());
            self.pieces.push_back(frame);
        }
    }

    /// Adds bytes that are frames already.
    pub fn put(&mut self, frame: &[u8]) {
        self.tail.put_slice(frame);
    }

    /// Writes some of it; gives how many bytes the peer's connection took. Nothing is lost when the future is dropped.
    pub async fn write_to(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        let written = if self.pieces.is_empty() {
            writer.write(&self.tail).await?
        } else {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let pieces = self.pieces.iter().map(|piece| &piece[..]);
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(pieces.chain([&self.tail[..]])) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            writer
                .write_vectored(slices.get(..count).unwrap_or_default())
                .await?
        };
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, mut written: usize) {
        while written > 0 {
            match self.pieces.front_mut() {
                Some(piece) if piece.len() > written => return piece.advance(written),
                Some(piece) => {
                    written -= piece.len();
                    self.pieces.pop_front();
                }
                None => return self.tail.advance(written.min(self.tail.len())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes a few bytes at a time.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..taken]);
            std::task::Poll::Ready(Ok(taken))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_was_added(
            sizes in prop::collection::vec(prop::collection::vec(prop_oneof![0..300_usize, 4000..9000_usize], 1..4), 1..6),
            width in 1..3000_usize,
        ) {
            let (mut output, mut expected) = (Output::default(), Vec::new());
            for (number, sizes) in sizes.iter().enumerate() {
                let frames: Vec<Bytes> = sizes.iter().map(|size| vec![number as u8; *size].into()).collect();
                for (index, frame) in frames.iter().enumerate() {
                    frames::put_header(&mut expected, frame.len(), index + 1 < frames.len());
                    expected.extend_from_slice(frame);
                }
                output.push(frames);
            }
            let mut narrow = Narrow(Vec::new(), width);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                while !output.is_empty() {
                    output.write_to(&mut narrow).await.unwrap();
                }
            });
            prop_assert!(narrow.0 == expected);
        }
    }
}

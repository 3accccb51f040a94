//! The frames of ZMTP.

pub mod frames;
pub mod small_bytes;

/// Answers to heartbeats that wait to be written; then nothing more is read.
pub const PONGS: usize = 4;

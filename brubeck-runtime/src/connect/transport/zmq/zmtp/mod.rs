//! ZMTP 3.0, as our own sockets speak it.
//!
//! The sockets of the `zeromq` crate believe every length that a peer announces, read and write one message at a time, each
//! by way of another task, do not notice that a peer is gone, and take its heartbeats for errors.

mod frames;
mod handshake;
mod incoming;
mod input;
mod output;

pub(super) use frames::{FrameLimits, Said, Violation};
pub(super) use handshake::{get_ready, greet, hear, introduce};
pub(super) use incoming::{CLOSED, Incoming, discard};
pub(super) use input::Input;
pub(super) use output::Output;

/// Answers to heartbeats that wait to be written; then nothing more is read.
pub(super) const PONGS: usize = 4;

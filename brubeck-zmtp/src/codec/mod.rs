//! The bytes of ZMTP 3.1, without I/O.
//!
//! This module parses everything that a peer sends: [`check_greeting`], [`split_command`] and [`decode_ready`] read the
//! handshake, [`FrameDecoder`] reads what follows it. All of it is pure and bounded: no length that a peer announces is
//! believed before it is checked against a limit. The fuzz targets `zmtp_handshake` and `zmtp_frames` run it.

mod frame;
mod handshake;

pub use frame::{Decoded, FrameDecoder, FrameLimits, Violation, encode_header};
pub use handshake::{
    CommandProgress, GREETING_SIZE, HandshakeError, MAX_IDENTITY, MAX_READY, SocketType, check_greeting,
    decode_ready, encode_ready, greeting, split_command,
};

//! The codec of ZMTP 3.1, without I/O.
//!
//! [`check_greeting`], [`split_command`] and [`decode_ready`] parse the handshake of a peer. [`FrameDecoder`] parses the
//! frames after the handshake. Each announced length is checked against a limit before memory is allocated for it. The fuzz
//! targets `zmtp_handshake` and `zmtp_frames` test this module.

mod frame;
mod handshake;

pub use frame::{Decoded, FrameDecoder, FrameLimits, Violation, encode_header};
pub use handshake::{
    CommandProgress, GREETING_SIZE, HandshakeError, MAX_IDENTITY, MAX_READY, SocketType, check_greeting,
    decode_ready, encode_ready, greeting, split_command,
};

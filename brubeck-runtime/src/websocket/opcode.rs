//! The first byte of a frame (RFC 6455, section 5.2): its opcode, and a reserved bit.

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
/// The bit RSV1, which marks a compressed message (RFC 7692).
pub(crate) const RSV1: u8 = 0x40;

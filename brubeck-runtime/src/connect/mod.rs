//! Frames over sockets.

pub mod transport;

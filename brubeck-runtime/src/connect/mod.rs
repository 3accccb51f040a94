//! Where messages meet sockets.

pub mod transport;

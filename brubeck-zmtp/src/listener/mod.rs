//! Bound sockets.

pub mod bind;
pub mod limits;

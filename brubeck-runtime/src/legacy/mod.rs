//! The dialects of the Python original: their wire, and both sides of a call in them.

pub(crate) mod client;
pub mod codec;
pub(crate) mod server;

//! The runtime of brubeck.

pub mod wire;

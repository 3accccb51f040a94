//! The runtime of brubeck.

pub mod connect;

//! brubeck.

pub use brubeck_runtime::wire;

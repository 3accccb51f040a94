//! Deflated messages, where client and server agree to them and the feature `deflate` is there.

#[cfg(not(feature = "deflate"))]
mod absent;
#[cfg(feature = "deflate")]
mod agreed;

#[cfg(not(feature = "deflate"))]
pub(crate) use absent::Deflate;
#[cfg(feature = "deflate")]
pub(crate) use agreed::Deflate;

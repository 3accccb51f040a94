//! Deflated messages, where client and server agree to them and the feature `deflate` is there.

#[cfg(not(feature = "deflate"))]
mod disabled;
#[cfg(feature = "deflate")]
mod permessage;

#[cfg(not(feature = "deflate"))]
pub(crate) use disabled::NoDeflate as Deflate;
#[cfg(feature = "deflate")]
pub(crate) use permessage::PermessageDeflate as Deflate;

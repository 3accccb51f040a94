//! The extension `permessage-deflate` (RFC 7692). Without the feature `deflate`, it is never negotiated.

#[cfg(not(feature = "deflate"))]
mod disabled;
#[cfg(feature = "deflate")]
mod permessage;

#[cfg(not(feature = "deflate"))]
pub(crate) use disabled::NoDeflate as Deflate;
#[cfg(feature = "deflate")]
pub(crate) use permessage::PermessageDeflate as Deflate;

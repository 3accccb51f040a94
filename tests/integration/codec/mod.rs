//! Property tests of the codecs for Mongrel2 and the legacy service protocol.

mod properties;

//! Property tests of every codec.

mod properties;

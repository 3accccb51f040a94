//! The dialects of the Python original.

mod codec;

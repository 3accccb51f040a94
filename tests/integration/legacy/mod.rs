//! The dialects of the Python original.

mod codec;
mod interop;

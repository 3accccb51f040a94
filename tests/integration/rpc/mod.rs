//! The wire between brubeck applications, as docs/protocol.md describes it.

mod python;

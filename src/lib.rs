//! brubeck.


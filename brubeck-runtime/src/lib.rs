//! The runtime of brubeck.

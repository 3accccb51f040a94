//! The programs in `examples/` and in the README.

mod demo;
mod login;
mod readme;

//! The programs of `examples/` and of README.

mod demo;
mod login;
mod readme;

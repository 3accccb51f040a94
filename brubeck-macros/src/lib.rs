//! The attributes and derives of brubeck; documented where the `brubeck` crate re-exports them.

mod automaton;
mod error;
mod item;
mod pattern;

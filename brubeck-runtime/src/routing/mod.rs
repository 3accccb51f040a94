//! Routes: the const table, its proofs in constant evaluation, and matching at run time.
//!
//! The first pattern that matches the start of the path wins, before the method is looked at; handlers with
//! the same pattern text form one resource.

pub(crate) mod captures;

mod automaton;
mod dfa;
mod matcher;
mod proofs;
mod router;
mod table;

pub use matcher::RouteMatcher;
pub(crate) use proofs::find_unhandled_response;
pub use proofs::{NowaitCalls, Unreachable, check_answered, check_served, emit_error, shadow_checks};
pub(crate) use router::{Match, Router};
pub use table::{
    BoxFuture, Checked, Entry, HandlerFn, Listed, RouteHandler, Routes, entry, join, join_specs, specs, table,
};

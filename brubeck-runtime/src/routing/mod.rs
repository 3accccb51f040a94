//! The route table: a constant, checked in constant evaluation and matched at run time.
//!
//! The first pattern that matches the path decides; its method is compared after that. Handlers with the same pattern text
//! form one resource.
//!
//! - `table` holds the constant that `routes!` makes, `proofs` its checks;
//! - `automaton` reads the automaton of one pattern, which the attribute macros have built;
//! - `router` finds the handler of a request: `dfa` finds the first route that matches, `captures` the captures of the path.

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

//! Routes: the const table, its proofs in constant evaluation, and matching at run time.
//!
//! The first pattern that matches the start of the path wins, before the method is looked at; handlers with
//! the same pattern text form one resource.

pub(crate) mod captures;

mod automaton;
mod dfa;
mod matching;
mod proofs;
mod router;
mod table;

pub use matching::Matching;
pub(crate) use proofs::lost_answer;
pub use proofs::{Sends, Unreachable, check_answered, check_served, report, verdicts};
pub(crate) use router::{Match, Router};
pub use table::{
    BoxFuture, Checked, Entry, Handle, HandlerFn, Listed, Routes, entry, join, join_specs, specs, table,
};

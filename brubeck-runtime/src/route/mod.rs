//! Routes: the const table, its proofs in constant evaluation, and matching at run time.
//!
//! The first pattern that matches the start of the path wins, before the method is looked at; handlers with
//! the same pattern text form one resource.

mod automaton;
mod captures;
mod course;
mod coverage;
mod inclusion;
mod matching;
mod merged;
mod prefix;
mod router;
mod sends;
mod served;
mod spec;
mod table;
mod text;
mod verdict;

pub(crate) use captures::Captures;
pub use coverage::Unreachable;
pub use matching::Matching;
pub(crate) use router::{Match, Router};
pub use sends::Sends;
pub(crate) use sends::lost_answer;
pub use served::{check_answered, check_served};
pub use spec::Spec;
pub use table::{BoxFuture, Checked, Entry, Handle, HandlerFn, Listed, Routed, Routes};
pub use table::{entry, join, join_specs, specs, table};
pub use verdict::{report, verdicts};

//! The checks of a route table: in constant evaluation, at start, and in a test.

mod bodies;
mod contracts;
mod prefix_index;
mod reachability;
mod responses;
mod shadowing;
mod subset;

pub use bodies::check_body;
pub(crate) use contracts::is_answered;
pub use contracts::{check_answered, check_served};
pub use reachability::Unreachable;
pub use responses::NowaitCalls;
pub(crate) use responses::find_unhandled_response;
pub use shadowing::{emit_error, first_errors, shadow_checks};
pub(crate) use subset::{Relation, relation};

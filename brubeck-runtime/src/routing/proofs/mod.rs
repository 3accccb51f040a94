//! What is proven of a route table in constant evaluation.

mod contracts;
mod reachability;
mod responses;
mod shadowing;
mod subset;
mod text;

pub use contracts::{check_answered, check_served};
pub use reachability::Unreachable;
pub use responses::NowaitCalls;
pub(crate) use responses::find_unhandled_response;
pub use shadowing::{emit_error, shadow_checks};

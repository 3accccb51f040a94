//! What is proven of a route table in constant evaluation.

mod contracts;
mod coverage;
mod responses;
mod shadowing;
mod subset;
mod text;

pub use contracts::{check_answered, check_served};
pub use coverage::Unreachable;
pub use responses::Sends;
pub(crate) use responses::lost_answer;
pub use shadowing::{report, verdicts};

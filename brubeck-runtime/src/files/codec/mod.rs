//! The parts of a request that select a file and a part of it, parsed from untrusted text.

pub(super) mod conditions;
mod content_coding;
mod file_name;
mod ranges;

pub use conditions::{EntityTag, Precondition, Validators};
pub use content_coding::{ContentCoding, accepted_codings};
pub use file_name::FileName;
pub use ranges::{RangeSelection, select_ranges};

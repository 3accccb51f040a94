//! What the lanes share: child processes and what they use, medians, tables, pictures, and the sides that are compared.

pub mod chart;
pub mod child;
pub mod document;
pub mod figures;
pub mod latencies;
pub mod load;
pub mod machine;
pub mod sides;
pub mod table;
pub mod usage;
pub mod work;

/// What may go wrong is said once, to whoever runs the lane.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result of this crate.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

//! Shared parts of the benchmarks: child processes and their usage, medians, tables, charts, and the sides that are
//! compared.

pub mod chart;
pub mod child;
pub mod document;
pub mod figures;
pub mod latencies;
pub mod load;
pub mod machine;
pub mod program;
pub mod sides;
pub mod table;
pub mod usage;
pub mod work;

/// Any error of a benchmark.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result type of this crate.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

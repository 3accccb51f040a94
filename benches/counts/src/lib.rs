//! Instruction counts of the hot paths of brubeck.
//!
//! `cargo run --release -p brubeck-counts -- v3-decode` executes one path. A test runs it under
//! `valgrind --tool=callgrind` and compares the counts with `baseline.txt`:
//!
//! ```sh
//! cargo test --profile counts -p brubeck-counts                      # fails if a count differs by more than 5 %
//! COUNTS=overwrite cargo test --profile counts -p brubeck-counts     # rewrites the baseline; review the diff
//! ```
//!
//! The comparison is skipped if the baseline was written with another compiler or, outside of CI, if valgrind is missing.
//!
//! Instructions of the C library and of hash functions are not counted, because they differ between CPUs. The number of
//! allocations is counted, too.

pub mod baseline;
pub mod callgrind;
pub mod paths;
pub mod table;

/// Any error of this crate.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result type of this crate.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

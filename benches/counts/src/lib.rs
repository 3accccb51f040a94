//! Instruction counts of the hot paths of brubeck.
//!
//! `cargo run --release -p brubeck-counts -- v2-decode` executes one path. A test runs it under
//! `valgrind --tool=callgrind` and compares the counts with `baseline.txt`:
//!
//! ```sh
//! cargo test --profile counts -p brubeck-counts                      # fails if a count differs by more than 5 %
//! COUNTS=overwrite cargo test --profile counts -p brubeck-counts     # rewrites the baseline; review the diff
//! ```
//!
//! The C library and the hash functions are not counted, because they use different instructions on different CPUs.
//! Allocations are counted, too.

pub mod baseline;
pub mod callgrind;
pub mod paths;
pub mod table;

/// Any error of this crate.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result type of this crate.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

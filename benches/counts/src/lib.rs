//! How many instructions the hot paths of brubeck take.
//!
//! `cargo run --release -p brubeck-counts -- v2-decode` walks one path; under `valgrind --tool=callgrind` a test counts
//! what that takes, and compares it with `baseline.txt`:
//!
//! ```sh
//! cargo test --profile counts -p brubeck-counts                      # within 5 %?
//! COUNTS=overwrite cargo test --profile counts -p brubeck-counts     # writes the baseline anew; read the difference
//! ```
//!
//! Only instructions of the program itself count, without the C library, whose `memcpy` differs from machine to machine,
//! and without the hashes, for which processors have instructions of their own. Allocations are counted beside them.

pub mod baseline;
pub mod callgrind;
pub mod paths;
pub mod table;

/// What may go wrong is said once.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A result of this crate.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

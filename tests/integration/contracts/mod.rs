//! Contracts: typed calls, their bytes and their outcomes, and the schemas that a service publishes.

mod bytes;
mod differences;
mod endings;
mod outcomes;
mod paths;
mod problems;
mod round_trip;
mod schema;
mod templates;
mod values;

//! Contracts: typed calls, and the schemas that a service publishes.

mod round_trip;
mod schema;

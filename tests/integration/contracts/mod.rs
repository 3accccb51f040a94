//! Contracts: what both sides of a call are typed by, and how a service describes it.

mod round_trip;
mod schema;

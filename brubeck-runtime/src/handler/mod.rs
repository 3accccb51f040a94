//! How a handler runs.

mod application;
pub(crate) mod blocking;
mod latency;
mod panics;
mod request_validation;
#[cfg(feature = "schema")]
pub(crate) mod schema;

pub use application::{Answer, Application, AtOnce, Called, Connection, Opened, Stop};
pub(crate) use latency::{Quickness, Timed};
pub(crate) use panics::Caught;
pub(crate) use request_validation::unhygienic;

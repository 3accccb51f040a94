//! Queues.

pub mod bounded;
pub mod counts;
pub mod events;

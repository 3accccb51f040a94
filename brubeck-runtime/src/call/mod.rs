//! Calls to services: what is asked, what comes back, and everything that can go wrong between.
//!
//! Nothing here knows a socket: a [`Link`] carries a [`Request`] and brings the answer.

mod address;
mod answer;
mod client;
mod error;
mod fault;
mod link;
mod request;
mod services;

pub use address::ServiceAddress;
pub use answer::{Answer, Handled};
pub use client::{Call, Client, WithHandler};
pub use error::{CallError, Phase};
pub use fault::Fault;
pub use link::{Link, Origin, ResponseHandlers};
pub use request::Request;
pub use services::Services;

pub(crate) use client::Caller;

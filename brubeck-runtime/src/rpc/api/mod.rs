//! Calls to services: what is asked, what comes back, and everything that can go wrong between.
//!
//! Nothing here knows a socket: a [`Link`] carries a [`Request`] and brings the answer.

mod address;
mod answer;
mod client;
mod contract;
mod deadline;
mod dialect;
mod error;
#[cfg(feature = "metrics")]
pub(crate) mod measured;
mod request;
mod services;

pub use address::ServiceAddress;
pub use answer::{Answer, Handled};
pub use client::{Call, Client, Nowait, WithHandler};
pub use contract::{
    AnswerOf, Carried, HandledCall, Handles, Operation, TypedAnswer, TypedCall, Wire, carried,
};
pub use deadline::{Cancellation, Deadline};
pub use dialect::Dialect;
pub use error::{CallError, Fault, Phase};
pub use request::Request;
pub use services::{Link, Origin, Placed, ResponseHandlers, Services};

pub(crate) use client::Caller;
pub(crate) use request::Fields;
pub(crate) use services::Open;

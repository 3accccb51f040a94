//! Calls to services: what is asked, what comes back, and everything that can go wrong between.
//!
//! Nothing here knows a socket: a [`Link`] carries a [`Request`] and brings the answer.

mod address;
mod answer;
mod client;
mod contract;
mod deadline;
mod error;
#[cfg(feature = "metrics")]
pub(crate) mod measured;
mod request;
mod services;

pub use address::ServiceAddress;
pub use answer::{Answer, Handled};
pub use client::{Call, Client, Nowait, WithHandler};
pub use contract::{AnswerOf, Carried, Handles, Operation, Wire, carried};
pub use contract::{HandledCall, TypedAnswer, TypedCall};
pub use deadline::Cancellation;
pub use deadline::Deadline;
pub use error::Fault;
pub use error::{CallError, Phase};
pub use request::Request;
pub use services::Services;
pub use services::{Link, Origin, Placed, ResponseHandlers};

pub(crate) use client::Caller;
pub(crate) use request::Fields;
pub(crate) use services::Open;

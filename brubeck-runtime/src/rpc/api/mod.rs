//! Calls to services: what is asked, what comes back, and everything that can go wrong between.
//!
//! Nothing here knows a socket: a [`Link`] carries a [`Request`] and brings the answer.

mod address;
mod answer;
mod cancellation;
mod client;
mod contract;
mod deadline;
mod error;
mod fault;
mod fields;
mod link;
#[cfg(feature = "metrics")]
pub(crate) mod measured;
mod operation;
mod request;
mod services;

pub use address::ServiceAddress;
pub use answer::{Answer, Handled};
pub use cancellation::Cancellation;
pub use client::{Call, Client, Nowait, WithHandler};
pub use contract::{HandledCall, TypedAnswer, TypedCall};
pub use deadline::Deadline;
pub use error::{CallError, Phase};
pub use fault::Fault;
pub use link::{Link, Origin, Placed, ResponseHandlers};
pub use operation::{AnswerOf, Carried, Handles, Operation, Wire, carried};
pub use request::Request;
pub use services::Services;

pub(crate) use client::Caller;
pub(crate) use fields::Fields;
pub(crate) use services::Open;

//! Contracts, clients and calls: requests, responses and errors.
//!
//! This module uses no sockets. A [`Link`] sends a [`ServiceRequest`] and returns the future of its response.

mod address;
mod client;
mod contract;
mod deadline;
mod decode;
mod dialect;
mod error;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
mod request;
mod response;
mod runtimes;
mod services;
mod timer;

pub use address::ServiceAddress;
pub use client::{Call, Client, HandledCall, Nowait};
pub use contract::{
    BodyCodec, Handles, Operation, ResponseOf, TypedCall, TypedHandledCall, TypedResponse, Wire, body_codec,
};
pub use deadline::{Cancellation, Deadline};
pub use dialect::Dialect;
pub use error::{CallError, Phase};
pub use request::ServiceRequest;
pub use response::{Handled, ResponseBody, ServiceResponse};
pub(crate) use services::ResponseHandlers;
pub use services::{Link, Origin, PendingResponse, Services};

pub(crate) use client::CallerContext;
pub(crate) use request::JsonObjectWriter;
pub(crate) use response::CallTarget;
pub(crate) use runtimes::RuntimeLinks;
pub(crate) use services::OpenLink;
pub(crate) use timer::DeadlineTimer;

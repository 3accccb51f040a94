//! Contracts, clients and calls: requests, responses and errors.
//!
//! This module uses no sockets. A [`Link`] sends a [`ServiceRequest`] and returns the future of its response.

mod address;
mod call;
mod call_end;
mod call_id;
mod call_site;
mod client;
mod contract;
mod credentials;
mod deadline;
mod decode;
mod detached_calls;
mod dialect;
mod error;
mod error_reason;
mod error_text;
mod handled_call;
mod layer;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
mod network;
mod nowait;
mod object_writer;
mod request;
mod response;
mod runtimes;
mod sending;
mod service_name;
mod services;
mod timer;
mod typed_call;

pub use crate::key_pin::KeyPin;
pub use address::ServiceAddress;
pub(crate) use address::working_folder;
pub use call::Call;
pub use call_id::{CallId, InvalidCallId};
pub use call_site::CallSite;
pub use client::Client;
pub use contract::{
    ArgumentType, BodyCodec, Handles, Operation, OperationResult, ResponseOf, Wire, body_codec,
};
pub use credentials::{Credentials, KeyPair};
pub use deadline::{Cancellation, Deadline};
pub(crate) use detached_calls::DetachedCalls;
pub use dialect::Dialect;
pub use error::{CallError, Phase};
pub use error_reason::CallErrorReason;
pub use handled_call::HandledCall;
pub use layer::ClientService;
pub use nowait::Nowait;
pub use request::ServiceRequest;
pub use response::{Handled, ResponseBody, ServiceResponse};
pub(crate) use services::ResponseHandlers;
pub use services::{Link, Origin, PendingResponse, Services};
pub use typed_call::{TypedCall, TypedCallFuture, TypedHandledCall, TypedResponse};

pub(crate) use call_end::CallEnd;
pub use call_end::{CallResult, ResultOfCall};
pub(crate) use client::CallerContext;
#[cfg(feature = "services")]
pub(crate) use credentials::{CredentialKind, KeySource};
pub(crate) use network::{OpenLink, ServiceNetwork};
pub(crate) use object_writer::{JsonObjectWriter, merge_objects};
pub(crate) use response::CallTarget;
pub(crate) use runtimes::RuntimeLinks;
pub(crate) use service_name::{NamedAddress, check_service_name};
pub(crate) use timer::DeadlineTimer;

//! How a handler runs: what front ends see of an application, and everything clever about where a handler runs.
//!
//! # Where a handler runs
//!
//! A request is read by the task of its connection. Handing it to another task costs a few microseconds, which is more than
//! most handlers take, so a handler is first polled where its request was read ([`poll_inline`]), with a waker that does
//! nothing: if the response is there, no task was needed; if it is not, the future goes on where it is waited for, and is
//! polled again before anything can have woken it.
//!
//! Polling inline is right only for handlers that do not block: others wait meanwhile. So three questions are answered apart.
//!
//! * **Who waits?** [`DispatchMode`] is the front end's answer. On an HTTP/1 connection nothing else can go on until the
//!   response is there, so its handler is always polled inline. On HTTP/2 and behind Mongrel2 one task has many requests: there
//!   a handler is polled inline only if it has been fast, or not at all.
//! * **Has this handler been fast?** [`LatencyTracker`] counts responses that took no longer than it costs to hand a request
//!   on. A streak of them earns inline polls. A slow one inline doubles the streak that is asked for next time, up to a bound,
//!   so a handler that is slow now and then soon gets tasks of its own; a long time without a slow one earns trust back.
//! * **Did it block its thread?** A handler that kept a worker thread for more than a millisecond has kept everything on that
//!   thread waiting: tokio lets idle threads sleep while one is busy, and a sleeping thread does not know that sockets are
//!   ready. For the next thousand requests of such a handler [`PollTimer::wake_others`] wakes a second thread before it runs.
//!
//! A handler that says that it blocks (`#[service_handler(.., blocking)]`) runs on a thread where it may ([`blocking`]), and
//! takes its slot of the service there. A panic is caught where the handler is polled ([`CatchPanic`]) and becomes a response.
//! A timeout, a caller that has gone and a cancellation drop the future; nothing else stops a handler.

mod application;
pub(crate) mod blocking;
mod latency;
mod panics;
mod request_validation;
#[cfg(feature = "schema")]
pub(crate) mod schema;

pub use application::{
    Application, CallFuture, Connection, DispatchMode, HttpResponseFuture, OpenConnection, Stop,
};
pub(crate) use latency::{LatencyTracker, PollTimer, poll_inline};
pub(crate) use panics::CatchPanic;
pub(crate) use request_validation::validate_request;

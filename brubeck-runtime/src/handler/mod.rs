//! Runs handlers: the interface between front ends and applications, and all decisions about scheduling.
//!
//! # Where a handler runs
//!
//! The task of a connection reads a request. Moving the request to another task costs microseconds, often more than the
//! handler takes. A front end may therefore poll a handler *inline*: once, in the task that read the request, with
//! a waker that does nothing ([`poll_inline`]). If the response is ready, no task was needed. Otherwise the future moves to
//! the place that awaits the response, and is polled again there with a real waker, so no wakeup is lost.
//!
//! Inline polls are right only for handlers that do not block, because other requests of the task have to wait. Three
//! decisions are kept apart:
//!
//! * **Does another request wait?** The front end decides ([`DispatchMode`]). An HTTP/1 connection can do nothing else until
//!   it has the response, so its handlers are polled inline, unless the application has layers. With HTTP/2 and Mongrel2 one
//!   task serves many requests: with HTTP/2 no handler is polled inline, with Mongrel2 only one that has been fast.
//! * **Has this handler been fast?** [`LatencyTracker`] counts consecutive responses within 20 microseconds. A long enough
//!   streak enables inline polls. A response that is slow after an inline poll ends the streak
//!   and doubles the length that is required the next time, so a handler that is slow now and then soon gets its own tasks. A
//!   much longer streak lowers the requirement again.
//! * **Did the handler block its thread?** A poll of more than a millisecond blocks a worker thread of tokio, and with it the
//!   tasks in its queue. If all other worker threads are parked, no thread polls the I/O driver either. For the next thousand
//!   requests of such a handler, [`PollTimer::wake_others`] wakes a second thread before the handler runs. The
//!   watchdog (`brubeck_zmtp::watchdog`) does so for a handler that blocks for the first time, and keeps the connections of services
//!   alive if all threads are blocked. It needs their tasks unlocked: a service polls handlers inline after the poll of the connection.
//!
//! A handler that is declared as blocking (`#[service_handler(.., blocking)]`) runs on a thread of tokio's blocking pool
//! (see [`blocking`]). [`CatchPanic`] turns a panic into a response. A timeout, a disconnected client or caller, a cancellation
//! and the end of a shutdown drop the future of the handler; nothing else stops it.

mod application;
pub(crate) mod arguments;
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
pub(crate) use panics::{CatchPanic, HandlerEnvironment};
pub(crate) use request_validation::validate_request;

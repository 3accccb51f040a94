//! Tests of brubeck as a whole, in one program: one folder for each subject, and `support` for what they share.
//!
//! All tests run in parallel in one process. A test that changes the process itself (signal handlers, limits, variables of
//! the environment) runs in a process of its own: see `support::child`.

mod support;

mod calls;
mod chaos;
mod codec;
mod contracts;
mod equality;
mod examples;
mod legacy;
mod mongrel2;
mod rpc;
mod web;
mod websocket;

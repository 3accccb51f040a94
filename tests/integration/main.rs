//! Integration tests of brubeck, in one program: a folder for each subject, and shared helpers in `support`.
//!
//! All tests run in parallel in one process. A test that changes process-wide state (signal handlers, limits,
//! environment variables) runs in a process of its own: see `support::child`.

mod support;

mod calls;
mod chaos;
mod codec;
mod contracts;
mod equality;
mod examples;
mod in_memory;
mod legacy;
mod lifecycle;
mod mongrel2;
mod rpc;
mod web;
mod websocket;

//! WebSockets, behind a real Mongrel2 and on the embedded server.

mod broadcast;
mod bursts;
mod cases;
mod conformance;
mod deflate;
mod http2;
mod lifecycle;
mod opening;
mod python;

//! WebSockets, behind a real Mongrel2 and on the embedded server.

mod broadcast;
mod cases;
mod conformance;
mod deflate;
mod lifecycle;
mod python;

//! Mongrel2 point by point, against the real server; what a WebSocket does is also asked of the embedded one.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod conformance;
mod control;
mod crowd;
mod deflate;
mod laboratory;
mod link;
mod messages;
mod python;
mod quick;
mod replies;
mod restarts;
mod running;
mod sockets;
mod uploads;
mod waiting;
mod wire;

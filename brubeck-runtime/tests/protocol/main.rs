//! The protocol between callers and workers: its wire, one session, and many in a simulated network.

mod session;
mod simulation;
mod wire;

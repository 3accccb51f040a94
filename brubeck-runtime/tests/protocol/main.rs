//! Tests of brubeck's protocol: its codec, one session, and many sessions in a simulated network.

mod contracts;
mod session;
mod simulation;
mod wire;

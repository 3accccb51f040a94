//! Calls between brubeck applications: the public API (`api`), brubeck's protocol as state machines (`core`) and its codec
//! (`codec`), and both sides over ZeroMQ connections (`client`, `server`).

pub(crate) mod api;
pub(crate) mod client;
pub mod codec;
pub(crate) mod convert;
#[doc(hidden)]
pub mod core;
#[doc(hidden)]
pub mod driver;
pub(crate) mod server;

//! Calls between brubeck applications: the public API (`api`), brubeck's protocol as state machines (`core`) and its codec
//! (`codec`), and both sides over ZeroMQ connections (`client`, `server`).

pub(crate) mod api;
#[cfg(feature = "services")]
pub(crate) mod client;
#[cfg(feature = "services")]
pub mod codec;
#[cfg(feature = "services")]
pub(crate) mod convert;
#[cfg(feature = "services")]
#[doc(hidden)]
pub mod core;
#[cfg(feature = "services")]
#[doc(hidden)]
pub mod driver;
#[cfg(feature = "services")]
pub(crate) mod server;

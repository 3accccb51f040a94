//! Calls between brubeck applications: the public API (`api`), brubeck's protocol as state machines (`core`), its codec
//! (`codec`), and both sides over ZeroMQ connections (`client`, `server`). `driver` executes the state machines, and `convert`
//! converts between the types of the API and those of the codec.

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
pub(crate) mod sealed;
#[cfg(feature = "services")]
pub(crate) mod server;

//! Calls between brubeck applications: the contract and its calls (`api`), the protocol without a socket (`core`), its wire
//! (`codec`), and both sides over connections (`client`, `server`).

pub(crate) mod api;
pub(crate) mod client;
pub mod codec;
pub(crate) mod convert;
#[doc(hidden)]
pub mod core;
#[doc(hidden)]
pub mod driver;
pub(crate) mod server;

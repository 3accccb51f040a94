//! Web handlers, tested over HTTP, in memory, through tower layers and with hostile input.

mod cookies;
mod errors;
mod extractors;
mod front_end;
mod hooks;
mod replies;
mod security;
mod server;
mod timeouts;
mod tower;

//! Web handlers as a browser, a test, a layer and an attacker see them.

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

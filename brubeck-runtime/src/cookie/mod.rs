//! The cookies of a request: what the browser sent, and signed ones that it cannot change.

mod jar;
mod outbox;
mod secret;
mod signed;

pub use jar::Cookies;
pub(crate) use outbox::Outbox;
pub use secret::CookieSecret;
pub(crate) use secret::Keys;
pub use signed::SignedCookies;
pub(crate) use signed::{MAX_AGE, signed};

//! The extractor for signed cookies.

use super::{Cookie, Cookies, SigningKeys};
use std::time::{Duration, SystemTime};

/// The default time for which a signature is valid: 14 days.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Extractor for cookies that are signed with the cookie secret of the application, so that clients cannot change them.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[post("^/vote/(?<choice>[a-z]+)$")]
/// async fn vote(choice: String, cookies: SignedCookies) -> Result<&'static str, Status> {
///     if cookies.get("voted").is_some() {
///         return Err(Status::new(409).message("you have voted already"));
///     }
///     cookies.set(Cookie::new("voted", choice));
///     Ok("thank you")
/// }
/// ```
///
/// The signature (HMAC-SHA256) covers the name, the value and the time of signing. It is valid for 14 days, even if the browser
/// keeps the cookie longer; use [`get_within`](SignedCookies::get_within) for another time. Values are not encrypted, so users can read
/// them.
///
/// Rejects with 500 unless [`App::cookie_secret`](crate::App::cookie_secret) is set.
#[derive(Clone, Debug)]
pub struct SignedCookies {
    cookies: Cookies,
    keys: SigningKeys,
}

impl SignedCookies {
    pub(crate) fn new(cookies: Cookies, keys: SigningKeys) -> SignedCookies {
        SignedCookies { cookies, keys }
    }

    /// Returns the value of a cookie. Returns `None` if the cookie is missing, its signature is invalid or older than 14 days, or its value
    /// is not UTF-8.
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_within(name, DEFAULT_MAX_AGE)
    }

    /// Returns the value of a cookie, as [`get`](SignedCookies::get) does, with another maximum age.
    pub fn get_within(&self, name: &str, max_age: Duration) -> Option<String> {
        self.verified(name, max_age)
            .and_then(|(value, _)| String::from_utf8(value).ok())
    }

    /// Returns the value and the age of a cookie with a valid signature.
    pub(crate) fn verified(&self, name: &str, max_age: Duration) -> Option<(Vec<u8>, Duration)> {
        self.keys
            .verify(name, &self.cookies.get(name)?, max_age, SystemTime::now())
    }

    /// Signs and sets a cookie. Its maximum age in the browser is 14 days unless it has another one.
    pub fn set(&self, cookie: Cookie) {
        self.cookies.set(sign(cookie, &self.keys));
    }

    /// Removes a cookie that was set for the path `/` and without a domain.
    pub fn remove(&self, name: &str) {
        self.cookies.remove(name);
    }
}

/// Replaces the value of a cookie with the signed value.
pub(crate) fn sign(cookie: Cookie, keys: &SigningKeys) -> Cookie {
    let value = keys.sign(cookie.name(), cookie.value().as_bytes(), SystemTime::now());
    cookie.with_value_and_default_age(value, DEFAULT_MAX_AGE)
}

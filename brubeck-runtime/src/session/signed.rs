//! Signed cookies as a handler argument.

use super::{Cookie, Cookies, SigningKeys};
use std::time::{Duration, SystemTime};

/// How long a signed cookie is believed unless it is asked otherwise: 14 days.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Cookies that the browser keeps and cannot change: signed with the application's cookie secret.
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
/// The signature (HMAC-SHA256) covers name, value and time of issue; a cookie is believed for 14 days, whatever
/// the browser does. It is not encrypted: the user can read it. Needs [`App::cookie_secret`](crate::App::cookie_secret).
#[derive(Clone, Debug)]
pub struct SignedCookies {
    cookies: Cookies,
    keys: SigningKeys,
}

impl SignedCookies {
    pub(crate) fn new(cookies: Cookies, keys: SigningKeys) -> SignedCookies {
        SignedCookies { cookies, keys }
    }

    /// The value of a cookie that was signed here no more than 14 days ago.
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_within(name, MAX_AGE)
    }

    /// The value of a cookie that was signed here no longer ago than this.
    pub fn get_within(&self, name: &str, max_age: Duration) -> Option<String> {
        self.verified(name, max_age)
            .and_then(|(value, _)| String::from_utf8(value).ok())
    }

    pub(crate) fn verified(&self, name: &str, max_age: Duration) -> Option<(Vec<u8>, Duration)> {
        self.keys
            .verify(name, &self.cookies.get(name)?, max_age, SystemTime::now())
    }

    /// Signs the cookie and tells the browser to keep it: for 14 days unless it says otherwise.
    pub fn set(&self, cookie: Cookie) {
        self.cookies.set(signed(cookie, &self.keys));
    }

    /// Tells the browser to forget the cookie of this name.
    pub fn remove(&self, name: &str) {
        self.cookies.remove(name);
    }
}

/// The cookie with its value signed.
pub(crate) fn signed(cookie: Cookie, keys: &SigningKeys) -> Cookie {
    let value = keys.sign(cookie.name(), cookie.value().as_bytes(), SystemTime::now());
    cookie.revalued(value, MAX_AGE)
}

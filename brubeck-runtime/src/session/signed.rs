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
    /// is not UTF-8. See the example of [`SignedCookies`].
    ///
    /// For another maximum age, use [`get_within`](SignedCookies::get_within).
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_within(name, DEFAULT_MAX_AGE)
    }

    /// Returns the value of a cookie, as [`get`](SignedCookies::get) does, with another maximum age.
    ///
    /// ```
    /// use brubeck::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[get("^/confirmed$")]
    /// async fn confirmed(cookies: SignedCookies) -> &'static str {
    ///     match cookies.get_within("confirmation", Duration::from_secs(600)) {
    ///         Some(_) => "confirmed in the last ten minutes",
    ///         None => "please confirm again",
    ///     }
    /// }
    /// # const ROUTES: Routes<()> = routes![confirmed];
    /// ```
    ///
    /// Returns `None` if the cookie is missing, its signature is invalid or older than `max_age`, or its value is not UTF-8. The maximum age that
    /// [`set`](SignedCookies::set) gives the cookie in the browser is independent of this one.
    pub fn get_within(&self, name: &str, max_age: Duration) -> Option<String> {
        self.verified(name, max_age)
            .and_then(|(value, _)| String::from_utf8(value).ok())
    }

    /// Returns the value and the age of the first cookie of this name with a valid signature. A cookie that another page has set with the same
    /// name does not hide it.
    pub(crate) fn verified(&self, name: &str, max_age: Duration) -> Option<(Vec<u8>, Duration)> {
        let now = SystemTime::now();
        self.cookies
            .find(name, |value| self.keys.verify(name, value, max_age, now))
    }

    /// Signs and sets a cookie: see the example of [`SignedCookies`]. Its maximum age in the browser is 14 days unless it has another one.
    ///
    /// It replaces a cookie with the same name that was set before in this request, and a cookie that is not valid is not set, as with
    /// [`Cookies::set`].
    pub fn set(&self, cookie: Cookie) {
        self.cookies.set(sign(cookie, &self.keys));
    }

    /// Removes a cookie that was set for the path `/` and without a domain.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/vote/withdraw$")]
    /// async fn withdraw(cookies: SignedCookies) -> Redirect {
    ///     cookies.remove("voted");
    ///     Redirect::to("/")
    /// }
    /// # const ROUTES: Routes<()> = routes![withdraw];
    /// ```
    ///
    /// Use [`Cookies::forget`] for a cookie with another path or a domain.
    pub fn remove(&self, name: &str) {
        self.cookies.remove(name);
    }
}

/// Replaces the value of a cookie with the signed value.
pub(crate) fn sign(cookie: Cookie, keys: &SigningKeys) -> Cookie {
    let value = keys.sign(cookie.name(), cookie.value().as_bytes(), SystemTime::now());
    cookie.with_value_and_default_age(value, DEFAULT_MAX_AGE)
}

//! Cookies, signed cookies, and sessions that are stored in a signed cookie.

mod changes;
mod cookie;
mod cookies;
mod signed;
mod signing;

pub(crate) use changes::CookieChanges;
pub use cookie::{Cookie, SameSite};
pub use cookies::Cookies;
pub use signed::SignedCookies;
pub(crate) use signed::{DEFAULT_MAX_AGE, sign};
pub use signing::CookieSecret;
pub(crate) use signing::SigningKeys;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of the cookie that contains the session.
const SESSION_COOKIE: &str = "session";

/// The key of the user id in the session.
const USER_KEY: &str = "user";

/// Extractor for the session: values that the browser keeps for the application.
///
/// The session is a JSON object in a signed cookie with the name `session`.
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/visits$")]
/// async fn visits(session: Session) -> String {
///     let visits = session.get::<u32>("visits").unwrap_or(0) + 1;
///     session.set("visits", visits);
///     format!("visit {visits}")
/// }
/// ```
///
/// Browsers may ignore a cookie of more than 4 KiB, so keep the values small. Users can read the values, but not change them.
///
/// A session is valid for 14 days after its last change. It is renewed if it is used in the second half of that time.
///
/// The server stores nothing. A copy of the cookie is therefore still valid after [`log_out`](Session::log_out). If that is not
/// acceptable, use a session layer with a store.
///
/// Rejects with 500 unless [`App::cookie_secret`](crate::App::cookie_secret) is set.
#[derive(Clone, Debug, Default)]
pub struct Session(Arc<Mutex<SessionData>>);

#[derive(Debug, Default)]
struct SessionData {
    values: Map<String, Value>,
    changed: bool,
}

impl Session {
    pub(crate) fn open(cookies: &SignedCookies) -> Session {
        let Some((text, age)) = cookies.verified(SESSION_COOKIE, DEFAULT_MAX_AGE) else {
            return Session::default();
        };
        let values = serde_json::from_slice(&text).unwrap_or_default();
        Session(Arc::new(Mutex::new(SessionData {
            values,
            // Renews the cookie in the second half of its life.
            changed: age > DEFAULT_MAX_AGE / 2,
        })))
    }

    /// Returns a value. Returns `None` if it is missing or cannot be deserialized into `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.lock().values.get(name)?).ok()
    }

    /// Sets a value. A value that cannot be serialized is ignored, and an error is logged.
    pub fn set(&self, name: impl Into<String>, value: impl Serialize) {
        let (name, mut data) = (name.into(), self.lock());
        match serde_json::to_value(value) {
            Ok(value) => {
                data.values.insert(name, value);
                data.changed = true;
            }
            Err(error) => tracing::error!(name, %error, "could not serialize session value"),
        }
    }

    /// Removes a value.
    pub fn remove(&self, name: &str) {
        let mut data = self.lock();
        data.changed |= data.values.remove(name).is_some();
    }

    /// Removes all values.
    pub fn clear(&self) {
        let mut data = self.lock();
        data.changed |= !data.values.is_empty();
        data.values.clear();
    }

    /// Logs a user in: removes all values, including those of a previous user, and sets the user id, from which
    /// [`CurrentUser`](crate::CurrentUser) finds the user.
    pub fn log_in(&self, user_id: impl ToString) {
        self.clear();
        self.set(USER_KEY, user_id.to_string());
    }

    /// Logs the user out: removes all values.
    pub fn log_out(&self) {
        self.clear();
    }

    /// Returns the id of the user who is logged in. Returns `None` if no user is.
    pub fn user_id(&self) -> Option<String> {
        self.get(USER_KEY)
    }

    /// Returns the cookie with the session. Returns `None` if the session has not changed.
    pub(crate) fn changed_cookie(&self, keys: &SigningKeys) -> Option<Cookie> {
        let data = self.lock();
        if !data.changed {
            return None;
        }
        if data.values.is_empty() {
            // An empty session is removed from the browser instead of stored.
            return Some(Cookie::new(SESSION_COOKIE, "").expired());
        }
        let text = serde_json::to_string(&data.values).ok()?;
        Some(sign(Cookie::new(SESSION_COOKIE, text), keys))
    }

    fn lock(&self) -> MutexGuard<'_, SessionData> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{CookieSecret, *};

    #[test]
    fn only_changed_session_has_cookie() {
        let keys = CookieSecret::new([7; 32]).keys().unwrap();
        let session = Session::default();
        session.remove("a");
        session.clear();
        assert!(session.changed_cookie(&keys).is_none());
        session.log_in(7);
        assert_eq!(session.user_id().as_deref(), Some("7"));
        assert!(session.changed_cookie(&keys).unwrap().value().starts_with("v1."));
        session.log_out();
        assert_eq!(session.user_id(), None);
        assert_eq!(session.changed_cookie(&keys).unwrap().value(), "");
    }

    #[test]
    fn get_returns_none_for_other_type() {
        let session = Session::default();
        session.set("n", 7);
        assert_eq!(
            (session.get::<u8>("n"), session.get::<String>("n")),
            (Some(7), None)
        );
    }
}

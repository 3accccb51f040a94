//! A small state that the browser keeps for the application.

mod changes;
mod cookie;
mod cookies;
mod signed;
mod signing;

pub(crate) use changes::CookieChanges;
pub use cookie::{Cookie, SameSite};
pub use cookies::Cookies;
pub use signed::SignedCookies;
pub(crate) use signed::{MAX_AGE, signed};
pub use signing::CookieSecret;
pub(crate) use signing::SigningKeys;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of the cookie that carries the session.
const COOKIE: &str = "session";

/// Where a session holds who is logged in.
const USER: &str = "user";

/// What the application remembers of one browser: a JSON object in a signed cookie named `session`.
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
/// For a few small values: browsers keep 4 KiB. The user can read it but not change it. It lives 14 days after
/// its last change, and is renewed when it is used in the second half of that time. It lives in the browser alone,
/// so a copy of it stays valid after [`log_out`](Session::log_out); where that matters, use a session layer with
/// a store. Needs [`App::cookie_secret`](crate::App::cookie_secret).
#[derive(Clone, Debug, Default)]
pub struct Session(Arc<Mutex<SessionData>>);

#[derive(Debug, Default)]
struct SessionData {
    values: Map<String, Value>,
    changed: bool,
}

impl Session {
    pub(crate) fn open(cookies: &SignedCookies) -> Session {
        let Some((text, age)) = cookies.verified(COOKIE, MAX_AGE) else {
            return Session::default();
        };
        let values = serde_json::from_slice(&text).unwrap_or_default();
        Session(Arc::new(Mutex::new(SessionData {
            values,
            changed: age > MAX_AGE / 2,
        })))
    }

    /// The value of this name; `None` where it is missing or of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.lock().values.get(name)?).ok()
    }

    /// Remembers a value under this name; one that is not JSON is logged and not kept.
    pub fn set(&self, name: impl Into<String>, value: impl Serialize) {
        let (name, mut content) = (name.into(), self.lock());
        match serde_json::to_value(value) {
            Ok(value) => {
                content.values.insert(name, value);
                content.changed = true;
            }
            Err(error) => tracing::error!(name, %error, "a value of a session is not JSON"),
        }
    }

    /// Forgets the value of this name.
    pub fn remove(&self, name: &str) {
        let mut content = self.lock();
        content.changed |= content.values.remove(name).is_some();
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut content = self.lock();
        content.changed |= !content.values.is_empty();
        content.values.clear();
    }

    /// Forgets everything of before, and remembers who is logged in now.
    pub fn log_in(&self, user_id: impl ToString) {
        self.clear();
        self.set(USER, user_id.to_string());
    }

    /// Forgets everything, and who was logged in.
    pub fn log_out(&self) {
        self.clear();
    }

    /// Who is logged in.
    pub fn user_id(&self) -> Option<String> {
        self.get(USER)
    }

    /// The cookie that carries it, if it has changed.
    pub(crate) fn cookie(&self, keys: &SigningKeys) -> Option<Cookie> {
        let content = self.lock();
        if !content.changed {
            return None;
        }
        if content.values.is_empty() {
            return Some(Cookie::new(COOKIE, "").expired());
        }
        let text = serde_json::to_string(&content.values).ok()?;
        Some(signed(Cookie::new(COOKIE, text), keys))
    }

    fn lock(&self) -> MutexGuard<'_, SessionData> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{CookieSecret, *};

    #[test]
    fn only_a_change_sends_a_cookie() {
        let keys = CookieSecret::new([7; 32]).keys().unwrap();
        let session = Session::default();
        session.remove("a");
        session.clear();
        assert!(session.cookie(&keys).is_none());
        session.log_in(7);
        assert_eq!(session.user_id().as_deref(), Some("7"));
        assert!(session.cookie(&keys).unwrap().value().starts_with("v1."));
        session.log_out();
        assert_eq!(session.user_id(), None);
        assert_eq!(session.cookie(&keys).unwrap().value(), "");
    }

    #[test]
    fn values_have_types() {
        let session = Session::default();
        session.set("n", 7);
        assert_eq!(
            (session.get::<u8>("n"), session.get::<String>("n")),
            (Some(7), None)
        );
    }
}

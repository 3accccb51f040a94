//! Cookies, signed cookies, and sessions, which are stored in a signed cookie or on the server.

mod changes;
pub mod codec;
mod cookie;
mod cookies;
mod data;
mod late;
mod sessions;
mod signed;
mod signing;
mod store;

pub(crate) use changes::CookieChanges;
pub use cookie::{Cookie, SameSite};
pub use cookies::Cookies;
pub(crate) use late::LateReason;
pub use sessions::Sessions;
pub use signed::SignedCookies;
pub(crate) use signed::{DEFAULT_MAX_AGE, sign};
pub use signing::CookieSecret;
pub(crate) use signing::SigningKeys;
pub use store::{MemoryStore, SessionRecord, SessionStore};

use data::{Edit, Renewal, Saved, SessionCookie, SessionData};
use late::LateChanges;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The key of the user id in the session.
const USER_KEY: &str = "user";

/// Extractor for the session: values that belong to one browser.
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
/// By default, the session is a JSON object in a signed cookie. Users can read the values, but not change them. Browsers may ignore a cookie of more than
/// 4 KiB, so keep the values small. With [`App::sessions`](crate::App::sessions) the values are in a store on the server instead, and the
/// cookie has the id of the session.
///
/// The cookie is called `__Host-session`, which browsers accept from this host over TLS only. It is called `session` where cookies are
/// [not `Secure`](crate::Cookie). A session is valid for 14 days after its last change. It is renewed if it is used in the second half of that time.
///
/// # Requests at the same time
///
/// * **A logout lasts.** After [`log_out`](Session::log_out), this browser stays logged out, whatever a request that was on its way
///   sets, and until the user logs in with a request that is sent later. The browser keeps a second cookie for that,
///   `__Host-session-epoch`.
/// * **Different values** that two requests set are both kept by a store. In a cookie, the response that the browser receives last wins,
///   and the other change is lost: use a store if that matters. The same applies to the requests that create a session.
///
/// # After the response
///
/// The session is saved when the handler returns its response. What runs after that, such as the body of a `#[websocket]` handler, an event
/// stream or a task, can read the session. A change has no effect then, and is logged as an error with the name of the handler. A
/// handler with an [`Upgrade`](crate::Upgrade) changes the session before it accepts the WebSocket:
///
/// ```
/// use brubeck::prelude::*;
///
/// #[get("^/chat$")]
/// async fn chat(upgrade: Upgrade, session: Session) -> Response {
///     let visits = session.get::<u32>("chats").unwrap_or(0) + 1;
///     session.set("chats", visits);
///     upgrade.on(async move |mut socket: WebSocket| {
///         let name: Option<String> = session.get("name");
///         while let Some(message) = socket.recv().await {
///             println!("{name:?}: {message:?}");
///         }
///     })
/// }
/// # const ROUTES: Routes<()> = routes![chat];
/// ```
///
/// # Stolen cookies
///
/// [`log_in`](Session::log_in) begins a new session, so an id that an attacker planted before is worthless. With a store, `log_out` ends the session for every copy of its
/// cookie, and [`Sessions::revoke`] ends all sessions of a user. Without a store, a copy of the cookie is valid
/// until it expires, and `revoke` ends sessions in this process only.
///
/// Rejects with 500 unless [`App::cookie_secret`](crate::App::cookie_secret) is set.
#[derive(Clone, Debug, Default)]
pub struct Session(Arc<Mutex<SessionData>>);

/// Returns the name of the session cookie, and that of the cookie with the epoch.
const fn cookie_names(is_secure: bool) -> (&'static str, &'static str) {
    if is_secure {
        ("__Host-session", "__Host-session-epoch")
    } else {
        ("session", "session-epoch")
    }
}

impl Session {
    /// Reads the session of a request.
    pub(crate) async fn open(cookies: &SignedCookies, is_secure: bool, sessions: &Sessions) -> Session {
        let (session_name, epoch_name) = cookie_names(is_secure);
        let epoch = cookies
            .get(epoch_name)
            .and_then(|epoch| epoch.parse().ok())
            .unwrap_or(0);
        let opened = sessions.now();
        let mut data = SessionData {
            epoch,
            begun: opened,
            opened,
            sessions: sessions.clone(),
            ..SessionData::default()
        };
        let read = cookies
            .verified(session_name, DEFAULT_MAX_AGE)
            .and_then(|(text, age)| {
                let cookie: SessionCookie = serde_json::from_slice(&text).ok()?;
                (cookie.epoch >= epoch).then_some((cookie, age))
            });
        if let Some((cookie, age)) = read {
            data.read(cookie).await;
            // Renews the cookie in the second half of its life.
            data.changed = !data.values.is_empty() && age > DEFAULT_MAX_AGE / 2;
        }
        Session(Arc::new(Mutex::new(data)))
    }

    /// Returns a value. Returns `None` if there is no value of this name, or if it cannot be deserialized into `T`.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("/cart")]
    /// async fn cart(session: Session) -> String {
    ///     let dishes: Vec<String> = session.get("cart").unwrap_or_default();
    ///     dishes.join(", ")
    /// }
    /// # const ROUTES: Routes<()> = routes![cart];
    /// ```
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.lock().values.get(name)?).ok()
    }

    /// Sets a value, which replaces a value of the same name.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("/cart")]
    /// async fn order(session: Session, dish: Arg<String>) -> Redirect {
    ///     let mut dishes: Vec<String> = session.get("cart").unwrap_or_default();
    ///     dishes.push(dish.0);
    ///     session.set("cart", dishes);
    ///     Redirect::to("/cart")
    /// }
    /// # const ROUTES: Routes<()> = routes![order];
    /// ```
    ///
    /// A value that cannot be serialized is ignored, and an error is logged. The name `user` has the id of the user who is
    /// [logged in](Session::log_in), so do not set it.
    pub fn set(&self, name: impl Into<String>, value: impl Serialize) {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => {
                if let Some(mut data) = self.change("Session::set", &name) {
                    data.edit(Edit::Set(name, value));
                }
            }
            Err(error) => tracing::error!(name, %error, "could not serialize session value"),
        }
    }

    /// Removes a value. Nothing happens if there is no value of this name.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/cart/empty$")]
    /// async fn empty_cart(session: Session) -> Redirect {
    ///     session.remove("cart");
    ///     Redirect::to("/cart")
    /// }
    /// # const ROUTES: Routes<()> = routes![empty_cart];
    /// ```
    ///
    /// A session in a cookie ends with its last value: the cookie is removed from the browser.
    pub fn remove(&self, name: &str) {
        if let Some(mut data) = self.change("Session::remove", name)
            && data.values.contains_key(name)
        {
            data.edit(Edit::Remove(name.to_owned()));
        }
    }

    /// Removes all values. If a user is logged in, this is a [logout](Session::log_out).
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/start-again$")]
    /// async fn start_again(session: Session) -> Redirect {
    ///     session.clear();
    ///     Redirect::to("/")
    /// }
    /// # const ROUTES: Routes<()> = routes![start_again];
    /// ```
    pub fn clear(&self) {
        let Some(mut data) = self.change("Session::clear", "") else {
            return;
        };
        if data.values.contains_key(USER_KEY) {
            data.log_out();
        } else if !data.values.is_empty() {
            data.edit(Edit::Clear);
        }
    }

    /// Logs a user in: begins a new session, without the values of the one before, and sets the user id.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// # #[derive(serde::Deserialize)]
    /// # struct Login { name: String, password: String }
    /// # async fn check_password(login: &Login) -> Option<u64> { None }
    /// #[post("^/login$")]
    /// async fn log_in(login: Form<Login>, session: Session) -> Result<Redirect, Status> {
    ///     let id = check_password(&login).await.ok_or(Status::FORBIDDEN)?;
    ///     session.log_in(id);
    ///     Ok(Redirect::to("/"))
    /// }
    /// # const ROUTES: Routes<()> = routes![log_in];
    /// ```
    ///
    /// [`CurrentUser`](crate::CurrentUser) finds the user by this id, with [`User::find`](crate::User::find). Check the password before: this
    /// method checks nothing. With a [store](crate::App::sessions) the session gets a new id, and the record of the one before is removed.
    pub fn log_in(&self, user_id: impl ToString) {
        let Some(mut data) = self.change("Session::log_in", "") else {
            return;
        };
        data.edit(Edit::Clear);
        data.edit(Edit::Set(USER_KEY.to_owned(), Value::String(user_id.to_string())));
        data.renewal = Renewal::NewSession;
        data.begun = data.opened;
    }

    /// Gives the session another id and keeps its values: call it when the user gets more rights without a new login.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/admin/unlock$")]
    /// async fn unlock(session: Session) -> Redirect {
    ///     session.renew();
    ///     session.set("is_admin", true);
    ///     Redirect::to("/admin")
    /// }
    /// # const ROUTES: Routes<()> = routes![unlock];
    /// ```
    ///
    /// A session in a cookie has no id: the cookie is only signed again.
    pub fn renew(&self) {
        let Some(mut data) = self.change("Session::renew", "") else {
            return;
        };
        if data.renewal == Renewal::Keep {
            data.renewal = Renewal::NewId;
        }
        data.changed |= !data.values.is_empty();
    }

    /// Logs the user out: removes all values, and ends the session.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("^/logout$")]
    /// async fn log_out(session: Session) -> Redirect {
    ///     session.log_out();
    ///     Redirect::to("/")
    /// }
    /// # const ROUTES: Routes<()> = routes![log_out];
    /// ```
    ///
    /// A request of the same browser that is on its way does not bring the session back. Other browsers of the user stay logged in;
    /// [`Sessions::revoke`] ends all sessions of a user.
    pub fn log_out(&self) {
        if let Some(mut data) = self.change("Session::log_out", "") {
            data.log_out();
        }
    }

    /// Returns the id of the user who is logged in. Returns `None` if no user is.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[get("^/$")]
    /// async fn index(session: Session) -> String {
    ///     match session.user_id() {
    ///         Some(id) => format!("logged in as {id}"),
    ///         None => "not logged in".into(),
    ///     }
    /// }
    /// # const ROUTES: Routes<()> = routes![index];
    /// ```
    ///
    /// [`CurrentUser`](crate::CurrentUser) looks the user up, and rejects a request without one.
    pub fn user_id(&self) -> Option<String> {
        self.get(USER_KEY)
    }

    /// Stores the changes of this request, and returns the cookies to set. Without a store, the future is ready at once.
    pub(crate) async fn save(&self, keys: &SigningKeys, is_secure: bool) -> Vec<Cookie> {
        let mut data = self.lock().clone();
        if !data.changed {
            return Vec::new();
        }
        self.lock().changed = false;
        let (session_name, epoch_name) = cookie_names(is_secure);
        let mut cookies = Vec::new();
        let user = data.values.get(USER_KEY).and_then(Value::as_str);
        if user.is_some_and(|user| data.sessions.is_revoked(user, data.begun)) {
            data.edit(Edit::Clear);
        }
        let id = data.save_values().await;
        match id {
            Saved::Values | Saved::Id(_) => {
                let (values, id) = match id {
                    Saved::Id(id) => (Map::new(), Some(id)),
                    _ => (data.values, None),
                };
                let cookie = SessionCookie {
                    values,
                    id,
                    epoch: data.epoch,
                    begun: data.begun,
                };
                match serde_json::to_string(&cookie) {
                    Ok(text) => cookies.push(sign(Cookie::new(session_name, text), keys)),
                    Err(error) => tracing::error!(%error, "could not serialize a session"),
                }
            }
            // An empty session is removed from the browser instead of stored.
            Saved::Empty => cookies.push(Cookie::new(session_name, "").expired()),
            // Another request has ended the session, or has replaced it: the browser has the cookie of that one.
            Saved::Ended => {}
        }
        if data.logged_out {
            cookies.push(sign(Cookie::new(epoch_name, data.epoch.to_string()), keys));
        }
        cookies
    }

    /// Returns the cookies to set, like [`save`](Session::save). Returns none if the session is in a store, where saving waits.
    pub(crate) fn save_in_cookie(&self, keys: &SigningKeys, is_secure: bool) -> Vec<Cookie> {
        use futures_util::FutureExt;
        if self.lock().sessions.has_store() {
            return Vec::new();
        }
        self.save(keys, is_secure).now_or_never().unwrap_or_default()
    }

    /// Refuses all further changes, because the response has those that were made before, or because there is none.
    pub(crate) fn end_changes(&self, reason: LateReason) {
        self.lock().late.get_or_insert_with(|| LateChanges::new(reason));
    }

    /// Returns the session for a change by this function. If it is too late for changes, logs that and returns `None`.
    fn change(&self, function: &'static str, name: &str) -> Option<MutexGuard<'_, SessionData>> {
        let mut data = self.lock();
        match &mut data.late {
            Some(late) => {
                late.refuse(function, name);
                None
            }
            None => Some(data),
        }
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
        let save = |session: &Session| session.save_in_cookie(&keys, true);
        let session = Session::default();
        session.remove("a");
        session.clear();
        session.renew();
        assert!(save(&session).is_empty());
        session.log_in(7);
        assert_eq!(session.user_id().as_deref(), Some("7"));
        let cookies = save(&session);
        assert_eq!((cookies.len(), cookies[0].name()), (1, "__Host-session"));
        assert!(cookies[0].value().starts_with("v1."));
        session.log_out();
        assert_eq!(session.user_id(), None);
        let cookies = save(&session);
        assert_eq!(
            (cookies[0].value(), cookies[1].name()),
            ("", "__Host-session-epoch")
        );
        assert!(save(&session).is_empty());
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

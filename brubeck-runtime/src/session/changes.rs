//! The cookies and the session that a handler sets, until they are added to the response.

use super::late::LateChanges;
use super::{Cookie, LateReason, Session, SigningKeys};
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size up to which browsers should accept a cookie (RFC 6265, section 6.1).
const MAX_COOKIE_BYTES: usize = 4096;

/// The cookie changes of one request, shared by all of its extractors.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieChanges(Arc<Mutex<PendingChanges>>);

#[derive(Debug, Default)]
struct PendingChanges {
    cookies: Vec<Cookie>,
    /// The names of cookies to remove that are not UTF-8.
    removed_names: Vec<Box<[u8]>>,
    session: Option<Session>,
    /// Whether cookies are `Secure` unless they have another setting.
    is_secure: bool,
    /// Set when the response has the changes, and no further change can be sent.
    late: Option<LateChanges>,
}

impl CookieChanges {
    /// Creates an empty set of changes. `is_secure` is `false` if the response may have cookies without `Secure`.
    pub(crate) fn new(is_secure: bool) -> CookieChanges {
        CookieChanges(Arc::new(Mutex::new(PendingChanges {
            is_secure,
            ..PendingChanges::default()
        })))
    }

    /// Creates a set of changes that refuses all of them, because there will be no response that could have them.
    pub(crate) fn without_response(is_secure: bool) -> CookieChanges {
        let changes = CookieChanges::new(is_secure);
        changes.lock().late = Some(LateChanges::new(LateReason::NoHttpResponse));
        changes
    }

    /// Adds a cookie, or replaces the one with the same name. Logs an error and changes nothing if the cookie is not valid.
    pub(super) fn set(&self, cookie: Cookie) {
        if let Err(reason) = cookie.check() {
            tracing::error!(name = ?cookie.name(), reason, "the cookie is not valid, so it is not set");
            return;
        }
        let function = if cookie.is_expired() {
            "Cookies::remove"
        } else {
            "Cookies::set"
        };
        let Some(mut changes) = self.change(function, cookie.name()) else {
            return;
        };
        changes.cookies.retain(|other| other.name() != cookie.name());
        changes.cookies.push(cookie);
    }

    /// Removes a cookie whose name is not UTF-8.
    pub(super) fn remove_name(&self, name: &[u8]) {
        if let Some(mut changes) = self.change("Cookies::remove_all", "") {
            changes.removed_names.push(name.into());
        }
    }

    /// Returns the value that a cookie was set to in this request. Returns `Some(None)` if it was removed, and `None` if it did not
    /// change.
    pub(super) fn value(&self, name: &str) -> Option<Option<String>> {
        let changes = self.lock();
        let cookie = changes.cookies.iter().find(|cookie| cookie.name() == name)?;
        Some((!cookie.is_expired()).then(|| cookie.value().to_owned()))
    }

    /// Returns the session of the request, if an extractor has opened it before.
    pub(crate) fn session(&self) -> Option<Session> {
        self.lock().session.clone()
    }

    /// Returns the session of the request: this one, unless another extractor has opened one in the meantime.
    pub(crate) fn session_or(&self, opened: Session) -> Session {
        let mut changes = self.lock();
        if let Some(late) = &changes.late {
            opened.end_changes(late.reason());
        }
        changes.session.get_or_insert(opened).clone()
    }

    /// Returns `false` if the response may have cookies without `Secure`.
    pub(crate) fn is_secure(&self) -> bool {
        self.lock().is_secure
    }

    /// Saves a changed session in its store, and adds its cookies. Refuses all further changes of the session; `handler` is for the log.
    pub(crate) async fn save_session(&self, keys: &SigningKeys, handler: &'static str) {
        if let Some(session) = self.session() {
            session.end_changes(LateReason::HeadIsComplete { handler });
            let cookies = session.save(keys, self.is_secure()).await;
            cookies.into_iter().for_each(|cookie| self.set(cookie));
        }
    }

    /// Adds the changes to the headers of the response, and refuses all further ones; `handler` is for the log. Later calls add nothing.
    /// The session is only added if it has changed. One in a store must have been [saved](CookieChanges::save_session) before.
    pub(crate) fn apply_to(
        &self,
        keys: Option<&SigningKeys>,
        response: &mut HeaderMap,
        handler: &'static str,
    ) {
        let mut changes = self.lock();
        if changes.late.is_some() {
            return;
        }
        let reason = LateReason::HeadIsComplete { handler };
        changes.late = Some(LateChanges::new(reason));
        let is_secure = changes.is_secure;
        if let Some(session) = &changes.session {
            session.end_changes(reason);
        }
        let session = changes
            .session
            .as_ref()
            .zip(keys)
            .map(|(session, keys)| session.save_in_cookie(keys, is_secure));
        for cookie in changes.cookies.iter().chain(session.iter().flatten()) {
            // `set` has checked the cookie.
            if let Ok(header) = cookie.header(is_secure) {
                append(response, header, cookie.name());
            }
        }
        for name in &changes.removed_names {
            let attributes = Cookie::new("", "").expired().attributes(is_secure);
            if let Ok(header) = HeaderValue::from_bytes(&[&**name, &b"="[..], attributes.as_bytes()].concat())
            {
                append(response, header, "(not UTF-8)");
            }
        }
    }

    /// Returns the changes for another one by this function. If it is too late for changes, logs that and returns `None`.
    fn change(&self, function: &'static str, name: &str) -> Option<MutexGuard<'_, PendingChanges>> {
        let mut changes = self.lock();
        match &mut changes.late {
            Some(late) => {
                late.refuse(function, name);
                None
            }
            None => Some(changes),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingChanges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(response: &mut HeaderMap, header: HeaderValue, name: &str) {
    if header.len() > MAX_COOKIE_BYTES {
        tracing::warn!(
            name,
            size = header.len(),
            "cookie exceeds 4 KiB, browsers may ignore it"
        );
    }
    response.append(SET_COOKIE, header);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_value_of_cookie_wins() {
        let changes = CookieChanges::new(false);
        let mut response = HeaderMap::new();
        changes.set(Cookie::new("a", "1"));
        changes.set(Cookie::new("b", "2"));
        changes.set(Cookie::new("a", "3"));
        changes.set(Cookie::new("c d", "4"));
        assert_eq!(changes.value("a"), Some(Some("3".into())));
        changes.set(Cookie::new("b", "2").expired());
        assert_eq!(changes.value("b"), Some(None));
        changes.apply_to(None, &mut response, "login");
        let sent: Vec<_> = response
            .get_all(SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], "a=3; Path=/; HttpOnly; SameSite=Lax");
        assert!(sent[1].starts_with("b=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    }

    #[test]
    fn changes_after_the_response_have_no_effect() {
        let changes = CookieChanges::new(true);
        let mut response = HeaderMap::new();
        changes.set(Cookie::new("a", "1"));
        let session = changes.session_or(Session::default());
        session.set("n", 1);
        changes.apply_to(None, &mut response, "chat");
        changes.set(Cookie::new("a", "2"));
        changes.set(Cookie::new("b", "2"));
        changes.remove_name(b"\xff");
        session.set("n", 2);
        session.log_in("dave");
        session.remove("n");
        session.clear();
        session.log_out();
        session.renew();
        let opened = changes.session_or(Session::default());
        assert_eq!((opened.get("n"), opened.user_id()), (Some(1), None));
        assert_eq!(
            (changes.value("a"), changes.value("b")),
            (Some(Some("1".into())), None)
        );
        let mut later = HeaderMap::new();
        changes.apply_to(None, &mut later, "chat");
        assert_eq!((response.len(), later.len()), (1, 0));
    }

    #[test]
    fn changes_without_a_response_have_no_effect() {
        let changes = CookieChanges::without_response(true);
        changes.set(Cookie::new("a", "1"));
        let session = changes.session_or(Session::default());
        session.set("n", 1);
        assert_eq!((changes.value("a"), session.get::<u8>("n")), (None, None));
    }
}

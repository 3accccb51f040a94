//! The sessions of an application: their store, and the users whose sessions are revoked.

use super::store::{ErasedStore, SessionStore};
use super::{DEFAULT_MAX_AGE, SessionRecord};
use crate::error::Result;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Limit for the users whose revocation is remembered.
const MAX_REVOKED_USERS: usize = 100_000;

/// Extractor for the sessions of all users, to end those of one user.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::Sessions;
///
/// #[post("^/log-out-everywhere$")]
/// async fn log_out_everywhere(session: Session, sessions: Sessions) -> Result<Redirect, Status> {
///     let user = session.user_id().ok_or(Status::FORBIDDEN)?;
///     sessions.revoke(&user).await.map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
///     Ok(Redirect::to("/"))
/// }
/// # const ROUTES: Routes<()> = routes![log_out_everywhere];
/// ```
///
/// It never rejects. The session of the browser that sent the request is [`Session`](crate::Session). Sessions are in cookies, or in the
/// store of [`App::sessions`](crate::App::sessions); [`revoke`](Sessions::revoke) works in both cases, with a difference between them.
#[derive(Clone, Default)]
pub struct Sessions(Arc<SharedSessions>);

#[derive(Default)]
struct SharedSessions {
    store: Option<Box<dyn ErasedStore>>,
    revoked: Mutex<HashMap<String, u64>>,
    /// The time of the last revocation, in microseconds.
    last_revocation: AtomicU64,
}

impl Sessions {
    pub(crate) fn in_store(store: impl SessionStore) -> Sessions {
        Sessions(Arc::new(SharedSessions {
            store: Some(Box::new(store)),
            ..SharedSessions::default()
        }))
    }

    /// Ends all sessions of a user, such as after a change of the password: see the example of [`Sessions`]. Sessions that begin later are
    /// valid.
    ///
    /// With a [store](crate::App::sessions), the sessions are removed from it. Sessions in cookies are known to the browsers only, so this process
    /// remembers the user for 14 days: the sessions end in this process, and are valid in other processes and after a restart. If
    /// that is not enough and you have no store, put a number that changes with the password into the id: log in as `7:3`, and
    /// compare the `3` in [`User::find`](crate::User::find).
    ///
    /// # Errors
    ///
    /// Returns the [`Error`](crate::Error) of [`SessionStore::remove_user`]. Without a store there is no error.
    pub async fn revoke(&self, user: impl AsRef<str>) -> Result {
        let user = user.as_ref();
        self.remember(user);
        match &self.0.store {
            Some(store) => store.remove_user(user).await,
            None => Ok(()),
        }
    }

    fn remember(&self, user: &str) {
        let now = self.now();
        let mut revoked = self.0.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        if revoked.len() >= MAX_REVOKED_USERS {
            let max_age = u64::try_from(DEFAULT_MAX_AGE.as_micros()).unwrap_or(u64::MAX);
            revoked.retain(|_, at| now.saturating_sub(*at) < max_age);
        }
        if revoked.len() >= MAX_REVOKED_USERS
            && let Some(oldest) = revoked
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(user, _)| user.clone())
        {
            tracing::warn!(
                "more than {MAX_REVOKED_USERS} users are revoked: forgetting the oldest; use a session store"
            );
            revoked.remove(&oldest);
        }
        revoked.insert(user.to_owned(), now);
        self.0.last_revocation.store(now, Ordering::Release);
    }

    /// Returns `true` if the sessions of this user that had begun at this time, in microseconds, are revoked.
    pub(super) fn is_revoked(&self, user: &str, begun: u64) -> bool {
        if begun > self.0.last_revocation.load(Ordering::Acquire) {
            return false;
        }
        let revoked = self.0.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        revoked.get(user).is_some_and(|at| begun <= *at)
    }

    /// Returns the time in microseconds. It is later than every revocation, even if the clock was set back.
    pub(super) fn now(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        now.max(self.0.last_revocation.load(Ordering::Acquire).saturating_add(1))
    }

    pub(super) fn store(&self) -> Option<&dyn ErasedStore> {
        self.0.store.as_deref()
    }

    /// Returns `true` if sessions are on the server, so that reading and writing them waits.
    pub(crate) fn has_store(&self) -> bool {
        self.0.store.is_some()
    }

    /// Returns the record with this id, unless it is missing or expired.
    pub(super) async fn load(&self, id: &str) -> Result<Option<SessionRecord>> {
        let Some(store) = self.store() else {
            return Ok(None);
        };
        let record = store.load(id).await?;
        Ok(record.filter(|record| record.expires > SystemTime::now()))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("has_store", &self.has_store())
            .finish_non_exhaustive()
    }
}

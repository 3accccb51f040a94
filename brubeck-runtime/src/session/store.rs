//! Stores of sessions on the server.

use crate::error::Result;
use futures_util::future::BoxFuture;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Sessions on the server, such as in a database: an argument of [`App::sessions`](crate::App::sessions).
///
/// ```
/// use brubeck::{SessionRecord, SessionStore};
/// use std::collections::HashMap;
/// use tokio::sync::Mutex;
///
/// #[derive(Default)]
/// struct SessionTable(Mutex<HashMap<String, SessionRecord>>);
///
/// impl SessionStore for SessionTable {
///     async fn load(&self, id: &str) -> brubeck::Result<Option<SessionRecord>> {
///         Ok(self.0.lock().await.get(id).cloned())
///     }
///
///     async fn save(&self, id: &str, record: SessionRecord) -> brubeck::Result<bool> {
///         let mut table = self.0.lock().await;
///         // In SQL: `UPDATE .. WHERE id = ? AND version = ?`, or an `INSERT` of version 1.
///         let is_next = table.get(id).map_or(0, |stored| stored.version) + 1 == record.version;
///         if is_next {
///             table.insert(id.to_owned(), record);
///         }
///         Ok(is_next)
///     }
///
///     async fn remove(&self, id: &str) -> brubeck::Result<()> {
///         self.0.lock().await.remove(id);
///         Ok(())
///     }
///
///     async fn remove_user(&self, user: &str) -> brubeck::Result<()> {
///         self.0.lock().await.retain(|_, record| record.user.as_deref() != Some(user));
///         Ok(())
///     }
/// }
/// ```
///
/// The browser has the id of its session in a signed cookie, and the store has its values. So a logout ends the session, whatever copy of
/// the cookie or request on its way remains, and requests that set different values at the same time lose none.
///
/// An error of the store is logged. The session of that request is empty then, and its changes are lost. The same applies if saving takes more
/// than ten seconds; reading counts for the timeout of the handler.
pub trait SessionStore: Send + Sync + 'static {
    /// Returns the record with this id, 22 characters of base64url. Returns `None` if there is no such record; the session is empty then.
    /// The example of [`SessionStore`] has an implementation.
    ///
    /// A record that has expired may be returned; it is ignored. The function is also called when a session gets a new id, and after
    /// [`save`](SessionStore::save) has returned `false`.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if the store cannot be read. It is logged, and nothing is saved for the request. If it was the
    /// first reading, the session of the request is empty.
    fn load(&self, id: &str) -> impl Future<Output = Result<Option<SessionRecord>>> + Send;

    /// Stores a record if its version is the next one, and returns `true`. Otherwise returns `false` and changes nothing.
    ///
    /// The next version is one more than that of the stored record with this id, or 1 if there is no such record. This must be atomic. After
    /// `false`, the changes of the request are repeated on the record that is stored now, at most 32 times.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if the record cannot be stored. It is logged, and the changes of the request are lost.
    fn save(&self, id: &str, record: SessionRecord) -> impl Future<Output = Result<bool>> + Send;

    /// Removes the record with this id, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if the record cannot be removed. It is logged. A login of the request is lost, and after a logout other
    /// copies of the cookie stay valid.
    fn remove(&self, id: &str) -> impl Future<Output = Result<()>> + Send;

    /// Removes all records whose [`user`](SessionRecord::user) is this id. [`Sessions::revoke`](crate::Sessions::revoke) calls it.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`](crate::Error) if the records cannot be removed. `revoke` returns it.
    fn remove_user(&self, user: &str) -> impl Future<Output = Result<()>> + Send;
}

/// A session in a [`SessionStore`].
///
/// ```
/// use brubeck::SessionRecord;
/// use std::time::SystemTime;
///
/// let record = SessionRecord::new(r#"{"cart":["soup"]}"#, Some("7".into()), 1, SystemTime::now());
/// assert_eq!(record.user.as_deref(), Some("7"));
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The values, as the text of a JSON object.
    pub data: String,
    /// The id of the user who is logged in.
    pub user: Option<String>,
    /// 1 for a new session, and one more with each change.
    pub version: u64,
    /// The end of the session. The store may remove it afterwards.
    pub expires: SystemTime,
}

impl SessionRecord {
    /// Creates a record, such as from a row of a database.
    ///
    /// ```
    /// use brubeck::SessionRecord;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let expires = SystemTime::now() + Duration::from_secs(3600);
    /// let record = SessionRecord::new(r#"{"cart":[]}"#, Some("7".into()), 1, expires);
    /// assert_eq!(record.user.as_deref(), Some("7"));
    /// ```
    ///
    /// `data` is the text of a JSON object, and `user` is the id of the user who is logged in. `version` is 1 for a new session. A record whose
    /// `expires` has passed is ignored; brubeck sets it to 14 days after the last change.
    pub fn new(
        data: impl Into<String>,
        user: Option<String>,
        version: u64,
        expires: SystemTime,
    ) -> SessionRecord {
        SessionRecord {
            data: data.into(),
            user,
            version,
            expires,
        }
    }
}

/// Hides the values, which may be secret.
impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("version", &self.version)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A [`SessionStore`] in the memory of this process, for tests and for applications of one process.
///
/// ```
/// use brubeck::MemoryStore;
/// use brubeck::prelude::*;
///
/// fn app(routes: Routes<()>) -> App<()> {
///     App::new(routes, ()).cookie_secret("a secret of the example, 32 bytes").sessions(MemoryStore::default())
/// }
/// ```
///
/// All sessions end with the process. The store has at most 100,000 of them by default: beyond that, the one that ends first is removed.
pub struct MemoryStore {
    table: Mutex<SessionTable>,
    capacity: usize,
}

#[derive(Default)]
struct SessionTable {
    records: HashMap<String, SessionRecord>,
    /// The end and the id of each record.
    by_expiry: BTreeSet<(SystemTime, String)>,
}

impl SessionTable {
    fn insert(&mut self, id: &str, record: SessionRecord) {
        self.remove(id);
        self.by_expiry.insert((record.expires, id.to_owned()));
        self.records.insert(id.to_owned(), record);
    }

    fn remove(&mut self, id: &str) {
        if let Some(record) = self.records.remove(id) {
            self.by_expiry.remove(&(record.expires, id.to_owned()));
        }
    }

    /// Removes the records that have expired, and as many others that the table has fewer than `capacity`.
    fn make_room(&mut self, capacity: usize, now: SystemTime) {
        while let Some((expires, _)) = self.by_expiry.first()
            && (*expires < now || self.records.len() >= capacity)
            && let Some((_, id)) = self.by_expiry.pop_first()
        {
            self.records.remove(&id);
        }
    }
}

impl MemoryStore {
    /// Creates a store for at most this number of sessions. 0 is taken for 1.
    ///
    /// ```
    /// # use brubeck::prelude::*;
    /// use brubeck::MemoryStore;
    ///
    /// # fn example(routes: Routes<()>, secret: &str) -> App<()> {
    /// App::new(routes, ()).cookie_secret(secret).sessions(MemoryStore::with_capacity(10_000))
    /// # }
    /// ```
    ///
    /// A new session in a full store replaces the one that ends first. The default is 100,000.
    pub fn with_capacity(sessions: usize) -> MemoryStore {
        MemoryStore {
            table: Mutex::default(),
            capacity: sessions.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SessionTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::with_capacity(100_000)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.lock().records.len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

impl SessionStore for MemoryStore {
    async fn load(&self, id: &str) -> Result<Option<SessionRecord>> {
        Ok(self.lock().records.get(id).cloned())
    }

    async fn save(&self, id: &str, record: SessionRecord) -> Result<bool> {
        let mut table = self.lock();
        let stored = table.records.get(id).map_or(0, |stored| stored.version);
        if stored.checked_add(1) != Some(record.version) {
            return Ok(false);
        }
        if stored == 0 {
            table.make_room(self.capacity, SystemTime::now());
        }
        table.insert(id, record);
        Ok(true)
    }

    async fn remove(&self, id: &str) -> Result<()> {
        self.lock().remove(id);
        Ok(())
    }

    async fn remove_user(&self, user: &str) -> Result<()> {
        let mut table = self.lock();
        let is_of_user = |(id, record): (&String, &SessionRecord)| {
            (record.user.as_deref() == Some(user)).then(|| id.clone())
        };
        let ids: Vec<String> = table.records.iter().filter_map(is_of_user).collect();
        ids.iter().for_each(|id| table.remove(id));
        Ok(())
    }
}

/// A store whose type is erased.
pub(super) trait ErasedStore: Send + Sync {
    fn load<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<SessionRecord>>>;

    fn save<'a>(&'a self, id: &'a str, record: SessionRecord) -> BoxFuture<'a, Result<bool>>;

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;

    fn remove_user<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<()>>;
}

impl<T: SessionStore> ErasedStore for T {
    fn load<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<SessionRecord>>> {
        Box::pin(SessionStore::load(self, id))
    }

    fn save<'a>(&'a self, id: &'a str, record: SessionRecord) -> BoxFuture<'a, Result<bool>> {
        Box::pin(SessionStore::save(self, id, record))
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(SessionStore::remove(self, id))
    }

    fn remove_user<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(SessionStore::remove_user(self, user))
    }
}

#[cfg(test)]
mod tests {
    use super::{MemoryStore, SessionRecord, SessionStore};
    use std::time::{Duration, SystemTime};

    fn record(user: &str, version: u64, age: i32) -> SessionRecord {
        let expires =
            SystemTime::now() + Duration::from_secs(1000) - Duration::from_secs(age.unsigned_abs().into());
        SessionRecord::new("{}", Some(user.into()), version, expires)
    }

    #[tokio::test]
    async fn save_replaces_only_the_version_before() {
        let store = MemoryStore::default();
        assert!(
            !store.save("a", record("7", 2, 0)).await.unwrap(),
            "there is no version 1"
        );
        assert!(store.save("a", record("7", 1, 0)).await.unwrap());
        assert!(!store.save("a", record("7", 1, 0)).await.unwrap());
        assert!(store.save("a", record("7", 2, 0)).await.unwrap());
        store.remove("a").await.unwrap();
        assert!(
            !store.save("a", record("7", 3, 0)).await.unwrap(),
            "it was removed"
        );
        assert_eq!(store.load("a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn full_store_removes_the_session_that_ends_first() {
        let store = MemoryStore::with_capacity(2);
        for (id, age) in [("a", 1), ("b", 3), ("c", 2)] {
            assert!(store.save(id, record("7", 1, age)).await.unwrap());
        }
        let has = async |id: &str| store.load(id).await.unwrap().is_some();
        assert_eq!(
            (has("a").await, has("b").await, has("c").await),
            (true, false, true)
        );
        // An expired one goes first, even if there is room.
        assert!(store.save("a", record("7", 2, 2000)).await.unwrap());
        assert!(store.save("d", record("8", 1, 0)).await.unwrap());
        assert_eq!(
            (has("a").await, has("c").await, has("d").await),
            (false, true, true)
        );
        store.remove_user("7").await.unwrap();
        assert_eq!((has("c").await, has("d").await), (false, true));
    }
}

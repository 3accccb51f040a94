//! The values of a session while a request runs, and how they are read and saved.

use super::late::LateChanges;
use super::store::ErasedStore;
use super::{DEFAULT_MAX_AGE, SessionRecord, Sessions, USER_KEY};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime};

/// Time for a store to save a session.
const SAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Limit for the attempts to save a session that other requests change at the same time.
const MAX_SAVE_ATTEMPTS: usize = 32;

#[derive(Clone, Debug, Default)]
pub(super) struct SessionData {
    pub(super) values: Map<String, Value>,
    /// The changes of this request, to repeat them on values that another request has stored in the meantime.
    pub(super) edits: Vec<Edit>,
    pub(super) changed: bool,
    /// The id and the version in the store. `None` for a session that is new or not in a store.
    pub(super) stored: Option<(String, u64)>,
    /// Whether the session gets a new id, and whether that was the only reason for it.
    pub(super) renewal: Renewal,
    /// The number of logouts of this browser. A session of an earlier epoch is not valid.
    pub(super) epoch: u64,
    pub(super) logged_out: bool,
    /// When the session began, and when this request read it, in microseconds.
    pub(super) begun: u64,
    pub(super) opened: u64,
    /// The store failed: the values of the session are not known, so nothing may be stored.
    pub(super) is_broken: bool,
    /// Set when the response has the changes of the session, and no further change can be stored.
    pub(super) late: Option<LateChanges>,
    pub(super) sessions: Sessions,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Renewal {
    #[default]
    Keep,
    /// The same session with another id.
    NewId,
    /// Another session.
    NewSession,
}

#[derive(Clone, Debug)]
pub(super) enum Edit {
    Set(String, Value),
    Remove(String),
    Clear,
}

impl Edit {
    fn apply(&self, values: &mut Map<String, Value>) {
        match self {
            Edit::Set(name, value) => drop(values.insert(name.clone(), value.clone())),
            Edit::Remove(name) => drop(values.remove(name)),
            Edit::Clear => values.clear(),
        }
    }
}

/// The content of the session cookie.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SessionCookie {
    /// The values, unless they are in a store.
    #[serde(rename = "v", default, skip_serializing_if = "Map::is_empty")]
    pub(super) values: Map<String, Value>,
    /// The id in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(rename = "e", default)]
    pub(super) epoch: u64,
    #[serde(rename = "t", default)]
    pub(super) begun: u64,
}

/// Where the values of a session are.
pub(super) enum Saved {
    /// In the cookie.
    Values,
    /// In the store, with this id.
    Id(String),
    /// Nowhere: there are none.
    Empty,
    /// Nowhere: another request has ended the session, or the store failed.
    Ended,
}

impl SessionData {
    /// Takes over the values of a session cookie, or of the store. Leaves the session empty if it has ended or is revoked.
    pub(super) async fn read(&mut self, cookie: SessionCookie) {
        // A logout has to end this session, even if its values cannot be read.
        self.epoch = self.epoch.max(cookie.epoch);
        let mut values = cookie.values;
        if self.sessions.has_store() {
            let Some(id) = cookie.id else { return };
            let record = match self.sessions.load(&id).await {
                Ok(Some(record)) => record,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "could not read a session from the store");
                    self.is_broken = true;
                    return;
                }
            };
            values = parse(&record);
            self.stored = Some((id, record.version));
        }
        let user = values.get(USER_KEY).and_then(Value::as_str);
        if user.is_some_and(|user| self.sessions.is_revoked(user, cookie.begun)) {
            return;
        }
        self.values = values;
        self.begun = cookie.begun;
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        edit.apply(&mut self.values);
        if matches!(edit, Edit::Clear) {
            self.edits.clear();
        }
        self.edits.push(edit);
        self.changed = true;
    }

    pub(super) fn log_out(&mut self) {
        self.edit(Edit::Clear);
        self.renewal = Renewal::NewSession;
        if !self.logged_out {
            self.epoch = self.epoch.saturating_add(1);
        }
        self.logged_out = true;
        self.begun = self.opened;
    }

    pub(super) async fn save_values(&mut self) -> Saved {
        let sessions = self.sessions.clone();
        if self.is_broken {
            return Saved::Ended;
        }
        let Some(store) = sessions.store() else {
            return if self.values.is_empty() {
                Saved::Empty
            } else {
                Saved::Values
            };
        };
        let saved = async {
            if self.renewal == Renewal::Keep && self.stored.is_some() {
                return self.update(store).await;
            }
            let old = self.stored.take();
            if let (Renewal::NewId, Some((id, _))) = (self.renewal, &old) {
                let Some(record) = sessions.load(id).await? else {
                    return Ok(Saved::Ended);
                };
                self.values = self.edited(parse(&record));
            }
            let mut saved = Saved::Empty;
            if !self.values.is_empty() {
                let id = new_id()?;
                store.save(&id, self.record(1)?).await?;
                saved = Saved::Id(id);
            }
            if let Some((id, _)) = old {
                store.remove(&id).await?;
            }
            Ok(saved)
        };
        // The timeout of the handler does not cover this.
        let saved = tokio::time::timeout(SAVE_TIMEOUT, saved)
            .await
            .unwrap_or_else(|_| Err(crate::Error::new("the store did not respond within ten seconds")));
        saved.unwrap_or_else(|error: crate::Error| {
            tracing::error!(%error, "could not save a session in the store");
            Saved::Ended
        })
    }

    /// Changes the stored session, and repeats the changes of this request if another one was faster.
    async fn update(&mut self, store: &dyn ErasedStore) -> crate::Result<Saved> {
        let Some((id, mut version)) = self.stored.clone() else {
            return Ok(Saved::Ended);
        };
        for _ in 0..MAX_SAVE_ATTEMPTS {
            if store.save(&id, self.record(version.saturating_add(1))?).await? {
                return Ok(Saved::Id(id));
            }
            let Some(record) = self.sessions.load(&id).await? else {
                return Ok(Saved::Ended);
            };
            version = record.version;
            self.values = self.edited(parse(&record));
        }
        Err(crate::Error::new(format!(
            "other requests changed it {MAX_SAVE_ATTEMPTS} times at the same time"
        )))
    }

    fn edited(&self, mut values: Map<String, Value>) -> Map<String, Value> {
        self.edits.iter().for_each(|edit| edit.apply(&mut values));
        values
    }

    fn record(&self, version: u64) -> crate::Result<SessionRecord> {
        let data = serde_json::to_string(&self.values)
            .map_err(|error| crate::Error::because("could not serialize it", error))?;
        let user = self
            .values
            .get(USER_KEY)
            .and_then(Value::as_str)
            .map(str::to_owned);
        Ok(SessionRecord::new(
            data,
            user,
            version,
            SystemTime::now() + DEFAULT_MAX_AGE,
        ))
    }
}

fn parse(record: &SessionRecord) -> Map<String, Value> {
    serde_json::from_str(&record.data).unwrap_or_default()
}

/// Returns an unpredictable id: 128 random bits.
fn new_id() -> crate::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| crate::Error::because("no random bytes", error))?;
    Ok(BASE64.encode(bytes))
}

//! Who is connected, and what was sent to each but not yet read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Every peer that passed the gate, by its identity.
#[derive(Debug, Default)]
pub(crate) struct Accounts(Mutex<HashMap<Bytes, Arc<Account>>>);

impl Accounts {
    /// Opens an account; `None` while another living peer has this identity.
    pub(crate) fn open(self: &Arc<Self>, identity: Bytes) -> Option<Opened> {
        let mut accounts = self.lock();
        if accounts.contains_key(&identity) {
            return None;
        }
        let account = Arc::new(Account::default());
        accounts.insert(identity.clone(), account.clone());
        Some(Opened {
            accounts: self.clone(),
            identity,
            account,
        })
    }

    /// The account of a peer, if it is connected.
    pub(crate) fn get(&self, identity: &Bytes) -> Option<Arc<Account>> {
        self.lock().get(identity).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Arc<Account>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account for as long as its peer is connected.
#[derive(Debug)]
pub(crate) struct Opened {
    accounts: Arc<Accounts>,
    identity: Bytes,
    pub(crate) account: Arc<Account>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.accounts.lock().remove(&self.identity);
    }
}

/// What was sent to one peer, and what of it has left for the peer.
#[derive(Debug, Default)]
pub(crate) struct Account {
    sent_bytes: AtomicU64,
    sent_messages: AtomicU64,
    left_bytes: AtomicU64,
    left_messages: AtomicU64,
    cut: Notify,
}

impl Account {
    /// Notes a message that is to be sent; refuses if that would keep too much waiting. One message may be of any size.
    pub(crate) fn send(&self, bytes: u64, max_bytes: u64, max_messages: u64) -> bool {
        let waiting = self
            .sent_messages
            .load(Relaxed)
            .saturating_sub(self.left_messages.load(Relaxed));
        let waiting_bytes = self
            .sent_bytes
            .load(Relaxed)
            .saturating_sub(self.left_bytes.load(Relaxed));
        if waiting > 0 && (waiting >= max_messages || waiting_bytes.saturating_add(bytes) > max_bytes) {
            return false;
        }
        self.sent_bytes.fetch_add(bytes, Relaxed);
        self.sent_messages.fetch_add(1, Relaxed);
        true
    }

    /// Notes what the peer's connection took.
    pub(crate) fn left(&self, bytes: u64, messages: u64) {
        self.left_bytes.fetch_add(bytes, Relaxed);
        self.left_messages.fetch_add(messages, Relaxed);
    }

    /// Has the peer's connection closed, whatever is under way.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }

    pub(crate) async fn until_cut(&self) {
        self.cut.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_belongs_to_one_living_peer() {
        let accounts = Arc::new(Accounts::default());
        let first = accounts.open(Bytes::from("x")).unwrap();
        assert!(accounts.open(Bytes::from("x")).is_none());
        assert!(accounts.get(&Bytes::from("x")).is_some());
        drop(first);
        assert!(accounts.get(&Bytes::from("x")).is_none());
        assert!(accounts.open(Bytes::from("x")).is_some());
    }

    #[test]
    fn what_waits_is_bounded_but_one_message_always_fits() {
        let account = Account::default();
        assert!(account.send(1000, 100, 2));
        assert!(!account.send(1, 100, 2), "too many bytes");
        account.left(1000, 1);
        assert!(account.send(1, 100, 2));
        assert!(account.send(1, 100, 2));
        assert!(!account.send(1, 100, 2), "too many messages");
    }
}

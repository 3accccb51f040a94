//! Limits and times of a worker.

use std::fmt;
use std::time::Duration;

use crate::rpc::codec::{Text, limits};
use crate::secret::Secret;

/// Limits and times of a [`Worker`](super::Worker), each with its default.
#[derive(Clone)]
pub struct WorkerConfig {
    /// The passphrase that caller and worker share.
    pub passphrase: Secret,
    /// One more that is accepted, while passphrases are being changed. Default: none.
    pub previous_passphrase: Option<Secret>,
    /// The name of this process for the logs of callers, at most 64 bytes. Default: none.
    pub name: Text,
    /// How many handlers may run at once. Default 64.
    pub slots: usize,
    /// How many calls may wait for a slot. Default: as many as there are slots.
    pub queue: Option<usize>,
    /// The largest body, in bytes, there and back. Default 8 MiB.
    pub max_body: usize,
    /// How many callers may have a session. Default 4,096.
    pub max_sessions: usize,
    /// How many peers may be about to open a session; beyond, the oldest of them is forgotten. Default 256.
    pub max_unproven: usize,
    /// How long opening a session may take. Default 5 s.
    pub handshake: Duration,
    /// Answers that a caller may leave unacknowledged; beyond, they are held back. Default 1,024.
    pub max_unacknowledged: usize,
    /// Bytes that a caller may leave unacknowledged; beyond, answers are held back. Default 8 MiB.
    pub max_unacknowledged_bytes: usize,
    /// How long answers are held back before the caller is cut off. Default 10 s.
    pub stall: Duration,
}

impl WorkerConfig {
    /// How many calls can be taken at once: slots and queue.
    pub fn capacity(&self) -> usize {
        self.slots.saturating_add(self.queue.unwrap_or(self.slots))
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            passphrase: Secret::default(),
            previous_passphrase: None,
            name: Text::default(),
            slots: 64,
            queue: None,
            max_body: limits::MAX_BODY,
            max_sessions: 4096,
            max_unproven: 256,
            handshake: Duration::from_secs(5),
            max_unacknowledged: 1024,
            max_unacknowledged_bytes: 8 << 20,
            stall: Duration::from_secs(10),
        }
    }
}

/// Without the passphrases.
impl fmt::Debug for WorkerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerConfig")
            .field("name", &self.name)
            .field("slots", &self.slots)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

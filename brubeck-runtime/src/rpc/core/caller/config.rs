//! Limits and times of a caller.

use std::fmt;
use std::time::Duration;

use crate::rpc::codec::{Text, limits};
use crate::secret::Secret;

/// Limits and times of a [`Caller`](super::Caller), each with its default.
#[derive(Clone)]
pub struct CallerConfig {
    /// The passphrase that caller and worker share.
    pub passphrase: Secret,
    /// The name of this process for the logs of workers, at most 64 bytes. Default: none.
    pub name: Text,
    /// How often workers are pinged; one that misses three beats is dead. Default 1 s.
    pub beat: Duration,
    /// How long calls wait for the first connection to a new worker. Default 1 s.
    pub connect_grace: Duration,
    /// How long a worker may take to open a session. Default 3 s.
    pub handshake: Duration,
    /// The largest body, in bytes, there and back. Default 8 MiB.
    pub max_body: usize,
    /// Calls that may wait for a worker with room; beyond, calls are refused as busy. Default 1,024.
    pub max_queue: usize,
    /// How long no call may have been refused before calls wait in the queue again: one that could not be in time shows
    /// that more comes than the workers can do, and then waiting would only make every answer late. Zero: calls always
    /// wait. Default 1 s.
    pub calm: Duration,
    /// Bytes of all calls that have not ended; beyond, calls are refused as busy. Default 64 MiB.
    pub max_bytes: usize,
    /// Calls that may be on their way to one worker, whatever it allows. Default 1,024.
    pub max_in_flight: usize,
    /// Workers that may be known at a time. Default 256.
    pub max_peers: usize,
    /// How often one call may be sent. Default 4.
    pub max_attempts: u8,
    /// How much later than the first loss an idempotent call is sent again, at most; doubles each time. Default 20 ms.
    pub retry_delay: Duration,
}

impl Default for CallerConfig {
    fn default() -> Self {
        Self {
            passphrase: Secret::default(),
            name: Text::default(),
            beat: Duration::from_secs(1),
            connect_grace: Duration::from_secs(1),
            handshake: Duration::from_secs(3),
            max_body: limits::MAX_BODY,
            max_queue: 1024,
            calm: Duration::from_secs(1),
            max_bytes: 64 << 20,
            max_in_flight: 1024,
            max_peers: 256,
            max_attempts: 4,
            retry_delay: Duration::from_millis(20),
        }
    }
}

/// Without the passphrase.
impl fmt::Debug for CallerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerConfig")
            .field("name", &self.name)
            .field("beat", &self.beat)
            .field("max_queue", &self.max_queue)
            .finish_non_exhaustive()
    }
}

//! The log of peers whose handshake was refused.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::peer_error::PeerError;

/// The number of warnings of one server. Strangers can cause any number of refusals, with any number of addresses.
const MAX_WARNINGS: usize = 64;

/// Logs each reason once for each address as a warning, because its operator has to act.
#[derive(Debug, Default)]
pub(crate) struct HandshakeLog(Mutex<HashSet<(Option<IpAddr>, String)>>);

impl HandshakeLog {
    /// Logs the end of a connection.
    pub(crate) fn record(&self, address: Option<IpAddr>, error: &PeerError) {
        if error.is_refusal() && self.is_new(address, error.to_string()) {
            tracing::warn!(?address, %error, "refused a connection");
        } else {
            tracing::debug!(?address, %error, "connection closed");
        }
    }

    fn is_new(&self, address: Option<IpAddr>, reason: String) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MAX_WARNINGS && known.insert((address, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_bounded_and_once_for_each_address_and_reason() {
        let log = HandshakeLog::default();
        let address = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        assert!(log.is_new(address(1), "old".to_owned()));
        assert!(!log.is_new(address(1), "old".to_owned()));
        assert!(log.is_new(address(1), "mechanism".to_owned()));
        let warned = (2..1_000).filter(|n| log.is_new(address(*n), "old".to_owned()));
        assert_eq!(warned.count(), MAX_WARNINGS - 2);
    }
}

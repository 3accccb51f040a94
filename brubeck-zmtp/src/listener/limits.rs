//! Limits on the connections of a bound socket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// File descriptors that are reserved for the rest of the process.
const RESERVED_DESCRIPTORS: usize = 64;

/// Limits on the connections of a [`ZmtpListener`](crate::ZmtpListener). Connections beyond them are closed immediately.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Maximum number of connections. On Linux, the maximum is lowered if it exceeds the limit of open files minus 64, which
    /// are reserved for the rest of the process.
    pub max_connections: usize,
    /// Maximum number of connections from one IP address. Does not apply to Unix sockets.
    pub max_connections_per_address: usize,
    /// Maximum number of connections that have not completed their handshake.
    pub max_handshakes: usize,
}

/// The connection slots of one listener.
#[derive(Debug)]
pub(super) struct SlotTable {
    limits: ConnectionLimits,
    used: Mutex<UsedSlots>,
}

#[derive(Debug, Default)]
struct UsedSlots {
    connections: usize,
    handshakes: usize,
    addresses: HashMap<IpAddr, usize>,
}

impl SlotTable {
    pub(super) fn new(mut limits: ConnectionLimits) -> Arc<Self> {
        let available = max_open_files().map_or(usize::MAX, |files| {
            files.saturating_sub(RESERVED_DESCRIPTORS).max(1)
        });
        if available < limits.max_connections {
            tracing::info!(
                max_connections = limits.max_connections,
                lowered_to = available,
                "the limit of open files (ulimit -n) is too low for `max_connections`; raise it to allow more connections"
            );
            limits.max_connections = available;
        }
        Arc::new(Self {
            limits,
            used: Mutex::default(),
        })
    }

    /// Acquires the slots of a new connection. Returns `None` if a limit is reached.
    pub(super) fn acquire(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Option<(ConnectionSlot, HandshakeSlot)> {
        // An IPv6 listener reports IPv4 peers with mapped addresses.
        let address = address.map(|address| address.to_canonical());
        let mut used = self.lock();
        let from_address = address.map_or(0, |address| used.addresses.get(&address).copied().unwrap_or(0));
        if used.connections >= self.limits.max_connections
            || used.handshakes >= self.limits.max_handshakes
            || (address.is_some() && from_address >= self.limits.max_connections_per_address)
        {
            return None;
        }
        used.connections += 1;
        used.handshakes += 1;
        if let Some(address) = address {
            used.addresses.insert(address, from_address + 1);
        }
        let slot = ConnectionSlot {
            table: self.clone(),
            address,
        };
        Some((slot, HandshakeSlot(self.clone())))
    }

    fn lock(&self) -> MutexGuard<'_, UsedSlots> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of one connection. Dropping it releases the slot.
#[derive(Debug)]
pub struct ConnectionSlot {
    table: Arc<SlotTable>,
    address: Option<IpAddr>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut used = self.table.lock();
        used.connections = used.connections.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = used.addresses.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                used.addresses.remove(&address);
            }
        }
    }
}

/// The slot of one handshake. Drop it once the handshake is complete.
#[derive(Debug)]
pub struct HandshakeSlot(Arc<SlotTable>);

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        let mut used = self.0.lock();
        used.handshakes = used.handshakes.saturating_sub(1);
    }
}

/// Returns the soft limit of open files. Returns `None` if it is unlimited, or if the system has no `/proc`.
fn max_open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_limited_and_released() {
        let limits = ConnectionLimits {
            max_connections: 3,
            max_connections_per_address: 2,
            max_handshakes: 2,
        };
        let table = SlotTable::new(limits);
        let (first_address, second_address) = (
            Some(IpAddr::from([10, 0, 0, 1])),
            Some(IpAddr::from([10, 0, 0, 2])),
        );
        let (first, first_handshake) = table.acquire(first_address).unwrap();
        let (second, second_handshake) = table.acquire(first_address).unwrap();
        assert!(
            table.acquire(second_address).is_none(),
            "the limit of handshakes is reached"
        );
        drop((first_handshake, second_handshake));
        assert!(
            table.acquire(first_address).is_none(),
            "the limit of the address is reached"
        );
        let mapped = Some("::ffff:10.0.0.1".parse().unwrap());
        assert!(
            table.acquire(mapped).is_none(),
            "a mapped address counts as its IPv4 address"
        );
        let third = table.acquire(second_address).unwrap();
        assert!(
            table.acquire(None).is_none(),
            "the limit of connections is reached"
        );
        drop((first, second, third));
        let taken = table.lock();
        assert_eq!(
            (taken.connections, taken.handshakes, taken.addresses.len()),
            (0, 0, 0)
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn reads_the_limit_of_open_files() {
        assert!(max_open_files().is_some());
    }
}

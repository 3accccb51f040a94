//! How many may be connected at once: in all, from one address, and without having said who they are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Limits;

/// File descriptors left to the rest of the process.
const RESERVED: usize = 64;

#[derive(Debug)]
pub struct Caps {
    connections: usize,
    per_address: usize,
    handshakes: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    connections: usize,
    handshakes: usize,
    addresses: HashMap<IpAddr, usize>,
}

impl Caps {
    pub fn new(limits: &Limits) -> Arc<Self> {
        let possible = descriptors().map_or(usize::MAX, |all| all.saturating_sub(RESERVED).max(1));
        if possible < limits.connections {
            tracing::info!(
                possible,
                wanted = limits.connections,
                "the limit of open files (ulimit -n) allows fewer connections than Limits::connections"
            );
        }
        Arc::new(Self {
            connections: limits.connections.min(possible),
            per_address: limits.connections_per_address,
            handshakes: limits.handshakes,
            taken: Mutex::default(),
        })
    }

    /// Lets a new connection in, unless it is one too many.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<(Place, HandshakePlace)> {
        let address = address.map(|address| address.to_canonical());
        let mut taken = self.lock();
        let from_address = address.map_or(0, |address| taken.addresses.get(&address).copied().unwrap_or(0));
        if taken.connections >= self.connections
            || taken.handshakes >= self.handshakes
            || (address.is_some() && from_address >= self.per_address)
        {
            return None;
        }
        taken.connections += 1;
        taken.handshakes += 1;
        if let Some(address) = address {
            taken.addresses.insert(address, from_address + 1);
        }
        Some((
            Place {
                caps: self.clone(),
                address,
            },
            HandshakePlace(self.clone()),
        ))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    caps: Arc<Caps>,
    address: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.caps.lock();
        taken.connections = taken.connections.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = taken.addresses.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                taken.addresses.remove(&address);
            }
        }
    }
}

/// A place among those who have not said who they are; free again when dropped.
#[derive(Debug)]
pub struct HandshakePlace(Arc<Caps>);

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        let mut taken = self.0.lock();
        taken.handshakes = taken.handshakes.saturating_sub(1);
    }
}

/// The soft limit of open files, where the system tells it.
fn descriptors() -> Option<usize> {
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
    fn places_are_limited_and_come_back() {
        let limits = Limits {
            connections: 3,
            connections_per_address: 2,
            handshakes: 2,
            ..Limits::default()
        };
        let caps = Caps::new(&limits);
        let (one, two) = (
            Some(IpAddr::from([10, 0, 0, 1])),
            Some(IpAddr::from([10, 0, 0, 2])),
        );
        let (first, first_handshake) = caps.admit(one).unwrap();
        let (second, second_handshake) = caps.admit(one).unwrap();
        assert!(caps.admit(two).is_none(), "two handshakes are under way");
        drop((first_handshake, second_handshake));
        assert!(caps.admit(one).is_none(), "two come from this address");
        let mapped = Some("::ffff:10.0.0.1".parse().unwrap());
        assert!(
            caps.admit(mapped).is_none(),
            "the same address, seen by an IPv6 listener"
        );
        let third = caps.admit(two).unwrap();
        assert!(caps.admit(None).is_none(), "three in all");
        drop((first, second, third));
        let taken = caps.lock();
        assert_eq!(
            (taken.connections, taken.handshakes, taken.addresses.len()),
            (0, 0, 0)
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_its_limit() {
        assert!(descriptors().is_some());
    }
}

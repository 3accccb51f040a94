//! Limits on the connections of a bound socket.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// File descriptors that are reserved for the rest of the process.
const RESERVED_DESCRIPTORS: usize = 64;

/// Limits on the connections of a [`ZmtpListener`](crate::ZmtpListener).
///
/// An address is an IPv4 address, or a network of 64 bits in IPv6, which one host may have.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Maximum number of connections. Further ones are closed, unless an address with more connections whose handshake is not
    /// complete loses its oldest one. On Linux, the maximum is lowered if it exceeds the limit of open files minus 64, which
    /// are reserved for the rest of the process.
    pub max_connections: usize,
    /// Maximum number of connections from one address. Further ones are closed, unless the address loses its oldest connection
    /// whose handshake is not complete. Does not apply to Unix sockets.
    pub max_connections_per_address: usize,
    /// Maximum number of connections that have not completed their handshake. For a further one, the address with the most of
    /// them loses its oldest one, so a flood from one address does not keep others out. All Unix sockets count as one address.
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
    /// The number of connections of each address.
    addresses: HashMap<IpAddr, usize>,
    handshakes: HandshakeSlots,
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

    /// Acquires the slots of a new connection. Takes them from another one that has not completed its handshake, if a limit is
    /// reached. Returns `None` if that is not possible.
    pub(super) fn acquire(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Option<(ConnectionSlot, HandshakeSlot)> {
        let address = address.map(source_address);
        let mut used = self.lock();
        let from_address = address.map_or(0, |address| used.addresses.get(&address).copied().unwrap_or(0));
        if address.is_some() && from_address >= self.limits.max_connections_per_address {
            used.handshakes.evict_oldest_of(address)?;
        } else if used.connections >= self.limits.max_connections {
            // Not if the newcomer has as many: with few places left, newcomers would take them from each other.
            let (largest, count) = used.handshakes.largest(address)?;
            (count > used.handshakes.of(address) + 1).then_some(())?;
            used.handshakes.evict_oldest_of(largest)?;
        } else if used.handshakes.count >= self.limits.max_handshakes {
            let (largest, _) = used.handshakes.largest(address)?;
            used.handshakes.evict_oldest_of(largest)?;
        }
        used.connections += 1;
        if let Some(address) = address {
            used.addresses.insert(address, from_address + 1);
        }
        let (id, evicted) = used.handshakes.add(address);
        let slot = ConnectionSlot {
            table: self.clone(),
            address,
        };
        let handshake_slot = HandshakeSlot {
            table: self.clone(),
            address,
            id,
            evicted,
        };
        Some((slot, handshake_slot))
    }

    fn lock(&self) -> MutexGuard<'_, UsedSlots> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections that have not completed their handshake, by address, each with a number that grows.
#[derive(Debug, Default)]
struct HandshakeSlots {
    count: usize,
    last_id: u64,
    by_address: HashMap<Option<IpAddr>, BTreeMap<u64, Arc<Notify>>>,
}

impl HandshakeSlots {
    fn add(&mut self, address: Option<IpAddr>) -> (u64, Arc<Notify>) {
        self.count += 1;
        self.last_id += 1;
        let evicted = Arc::<Notify>::default();
        let slots = self.by_address.entry(address).or_default();
        slots.insert(self.last_id, evicted.clone());
        (self.last_id, evicted)
    }

    /// Returns the number of slots of an address.
    fn of(&self, address: Option<IpAddr>) -> usize {
        self.by_address.get(&address).map_or(0, BTreeMap::len)
    }

    /// Returns the address with the most slots, and their number, if `newcomer` had one more. Among several, returns the one
    /// with the oldest slot. Returns `None` if there are no slots.
    fn largest(&self, newcomer: Option<IpAddr>) -> Option<(Option<IpAddr>, usize)> {
        let counts = self.by_address.iter().map(|(address, slots)| {
            let oldest = slots.keys().next().copied().unwrap_or(u64::MAX);
            let count = slots.len() + usize::from(*address == newcomer);
            ((count, Reverse(oldest)), *address)
        });
        let ((count, _), address) = counts.max_by_key(|(key, _)| *key)?;
        Some((address, count))
    }

    /// Takes the oldest slot of an address away. Returns `None` if it has none.
    fn evict_oldest_of(&mut self, address: Option<IpAddr>) -> Option<()> {
        let id = *self.by_address.get(&address)?.keys().next()?;
        self.remove(address, id)?.notify_one();
        Some(())
    }

    /// Removes a slot. Returns `None` if it was removed before.
    fn remove(&mut self, address: Option<IpAddr>, id: u64) -> Option<Arc<Notify>> {
        let slots = self.by_address.get_mut(&address)?;
        let evicted = slots.remove(&id)?;
        if slots.is_empty() {
            self.by_address.remove(&address);
        }
        self.count -= 1;
        Some(evicted)
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

/// The slot of one handshake. Drop it once the handshake is complete, and close the connection if it is
/// [evicted](Self::evicted) before.
#[derive(Debug)]
pub struct HandshakeSlot {
    table: Arc<SlotTable>,
    address: Option<IpAddr>,
    id: u64,
    evicted: Arc<Notify>,
}

impl HandshakeSlot {
    /// Waits until the slot is given to another connection, which happens if a limit is reached and this is the oldest one of
    /// its address: see [`ConnectionLimits`]. This method is cancel safe.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.table.lock().handshakes.remove(self.address, self.id);
    }
}

/// Returns the address that stands for all addresses of the same host, for limits by address: an IPv4 address, or the network of 64
/// bits of an IPv6 address.
///
/// ```
/// use brubeck_zmtp::source_address;
///
/// let of = |address: &str| source_address(address.parse().unwrap());
/// assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
/// assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
/// ```
#[must_use]
pub fn source_address(address: IpAddr) -> IpAddr {
    // An IPv6 listener reports IPv4 peers with mapped addresses.
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
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
    use futures_util::FutureExt;

    fn table(
        max_connections: usize,
        max_connections_per_address: usize,
        max_handshakes: usize,
    ) -> Arc<SlotTable> {
        SlotTable::new(ConnectionLimits {
            max_connections,
            max_connections_per_address,
            max_handshakes,
        })
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    fn is_evicted(slots: &(ConnectionSlot, HandshakeSlot)) -> bool {
        slots.1.evicted().now_or_never().is_some()
    }

    #[test]
    fn slots_are_limited_and_released() {
        let table = table(3, 2, 2);
        let (first, first_handshake) = table.acquire(address(1)).unwrap();
        let (second, second_handshake) = table.acquire(address(1)).unwrap();
        drop((first_handshake, second_handshake));
        assert!(
            table.acquire(address(1)).is_none(),
            "the limit of the address is reached"
        );
        let mapped = Some("::ffff:10.0.0.1".parse().unwrap());
        assert!(
            table.acquire(mapped).is_none(),
            "a mapped address counts as its IPv4 address"
        );
        let third = table.acquire(address(2)).unwrap();
        assert!(
            table.acquire(None).is_none(),
            "the limit of connections is reached"
        );
        assert!(!is_evicted(&third), "the newcomer would take the only place");
        drop((first, second, third));
        let taken = table.lock();
        assert_eq!(
            (
                taken.connections,
                taken.handshakes.count,
                taken.addresses.len(),
                taken.handshakes.by_address.len()
            ),
            (0, 0, 0, 0)
        );
    }

    #[test]
    fn newcomer_takes_the_oldest_handshake_of_the_address_with_the_most() {
        let table = table(100, 100, 4);
        let flood: Vec<_> = (0..3).map(|_| table.acquire(address(1)).unwrap()).collect();
        let honest = table.acquire(address(2)).unwrap();
        let next = table.acquire(address(3)).unwrap();
        assert!(is_evicted(&flood[0]) && !is_evicted(&flood[1]) && !is_evicted(&honest));
        // The address of the newcomer would have the most.
        let last = table.acquire(address(1)).unwrap();
        assert!(is_evicted(&flood[1]) && !is_evicted(&flood[2]) && !is_evicted(&last));
        assert_eq!(table.lock().handshakes.count, 4);
        drop((flood, honest, next, last));
        assert_eq!(table.lock().handshakes.count, 0);
    }

    #[test]
    fn full_address_loses_its_oldest_handshake() {
        let table = table(100, 2, 100);
        let first = table.acquire(address(1)).unwrap();
        let (_second, handshake) = table.acquire(address(1)).unwrap();
        drop(handshake);
        let _third = table.acquire(address(1)).unwrap();
        assert!(is_evicted(&first));
    }

    #[test]
    fn full_table_takes_a_place_from_an_address_with_more_handshakes() {
        let table = table(3, 100, 100);
        let flood: Vec<_> = (0..3).map(|_| table.acquire(address(1)).unwrap()).collect();
        assert!(table.acquire(address(1)).is_none());
        let _honest = table.acquire(address(2)).unwrap();
        assert!(is_evicted(&flood[0]) && !is_evicted(&flood[1]));
    }

    #[test]
    fn hosts_with_many_ipv6_addresses_count_once() {
        let of = |address: &str| source_address(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn reads_the_limit_of_open_files() {
        assert!(max_open_files().is_some());
    }
}

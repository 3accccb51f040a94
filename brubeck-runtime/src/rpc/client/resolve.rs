//! The worker addresses of a pool, and the resolution of host names among them.

use super::PoolInner;
use crate::error::Error;
use crate::rpc::core::PeerId;
use brubeck_zmtp::{Endpoint, TransportError};
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The time between two resolutions of a host name.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);

/// The maximum number of workers of a pool.
pub(super) const MAX_WORKERS: usize = 256;

/// Resolves host names to IP addresses.
#[derive(Clone)]
pub(crate) struct Resolver {
    lookup: Arc<LookupFn>,
    interval: Duration,
}

type LookupFn = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Returns a resolver that uses the resolver of the operating system.
pub(crate) fn system_resolver() -> Resolver {
    Resolver {
        lookup: Arc::new(|host| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        }),
        interval: RESOLVE_INTERVAL,
    }
}

/// The addresses that were added to a pool, with the workers behind each of them.
#[derive(Default)]
pub(super) struct WorkerAddresses {
    by_address: HashMap<String, AddressEntry>,
    /// The number of host names whose first resolution has not finished.
    unresolved: usize,
}

struct AddressEntry {
    /// One worker, or one for each resolved host if `resolve_task` is set.
    workers: HashMap<Endpoint, PeerId>,
    /// Set if the address is a host name that the pool resolves.
    resolve_task: Option<ResolveTask>,
}

/// The task that resolves a host name periodically. Dropping it aborts the task.
struct ResolveTask {
    handle: AbortHandle,
    /// Set once the first resolution has finished.
    resolved: bool,
}

impl Drop for ResolveTask {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl WorkerAddresses {
    /// Returns the addresses in alphabetical order.
    pub(super) fn list(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.by_address.keys().cloned().collect();
        addresses.sort();
        addresses
    }

    /// Returns `true` if the first resolution of a host name has not finished. Calls that are made before it has finished wait
    /// for a worker until their deadline instead of failing with `NoWorkers`.
    pub(super) fn has_unresolved(&self) -> bool {
        self.unresolved > 0
    }

    /// Returns the endpoint of a worker, and where its id is stored.
    pub(super) fn worker_mut(&mut self, peer: PeerId) -> Option<(&Endpoint, &mut PeerId)> {
        let workers = self
            .by_address
            .values_mut()
            .flat_map(|entry| entry.workers.iter_mut());
        workers.into_iter().find(|(_, known)| **known == peer)
    }

    fn worker_count(&self) -> usize {
        self.by_address.values().map(|entry| entry.workers.len()).sum()
    }

    fn remove(&mut self, address: &str) -> Option<AddressEntry> {
        let entry = self.by_address.remove(address)?;
        self.unresolved -= usize::from(entry.resolve_task.as_ref().is_some_and(|task| !task.resolved));
        Some(entry)
    }

    fn mark_resolved(&mut self, address: &str) {
        let task = self
            .by_address
            .get_mut(address)
            .and_then(|entry| entry.resolve_task.as_mut());
        if let Some(task) = task
            && !std::mem::replace(&mut task.resolved, true)
        {
            self.unresolved -= 1;
        }
    }
}

impl PoolInner {
    pub(super) fn addresses(&self) -> MutexGuard<'_, WorkerAddresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the address of a worker, or a host name that stands for several. Does nothing if the address is already known.
    pub(super) fn add_address(self: &Arc<Self>, address: &str) -> crate::Result<()> {
        let cannot_call =
            |error: TransportError| Error::because(format!("cannot call the service at {address}"), error);
        let endpoint: Endpoint = address
            .parse()
            .map_err(|error| cannot_call(TransportError::from(error)))?;
        endpoint
            .check_connect()
            .map_err(|error| cannot_call(TransportError::from(error)))?;
        let mut addresses = self.addresses();
        if addresses.by_address.contains_key(address) {
            return Ok(());
        }
        // A host name without hosts counts too, so that the number of resolve tasks is bounded.
        if addresses.worker_count().max(addresses.by_address.len()) >= MAX_WORKERS {
            return Err(Error::new(format!(
                "cannot add the worker {address}: a client has at most {MAX_WORKERS} workers; remove one first"
            )));
        }
        let mut entry = AddressEntry {
            workers: HashMap::new(),
            resolve_task: None,
        };
        match host_name(&endpoint).filter(|_| self.resolver.is_some()) {
            None => {
                let peer = self.connect_worker(endpoint.clone()).map_err(cannot_call)?;
                entry.workers.insert(endpoint, peer);
            }
            Some((host, port)) => {
                let task = self.runtime.spawn(resolve_periodically(
                    Arc::downgrade(self),
                    address.to_owned(),
                    host,
                    port,
                ));
                entry.resolve_task = Some(ResolveTask {
                    handle: task.abort_handle(),
                    resolved: false,
                });
                addresses.unresolved += 1;
            }
        }
        addresses.by_address.insert(address.to_owned(), entry);
        Ok(())
    }

    /// Removes an address and its workers. Returns `false` if the address is not known.
    pub(super) fn remove_address(&self, address: &str) -> bool {
        let Some(entry) = self.addresses().remove(address) else {
            return false;
        };
        for peer in entry.workers.into_values() {
            self.remove_worker(peer);
        }
        true
    }

    /// Replaces the workers of a host name by workers at `hosts`, the result of its latest resolution. Hosts that are still
    /// listed keep their connections.
    ///
    /// New hosts are added before others are removed, so that the service stays reachable. If the pool is full, the remaining
    /// new hosts are added after a later resolution.
    fn update_hosts(self: &Arc<Self>, address: &str, hosts: &[Endpoint]) {
        let mut addresses = self.addresses();
        let mut capacity = MAX_WORKERS.saturating_sub(addresses.worker_count());
        let Some(entry) = addresses.by_address.get_mut(address) else {
            return;
        };
        for host in hosts {
            if entry.workers.contains_key(host) || capacity == 0 {
                continue;
            }
            match self.connect_worker(host.clone()) {
                Ok(peer) => {
                    tracing::debug!(address, %host, "host added to service");
                    entry.workers.insert(host.clone(), peer);
                    capacity -= 1;
                }
                Err(error) => tracing::warn!(address, %host, %error, "cannot add host to service"),
            }
        }
        let removed: Vec<PeerId> = entry
            .workers
            .extract_if(|host, _| !hosts.contains(host))
            .map(|(_, peer)| peer)
            .collect();
        drop(addresses);
        for peer in removed {
            self.remove_worker(peer);
        }
    }
}

/// Returns the host and port of an endpoint that may stand for several hosts, or `None` for an IP address, `localhost` or an
/// `ipc` path.
fn host_name(endpoint: &Endpoint) -> Option<(String, u16)> {
    match endpoint {
        Endpoint::Tcp { host, port } if host.parse::<IpAddr>().is_err() && !endpoint.is_loopback() => {
            Some((host.clone(), *port))
        }
        _ => None,
    }
}

/// Resolves a host name periodically. The task is aborted when the pool is dropped or the address removed.
///
/// If a resolution fails or returns no addresses, the workers of the previous one are kept.
async fn resolve_periodically(pool: Weak<PoolInner>, address: String, host: String, port: u16) {
    let Some(resolver) = pool.upgrade().and_then(|pool| pool.resolver.clone()) else {
        return;
    };
    loop {
        let result = (resolver.lookup)(host.clone()).await;
        let Some(pool) = pool.upgrade() else { return };
        match result {
            Ok(found) if !found.is_empty() => pool.update_hosts(&address, &endpoints(&found, port)),
            Ok(_) => tracing::warn!(host, "host name of service has no addresses"),
            Err(error) => tracing::warn!(host, %error, "cannot resolve host name of service"),
        }
        pool.addresses().mark_resolved(&address);
        drop(pool);
        tokio::time::sleep(resolver.interval).await;
    }
}

/// Converts resolved addresses to endpoints.
///
/// Only addresses of the same family as the first one are used, because a host with an IPv4 and an IPv6 address is one
/// worker and not two.
fn endpoints(found: &[IpAddr], port: u16) -> Vec<Endpoint> {
    let first_is_v4 = found.first().is_some_and(IpAddr::is_ipv4);
    found
        .iter()
        .filter(|address| address.is_ipv4() == first_is_v4)
        .map(|address| Endpoint::Tcp {
            host: address.to_string(),
            port,
        })
        .collect()
}

#[cfg(test)]
mod tests;

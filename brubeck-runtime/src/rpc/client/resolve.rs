//! The worker addresses of a pool, and the resolution of host names among them.

use super::PoolInner;
use crate::error::Error;
use crate::rpc::core::{CallerEvent, ConnectivityState, PeerId};
use brubeck_zmtp::{Endpoint, TransportError};
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The time between two resolutions of a host name.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);

/// The time for which the addresses of one version of IP are tried before those of the other one (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

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

    /// Returns `true` if this was the last host name whose first resolution had not finished.
    fn mark_resolved(&mut self, address: &str) -> bool {
        let task = self
            .by_address
            .get_mut(address)
            .and_then(|entry| entry.resolve_task.as_mut());
        if let Some(task) = task
            && !std::mem::replace(&mut task.resolved, true)
        {
            self.unresolved -= 1;
            return self.unresolved == 0;
        }
        false
    }
}

impl PoolInner {
    pub(super) fn addresses(&self) -> MutexGuard<'_, WorkerAddresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the address of a worker, or a host name that stands for several. Does nothing if the address is already known.
    ///
    /// A relative path refers to `folder`, or to the working directory.
    pub(super) fn add_address(self: &Arc<Self>, address: &str, folder: Option<&Path>) -> crate::Result<()> {
        let cannot_call =
            |error: TransportError| Error::because(format!("cannot call the service at {address}"), error);
        let endpoint: Endpoint = address
            .parse()
            .map_err(|error| cannot_call(TransportError::from(error)))?;
        endpoint
            .check_connect()
            .map_err(|error| cannot_call(TransportError::from(error)))?;
        let endpoint = match (endpoint, folder) {
            // In memory, a path is only a name.
            (Endpoint::Ipc(path), Some(folder)) if self.resolver.is_some() => {
                Endpoint::Ipc(folder.join(path))
            }
            (endpoint, _) => endpoint,
        };
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

    /// Returns `true` if a session with one of these hosts is open.
    fn is_any_connected(&self, address: &str, hosts: &[Endpoint]) -> bool {
        let addresses = self.addresses();
        let Some(entry) = addresses.by_address.get(address) else {
            return false;
        };
        let peers: Vec<PeerId> = hosts
            .iter()
            .filter_map(|host| entry.workers.get(host).copied())
            .collect();
        let state = self.lock();
        let is_open = |state| matches!(state, ConnectivityState::Ready | ConnectivityState::Draining);
        let mut views = state.driver.machine.peers();
        views.any(|view| is_open(view.state) && peers.contains(&view.peer))
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
    let mut family = FamilyChoice::default();
    loop {
        let result = (resolver.lookup)(host.clone()).await;
        let next_resolution = Instant::now() + resolver.interval;
        let Some(strong) = pool.upgrade() else { return };
        let found = match result {
            Ok(found) if !found.is_empty() => {
                strong.lock().resolve_error = None;
                found
            }
            Ok(_) => {
                tracing::warn!(host, "host name of service has no addresses");
                strong.lock().resolve_error = Some(format!("the host {host} has no address"));
                Vec::new()
            }
            Err(error) => {
                tracing::warn!(host, %error, "cannot resolve host name of service");
                strong.lock().resolve_error = Some(format!("cannot resolve the host {host}: {error}"));
                Vec::new()
            }
        };
        let hosts = Hosts::new(&found, port, family.preferred);
        if !found.is_empty() {
            strong.update_hosts(&address, &family.to_connect(&hosts));
        }
        if strong.addresses().mark_resolved(&address) {
            strong.handle_event(CallerEvent::WorkersKnown);
        }
        drop(strong);
        if !hosts.second.is_empty() {
            choose_family(&pool, &address, &hosts, &mut family, next_resolution).await;
        }
        tokio::time::sleep_until(next_resolution).await;
    }
}

/// The addresses of a host name, by version of IP.
struct Hosts {
    first: Vec<Endpoint>,
    second: Vec<Endpoint>,
    first_is_v4: bool,
}

impl Hosts {
    /// Sorts addresses: first those of the preferred version, or of the version that is listed first.
    fn new(found: &[IpAddr], port: u16, prefers_v4: Option<bool>) -> Hosts {
        let is_first_v4 = || found.first().is_some_and(IpAddr::is_ipv4);
        let prefers_v4 = prefers_v4.filter(|v4| found.iter().any(|address| address.is_ipv4() == *v4));
        let first_is_v4 = prefers_v4.unwrap_or_else(is_first_v4);
        let of_version = |v4: bool| {
            let addresses = found.iter().filter(|address| address.is_ipv4() == v4);
            let endpoint = |address: &IpAddr| Endpoint::Tcp {
                host: address.to_string(),
                port,
            };
            addresses.map(endpoint).collect()
        };
        Hosts {
            first: of_version(first_is_v4),
            second: of_version(!first_is_v4),
            first_is_v4,
        }
    }

    fn all(&self) -> Vec<Endpoint> {
        self.first.iter().chain(&self.second).cloned().collect()
    }
}

/// The version of IP that is used of a host name that has both.
///
/// A host with an IPv4 and an IPv6 address is one worker and not two, so only the addresses of one version are used: of the first one
/// that works.
#[derive(Default)]
struct FamilyChoice {
    /// `true` for IPv4, and `None` if no worker was reached yet.
    preferred: Option<bool>,
    /// The addresses of both versions are tried.
    tries_both: bool,
}

impl FamilyChoice {
    fn to_connect(&self, hosts: &Hosts) -> Vec<Endpoint> {
        match self.tries_both {
            true => hosts.all(),
            false => hosts.first.clone(),
        }
    }
}

/// Adds the addresses of the second version of IP if those of the first one do not work, and keeps the version that works.
async fn choose_family(
    pool: &Weak<PoolInner>,
    address: &str,
    hosts: &Hosts,
    family: &mut FamilyChoice,
    until: Instant,
) {
    loop {
        if !family.tries_both || family.preferred.is_none() {
            tokio::time::sleep_until((Instant::now() + ATTEMPT_DELAY).min(until)).await;
        }
        let Some(pool) = pool.upgrade() else { return };
        for (works, v4) in [
            (&hosts.first, hosts.first_is_v4),
            (&hosts.second, !hosts.first_is_v4),
        ] {
            if pool.is_any_connected(address, works) {
                *family = FamilyChoice {
                    preferred: Some(v4),
                    tries_both: false,
                };
                return pool.update_hosts(address, works);
            }
        }
        if !family.tries_both {
            family.tries_both = true;
            family.preferred = None;
            pool.update_hosts(address, &hosts.all());
        }
        if Instant::now() >= until {
            return;
        }
    }
}

#[cfg(test)]
mod tests;

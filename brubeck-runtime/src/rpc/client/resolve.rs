//! Which processes a pool has: the addresses that were asked for, and the hosts that names among them stand for.

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

/// How often a name is looked up again.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Processes that a pool may have at a time: what its core knows at most.
const MOST: usize = 256;

/// Finds the addresses of a host, and says how often that is worth doing.
#[derive(Clone)]
pub(crate) struct Resolver {
    find: Arc<LookupFn>,
    every: Duration,
}

type LookupFn = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Asks the system.
pub(crate) fn system_resolver() -> Resolver {
    Resolver {
        find: Arc::new(|host| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        }),
        every: LOOK_UP,
    }
}

/// The addresses of a pool.
#[derive(Default)]
pub(super) struct PoolMembers {
    by_address: HashMap<String, Member>,
    /// Names that have not been looked up yet.
    unresolved: usize,
}

struct Member {
    /// One process for an address, one for each host of a name.
    peers: HashMap<Endpoint, PeerId>,
    follower: Option<ResolveTask>,
}

/// What looks a name up, for as long as it is a member.
struct ResolveTask {
    task: AbortHandle,
    resolved: bool,
}

impl Drop for ResolveTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PoolMembers {
    pub(super) fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.by_address.keys().cloned().collect();
        addresses.sort();
        addresses
    }

    /// Whether there are names that nobody has looked up yet: calls then wait, because there may be processes.
    pub(super) fn are_unresolved(&self) -> bool {
        self.unresolved > 0
    }

    fn count(&self) -> usize {
        self.by_address.values().map(|member| member.peers.len()).sum()
    }

    fn take(&mut self, address: &str) -> Option<Member> {
        let member = self.by_address.remove(address)?;
        self.unresolved -= usize::from(
            member
                .follower
                .as_ref()
                .is_some_and(|follower| !follower.resolved),
        );
        Some(member)
    }

    fn note_resolved(&mut self, address: &str) {
        let follower = self
            .by_address
            .get_mut(address)
            .and_then(|member| member.follower.as_mut());
        if let Some(follower) = follower
            && !std::mem::replace(&mut follower.resolved, true)
        {
            self.unresolved -= 1;
        }
    }
}

impl PoolInner {
    pub(super) fn members(&self) -> MutexGuard<'_, PoolMembers> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an address; one that is there already stays.
    pub(super) fn add(self: &Arc<Self>, address: &str) -> crate::Result<()> {
        let cannot =
            |error: TransportError| Error::because(format!("cannot call the service at {address}"), error);
        let endpoint: Endpoint = address
            .parse()
            .map_err(|error| cannot(TransportError::from(error)))?;
        endpoint
            .check_connect()
            .map_err(|error| cannot(TransportError::from(error)))?;
        let mut members = self.members();
        if members.by_address.contains_key(address) {
            return Ok(());
        }
        if members.count().max(members.by_address.len()) >= MOST {
            return Err(Error::new(format!(
                "cannot call the service at {address}, too: a pool has at most {MOST} processes; remove one first"
            )));
        }
        let mut member = Member {
            peers: HashMap::new(),
            follower: None,
        };
        match name(&endpoint).filter(|_| self.resolve.is_some()) {
            None => {
                let peer = self.join(endpoint.clone()).map_err(cannot)?;
                member.peers.insert(endpoint, peer);
            }
            Some((host, port)) => {
                let task = self
                    .runtime
                    .spawn(follow(Arc::downgrade(self), address.to_owned(), host, port));
                member.follower = Some(ResolveTask {
                    task: task.abort_handle(),
                    resolved: false,
                });
                members.unresolved += 1;
            }
        }
        members.by_address.insert(address.to_owned(), member);
        Ok(())
    }

    /// Removes an address; `false` if it was not there.
    pub(super) fn remove(&self, address: &str) -> bool {
        let removed = self.members().take(address);
        let known = removed.is_some();
        let peers = removed.map(|member| member.peers.into_values().collect::<Vec<_>>());
        peers.into_iter().flatten().for_each(|peer| self.leave(peer));
        known
    }

    /// A name stands for these hosts now.
    fn stands_for(self: &Arc<Self>, address: &str, hosts: &[Endpoint]) {
        let mut members = self.members();
        let mut room = MOST.saturating_sub(members.count());
        let Some(member) = members.by_address.get_mut(address) else {
            return;
        };
        for host in hosts {
            if member.peers.contains_key(host) || room == 0 {
                continue;
            }
            match self.join(host.clone()) {
                Ok(peer) => {
                    tracing::debug!(address, %host, "a service has one more host");
                    member.peers.insert(host.clone(), peer);
                    room -= 1;
                }
                Err(error) => tracing::warn!(address, %host, %error, "a host of a service cannot be called"),
            }
        }
        let gone: Vec<Endpoint> = member
            .peers
            .keys()
            .filter(|host| !hosts.contains(host))
            .cloned()
            .collect();
        let gone: Vec<PeerId> = gone.iter().filter_map(|host| member.peers.remove(host)).collect();
        drop(members);
        gone.into_iter().for_each(|peer| self.leave(peer));
    }
}

/// The host and port of an endpoint that may stand for several hosts.
fn name(endpoint: &Endpoint) -> Option<(String, u16)> {
    match endpoint {
        Endpoint::Tcp { host, port } if host.parse::<IpAddr>().is_err() && !endpoint.is_loopback() => {
            Some((host.clone(), *port))
        }
        _ => None,
    }
}

/// Looks a name up again and again, for as long as the pool lives. A failure changes nothing: what was found
/// before is better than nothing.
async fn follow(shared: Weak<PoolInner>, address: String, host: String, port: u16) {
    let Some(resolve) = shared.upgrade().and_then(|shared| shared.resolve.clone()) else {
        return;
    };
    loop {
        let found = (resolve.find)(host.clone()).await;
        let Some(shared) = shared.upgrade() else { return };
        match found {
            Ok(found) if !found.is_empty() => shared.stands_for(&address, &endpoints(&found, port)),
            Ok(_) => tracing::warn!(host, "the name of a service has no addresses"),
            Err(error) => tracing::warn!(host, %error, "the name of a service cannot be looked up"),
        }
        shared.members().note_resolved(&address);
        drop(shared);
        tokio::time::sleep(resolve.every).await;
    }
}

/// The endpoints of one kind of addresses, that of the first: a host that has both is one process, not two.
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

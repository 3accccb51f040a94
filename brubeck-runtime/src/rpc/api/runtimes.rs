//! The link of a client that may outlive the tokio runtime in which it was created.

use super::{
    CallError, CallErrorReason, Link, NamedAddress, OpenLink, Origin, PendingResponse, ServiceAddress,
    ServiceRequest,
};
use crate::error::Error;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::future::ready;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::runtime::{self, Handle};
use tokio::time::Instant;

/// The maximum number of runtimes that use one client at the same time.
const MAX_RUNTIMES: usize = 1024;

/// A link that opens one link to its service in each runtime that uses it.
///
/// The tasks of a link end with their runtime. A client in a `static` outlives the runtimes of the tests that use it, so each of them
/// gets a link of its own, which is dropped after its runtime has ended. A link that has to bind its addresses can exist only once:
/// other runtimes use it, too, for as long as its runtime lives.
#[derive(Clone)]
pub(crate) struct RuntimeLinks(Arc<SharedLinks>);

struct SharedLinks {
    service: ServiceAddress,
    open: OpenLink,
    is_lazy: bool,
    links: RwLock<OpenLinks>,
}

struct OpenLinks {
    by_runtime: Vec<(runtime::Id, Arc<dyn Link>)>,
    /// The addresses of the workers, which a new link connects to.
    workers: BTreeSet<String>,
}

impl RuntimeLinks {
    /// Opens the link of the current runtime now, so that a mistake in the address is reported here.
    pub(crate) fn open(service: &ServiceAddress, open: OpenLink) -> crate::Result<Arc<dyn Link>> {
        let links = RuntimeLinks::new(service.clone(), open, false);
        links.0.current()?;
        Ok(Arc::new(links))
    }

    /// Opens each link when it is first used. If that fails, the call fails, and the next call tries again.
    pub(crate) fn lazy(service: ServiceAddress, open: OpenLink) -> RuntimeLinks {
        RuntimeLinks::new(service, open, true)
    }

    fn new(service: ServiceAddress, open: OpenLink, is_lazy: bool) -> RuntimeLinks {
        let workers = service.addresses().map(str::to_owned).collect();
        RuntimeLinks(Arc::new(SharedLinks {
            service,
            open,
            is_lazy,
            links: RwLock::new(OpenLinks {
                by_runtime: Vec::new(),
                workers,
            }),
        }))
    }
}

impl SharedLinks {
    fn read(&self) -> RwLockReadGuard<'_, OpenLinks> {
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, OpenLinks> {
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the link of the current runtime, and opens it if necessary.
    fn current(&self) -> crate::Result<Arc<dyn Link>> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(self.error(
                "there is no tokio runtime on this thread; call it from an async function that tokio runs, or inside of \
                 `Runtime::enter`",
            ));
        };
        let runtime = runtime.id();
        if let Some(link) = self.find(&self.read(), runtime) {
            return Ok(link);
        }
        // The lock is held while the link is opened, so that concurrent callers do not open two.
        let mut links = self.write();
        if let Some(link) = self.find(&links, runtime) {
            return Ok(link);
        }
        links.by_runtime.retain(|(_, link)| !link.is_closed());
        if links.by_runtime.len() >= MAX_RUNTIMES {
            return Err(self.error(&format!(
                "{MAX_RUNTIMES} tokio runtimes use its client already; create a client for each group of runtimes"
            )));
        }
        self.service.check()?;
        let link = (self.open)(&self.service)?;
        self.apply_workers(&link, &links.workers)?;
        links.by_runtime.push((runtime, link.clone()));
        Ok(link)
    }

    fn find(&self, links: &OpenLinks, runtime: runtime::Id) -> Option<Arc<dyn Link>> {
        // A link with an address for responses binds both addresses.
        let binds = self.service.responses().is_some();
        links
            .by_runtime
            .iter()
            .find(|(id, link)| (binds || *id == runtime) && !link.is_closed())
            .map(|(_, link)| link.clone())
    }

    /// Applies the workers that were added to or removed from the links of other runtimes to a new link.
    fn apply_workers(&self, link: &Arc<dyn Link>, workers: &BTreeSet<String>) -> crate::Result<()> {
        for removed in self
            .service
            .addresses()
            .filter(|address| !workers.contains(*address))
        {
            link.remove_worker(removed)?;
        }
        for added in workers {
            if self.service.addresses().all(|address| address != added) {
                link.add_worker(added)?;
            }
        }
        Ok(())
    }

    /// Returns the address of a worker without the name of the service.
    ///
    /// # Errors
    /// Returns an error if it has the name of another service.
    fn without_name(&self, address: &str) -> crate::Result<String> {
        let NamedAddress { address, service } = NamedAddress::new(address.to_owned());
        match (&service, self.service.service_name()) {
            (Some(name), own) if own != Some(name) => Err(self.error(&format!(
                "{address} is that of `{name}`; a client calls one service"
            ))),
            _ => Ok(address),
        }
    }

    fn error(&self, reason: &str) -> Error {
        Error::new(format!(
            "cannot call the service at {}: {reason}",
            self.service.address()
        ))
    }

    fn for_call(&self) -> Result<Arc<dyn Link>, CallError> {
        self.current()
            .map_err(|error| CallError::Refused(CallErrorReason::of(error)))
    }

    /// Returns a link that has not lost its runtime, preferably that of the current runtime.
    fn any(&self) -> crate::Result<Arc<dyn Link>> {
        self.current().or_else(|error| {
            let links = self.read();
            let open = links.by_runtime.iter().find(|(_, link)| !link.is_closed());
            open.map(|(_, link)| link.clone()).ok_or(error)
        })
    }
}

impl Link for RuntimeLinks {
    fn call(&self, request: ServiceRequest, origin: Option<Origin>, deadline: Instant) -> PendingResponse {
        match self.0.for_call() {
            Ok(link) => link.call(request, origin, deadline),
            // `runtime.block_on(call.into_future())` starts the call outside of the runtime.
            Err(_) if Handle::try_current().is_err() => {
                let links = self.0.clone();
                Box::pin(async move { links.for_call()?.call(request, origin, deadline).await })
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn post(
        &self,
        request: ServiceRequest,
        origin: Option<Origin>,
        deadline: Instant,
    ) -> BoxFuture<'static, Result<PendingResponse, CallError>> {
        match self.0.for_call() {
            Ok(link) => link.post(request, origin, deadline),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn address(&self) -> &str {
        self.0.service.address()
    }

    fn in_test(&self, open: &dyn Fn(&ServiceAddress) -> Arc<dyn Link>) -> Option<Arc<dyn Link>> {
        self.0.is_lazy.then(|| open(&self.0.service))
    }

    fn response_unreadable(&self, worker: &str) {
        if let Ok(link) = self.0.current() {
            link.response_unreadable(worker);
        }
    }

    fn add_worker(&self, address: &str) -> crate::Result<()> {
        let address = &self.0.without_name(address)?;
        let checked = self.0.any()?;
        checked.add_worker(address)?;
        let mut links = self.0.write();
        links.workers.insert(address.to_owned());
        for (_, link) in &links.by_runtime {
            if !link.is_closed() && !Arc::ptr_eq(link, &checked) {
                link.add_worker(address)?;
            }
        }
        Ok(())
    }

    fn remove_worker(&self, address: &str) -> crate::Result<bool> {
        if self.0.service.selected_dialect().is_some() {
            return Err(self.fixed_workers_error(address));
        }
        let address = &self.0.without_name(address)?;
        let mut links = self.0.write();
        if !links.workers.remove(address) {
            return Ok(false);
        }
        for (_, link) in &links.by_runtime {
            link.remove_worker(address)?;
        }
        Ok(true)
    }

    fn workers(&self) -> Vec<String> {
        self.0.read().workers.iter().cloned().collect()
    }
}

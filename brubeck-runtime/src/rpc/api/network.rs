//! The network of an application's clients: sockets, or the memory of a test.

use super::{Client, Link, ServiceAddress};
use crate::error::Error;
use std::sync::Arc;

/// Opens the link to a service.
pub(crate) type OpenLink = Arc<dyn Fn(&ServiceAddress) -> crate::Result<Arc<dyn Link>> + Send + Sync>;

/// The network of an application: how its clients open their links.
#[derive(Clone)]
pub(crate) struct ServiceNetwork {
    pub(crate) open: OpenLink,
    /// `None` if a client that `XClient::at` returned keeps its own link; otherwise the function that opens another one.
    replace: Option<OpenLink>,
}

impl ServiceNetwork {
    /// The network of a program that is not a test.
    pub(crate) fn sockets(open: OpenLink) -> ServiceNetwork {
        ServiceNetwork { open, replace: None }
    }

    /// The network of a `TestSite`, to which clients in the states of its applications belong, too.
    pub(crate) fn of_site(open: OpenLink) -> ServiceNetwork {
        ServiceNetwork {
            replace: Some(open.clone()),
            open,
        }
    }

    /// The network of a `TestClient`, in which only clients that were connected explicitly have links.
    pub(crate) fn of_test_client(open: OpenLink) -> ServiceNetwork {
        ServiceNetwork {
            open,
            replace: Some(Arc::new(|service| {
                Err(Error::new(format!(
                    "cannot call the service at {}: a `TestClient` has no services; use a `TestSite` with \
                     `.service(Service::bind(\"{}\", ..), app)`",
                    service.address(),
                    service.address()
                )))
            })),
        }
    }

    /// Returns how to open the link of a client that `XClient::at` returned, if this network is that of a test.
    pub(super) fn replacement(&self, client: &Client) -> Option<(ServiceAddress, OpenLink)> {
        let open = self.replace.clone()?;
        Some((client.link.lazy_service()?.clone(), open))
    }
}

//! The network of an application's clients: sockets, or the memory of a test.

use super::{Link, ServiceAddress};
use crate::error::Error;
use std::sync::Arc;

/// Opens the link to a service.
pub(crate) type OpenLink = Arc<dyn Fn(&ServiceAddress) -> crate::Result<Arc<dyn Link>> + Send + Sync>;

/// The network of an application: how its clients open their links.
#[derive(Clone)]
pub(crate) struct ServiceNetwork {
    pub(crate) open: OpenLink,
    /// Opens the links of clients that were not connected yet when a handler takes them from the state. `None` outside of tests.
    pub(super) in_test: Option<OpenLink>,
}

impl ServiceNetwork {
    /// The network of a program that is not a test.
    pub(crate) fn sockets(open: OpenLink) -> ServiceNetwork {
        ServiceNetwork { open, in_test: None }
    }

    /// The network of a `TestSite`, to which clients in the states of its applications belong, too.
    pub(crate) fn of_site(open: OpenLink) -> ServiceNetwork {
        ServiceNetwork {
            in_test: Some(open.clone()),
            open,
        }
    }

    /// The network of a `TestClient`, in which only clients that were connected explicitly have links.
    pub(crate) fn of_test_client(open: OpenLink) -> ServiceNetwork {
        ServiceNetwork {
            open,
            in_test: Some(Arc::new(|service| {
                Err(Error::new(format!(
                    "cannot call the service at {}: a `TestClient` has no services; use a `TestSite` with \
                     `.service(Service::bind(\"{}\", ..), app)`",
                    service.address(),
                    service.address()
                )))
            })),
        }
    }
}

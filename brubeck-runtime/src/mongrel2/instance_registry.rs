//! The registry of links that belong to the same application, to detect a server that would receive the responses to
//! the others.
//!
//! Each Mongrel2 numbers its connections from 1. If a Mongrel2 subscribes with an empty `recv_ident`, it also
//! receives the responses to the other servers of the application, and writes them to its own connections of the same
//! numbers.

use super::Application;
use crate::error::Error;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The links of every application in this process.
static REGISTRY: Mutex<Vec<RegistryEntry>> = Mutex::new(Vec::new());

/// An application and its links. If one of the two was dropped, the next registration removes the entry.
type RegistryEntry = (Weak<dyn Application>, Weak<ApplicationLinks>);

/// The `recv_spec` of each link of one application, and the `recv_ident` that its Mongrel2 subscribed to, if known.
#[derive(Debug, Default)]
struct ApplicationLinks(Mutex<Vec<(String, Option<Bytes>)>>);

/// A link in the registry.
#[derive(Clone, Debug)]
pub(super) struct RegisteredLink {
    links: Arc<ApplicationLinks>,
    index: usize,
}

impl RegisteredLink {
    /// Adds a link of `application` to the registry.
    pub(super) fn new(application: &Arc<dyn Application>, recv_spec: &str) -> RegisteredLink {
        let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        registry.retain(|(application, links)| application.strong_count() > 0 && links.strong_count() > 0);
        let registered = registry
            .iter()
            .find(|(other, _)| other.ptr_eq(&Arc::downgrade(application)))
            .and_then(|(_, links)| links.upgrade());
        let links = registered.unwrap_or_else(|| {
            let links = Arc::new(ApplicationLinks::default());
            registry.push((Arc::downgrade(application), Arc::downgrade(&links)));
            links
        });
        let index = {
            let mut links = links.0.lock().unwrap_or_else(PoisonError::into_inner);
            links.push((recv_spec.to_owned(), None));
            links.len() - 1
        };
        RegisteredLink { links, index }
    }

    /// Stores the topic that the Mongrel2 of this link subscribed to.
    pub(super) fn set_recv_ident(&self, recv_ident: &Bytes) {
        let mut links = self.links.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ident)) = links.get_mut(self.index) {
            *ident = Some(recv_ident.clone());
        }
    }

    /// Checks that no server receives all responses to the other servers of the application. A `recv_ident` that is a
    /// prefix of another server's `send_ident` is not detected, because the link does not know the `send_ident`.
    ///
    /// # Errors
    ///
    /// Returns an error if there are several servers and one of them has an empty `recv_ident`.
    pub(super) fn check_recv_idents(&self) -> Result<(), Error> {
        let links = self.links.0.lock().unwrap_or_else(PoisonError::into_inner);
        match links
            .iter()
            .find(|(_, ident)| ident.as_ref().is_some_and(Bytes::is_empty))
        {
            Some((recv_spec, _)) if links.len() > 1 => Err(Error::new(format!(
                "the Mongrel2 with the recv_spec {recv_spec} has an empty recv_ident, so it receives the responses to all {} \
                 servers of this application and would send them to the wrong clients; set the recv_ident of its Handler to \
                 its send_ident",
                links.len()
            ))),
            _ => Ok(()),
        }
    }
}

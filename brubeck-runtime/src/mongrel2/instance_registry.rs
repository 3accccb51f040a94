//! The links of one application to several Mongrel2 servers.

use super::Application;
use crate::error::Error;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The links of every application in this process, so that those of one find each other.
static REGISTRY: Mutex<Vec<RegistryEntry>> = Mutex::new(Vec::new());

/// An application and its links, for as long as both live.
type RegistryEntry = (Weak<dyn Application>, Weak<ApplicationLinks>);

/// The links of one application: where each receives replies, and what its Mongrel2 subscribed to.
#[derive(Debug, Default)]
struct ApplicationLinks(Mutex<Vec<(String, Option<Bytes>)>>);

/// One link among those of its application.
#[derive(Clone, Debug)]
pub(super) struct RegisteredLink {
    links: Arc<ApplicationLinks>,
    index: usize,
}

impl RegisteredLink {
    /// One more link of this application.
    pub(super) fn new(application: &Arc<dyn Application>, recv_spec: &str) -> RegisteredLink {
        let mut all = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(application, links)| application.strong_count() > 0 && links.strong_count() > 0);
        let known = all
            .iter()
            .find(|(known, _)| known.ptr_eq(&Arc::downgrade(application)))
            .and_then(|(_, links)| links.upgrade());
        let links = known.unwrap_or_else(|| {
            let links = Arc::new(ApplicationLinks::default());
            all.push((Arc::downgrade(application), Arc::downgrade(&links)));
            links
        });
        let index = {
            let mut links = links.0.lock().unwrap_or_else(PoisonError::into_inner);
            links.push((recv_spec.to_owned(), None));
            links.len() - 1
        };
        RegisteredLink { links, index }
    }

    /// What the Mongrel2 of this link subscribed to.
    pub(super) fn subscribed(&self, ident: &Bytes) {
        let mut links = self.links.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = links.get_mut(self.index) {
            *known = Some(ident.clone());
        }
    }

    /// A Mongrel2 that takes every reply takes those to other servers too, where connections have the same numbers.
    ///
    /// # Errors
    ///
    /// There are several servers, and one of them does.
    pub(super) fn check(&self) -> Result<(), Error> {
        let links = self.links.0.lock().unwrap_or_else(PoisonError::into_inner);
        match links
            .iter()
            .find(|(_, ident)| ident.as_ref().is_some_and(Bytes::is_empty))
        {
            Some((recv_spec, _)) if links.len() > 1 => Err(Error::new(format!(
                "the Mongrel2 that receives replies at {recv_spec} takes the replies to every server, because its recv_ident \
                 is empty, and this application has {} servers: a page could reach a stranger; set the recv_ident of its \
                 Handler to its send_ident",
                links.len()
            ))),
            _ => Ok(()),
        }
    }
}

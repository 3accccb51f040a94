//! The sockets of an application in a test: WebSockets with the feature `http`, and message sockets with the feature `mongrel2`.

use crate::handler::{Application, Stop};
#[cfg(feature = "http")]
use crate::http::InMemoryServer;
use serde::Serialize;
use std::sync::Arc;

/// Opens the sockets of an application. Clones share the open ones.
#[derive(Clone)]
pub(super) struct TestSockets {
    #[cfg(feature = "http")]
    pub(super) server: InMemoryServer,
    #[cfg(feature = "mongrel2")]
    pub(super) application: Arc<dyn Application>,
}

impl TestSockets {
    /// WebSockets are closed when `stop` is requested.
    #[cfg_attr(not(feature = "http"), allow(unused_variables))]
    pub(super) fn new(application: Arc<dyn Application>, stop: Option<Stop>) -> TestSockets {
        TestSockets {
            #[cfg(feature = "http")]
            server: InMemoryServer::new(application.clone(), stop),
            #[cfg(feature = "mongrel2")]
            application,
        }
    }

    /// Waits until all WebSockets are closed and their handlers have returned.
    #[cfg(feature = "services")]
    pub(super) async fn all_ended(&self) {
        #[cfg(feature = "http")]
        self.server.all_ended().await;
    }
}

impl std::fmt::Debug for TestSockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestSockets")
    }
}

/// Serializes a message of a client. Panics if this fails.
pub(super) fn json_text(value: &(impl Serialize + ?Sized)) -> String {
    match serde_json::to_string(value) {
        Ok(text) => text,
        Err(error) => panic!("cannot serialize the message to JSON: {error}"),
    }
}

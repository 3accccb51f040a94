//! The placeholder of the server for the Python dialects, in a build without the feature `legacy`.

use crate::rpc::server::InstrumentedApplication;
use crate::secret::Secret;
use brubeck_zmtp::{RoutingId, ServerSender};
use bytes::Bytes;
use std::sync::Arc;

pub(super) struct LegacyRequestHandler;

impl LegacyRequestHandler {
    pub(super) fn new(_: Secret, _clear_text: bool, _: Arc<InstrumentedApplication>) -> LegacyRequestHandler {
        LegacyRequestHandler
    }
}

pub(super) struct LegacyServer;

impl LegacyServer {
    pub(super) fn new(_: LegacyRequestHandler, _concurrency: usize) -> LegacyServer {
        LegacyServer
    }

    /// Ignores a message that is not one of brubeck's protocol.
    pub(super) fn handle(&self, peer: RoutingId, _: Vec<Bytes>, _: &ServerSender) {
        // Not a warning, because everyone who can connect could fill the log.
        tracing::debug!(
            peer = %peer.identity().escape_ascii(),
            "ignored a message that is not of brubeck's protocol; the dialects of the Python original need the feature `legacy`"
        );
    }

    pub(super) fn disconnected(&self, _: &RoutingId) {}

    pub(super) fn drain(&self) {}

    pub(super) async fn idle(&self) {}

    pub(super) fn abort(&self) {}
}

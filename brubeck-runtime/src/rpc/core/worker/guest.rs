//! A caller as its worker sees it.

use std::time::Duration;

use bytes::Bytes;

use super::JobId;
use super::window::Window;
use crate::rpc::core::growing::Growing;
use crate::rpc::core::session::Session;
use crate::rpc::core::{MISSED_BEATS, Moment};

/// A caller that has asked for nothing for this long gets the smallest credit until it asks again.
pub(super) const IDLE: Duration = Duration::from_secs(2);

/// A caller with an open session.
#[derive(Debug)]
pub(super) struct Guest {
    /// Its routing identity. It says where messages go, and proves nothing.
    pub(super) peer: Bytes,
    pub(super) session: Session,
    pub(super) heard: Moment,
    pub(super) beat: Duration,
    pub(super) max_body: usize,
    /// The last call id that came. No id up to it is begun any more.
    pub(super) last_call: u64,
    /// Calls that were taken and not answered; `None` where the answer is held back.
    pub(super) calls: Growing<u64, Option<JobId>>,
    pub(super) window: Window,
    /// Whether it counts where credit is shared out.
    pub(super) active: bool,
    pub(super) last_request: Moment,
    /// The highest call id that it was told.
    pub(super) told: u64,
    /// The counter of the message that told it about the drain; `None` while that is not sent.
    pub(super) farewell: Option<u64>,
    /// What it has acknowledged.
    pub(super) acknowledged: u64,
}

impl Guest {
    pub(super) fn silent_at(&self) -> Moment {
        self.heard + self.beat * MISSED_BEATS
    }

    /// Whether it knows about the drain, so that no request of it can still be on its way.
    pub(super) fn knows_of_drain(&self) -> bool {
        self.farewell.is_some_and(|counter| self.acknowledged >= counter)
    }
}

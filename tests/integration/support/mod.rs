//! What the tests of the whole share: parts of the system, a browser, a site, and gates.

pub mod application;
pub mod behaviour;
pub mod browser;
pub mod child;
pub mod fixtures;
pub mod gate;
pub mod laboratory;
pub mod parts;
pub mod peers;
pub mod site;
pub mod websocket;

pub use browser::{Answer, Browser};
pub use gate::Gate;
pub use site::Site;

use std::time::Duration;

/// Waits for what must happen; nothing here takes as long unless it is stuck.
#[track_caller]
pub fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(30), future).await {
            Ok(output) => output,
            Err(_) => panic!("stuck for 30 seconds at {caller}"),
        }
    }
}

//! What all tests share: browsers, sites, a real Mongrel2, peers in Python, captured messages, child processes, gates.

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

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

/// Returns the number in a variable of the environment, or `default` if the variable is not set.
///
/// # Panics
/// The variable holds something else.
pub fn setting<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

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

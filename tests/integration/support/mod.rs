//! Shared helpers: clients, running applications, a real Mongrel2, a real nginx, Python peers, captured messages, child
//! processes, gates.

pub mod application;
pub mod behaviour;
pub mod browser;
pub mod child;
pub mod fixtures;
pub mod gate;
pub mod http2;
pub mod logs;
pub mod nginx;
pub mod python;
pub mod requirements;
pub mod served_app;
pub mod test_bed;
pub mod websocket;

pub use browser::{Browser, WebResponse};
pub use gate::Gate;
pub use nginx::Nginx;
pub use served_app::ServedApp;

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

/// Returns the number in an environment variable, or `default` if the variable is not set.
///
/// # Panics
///
/// Panics if the value is not a number.
pub fn env_number<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Awaits `future`, and panics with the location of the caller if it takes longer than 30 seconds.
#[track_caller]
pub fn with_timeout<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(30), future).await {
            Ok(output) => output,
            Err(_) => panic!("no result within 30 seconds at {caller}"),
        }
    }
}

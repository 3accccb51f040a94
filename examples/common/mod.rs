//! What the demo programs share beside their handlers.

use std::time::Duration;
use tracing_subscriber::EnvFilter;

pub const SERVICE_ADDR: &str = "ipc://run/slow";
pub const SERVICE_PASSPHRASE: &str = "my_shared_secret";

/// One line per request and per service call on standard error; `RUST_LOG` asks for more or less.
pub fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,demo=debug"));
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

/// Reads `5s` or `200ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units: [(&str, fn(u64) -> Duration); 2] = [("ms", Duration::from_millis), ("s", Duration::from_secs)];
    let read = |(unit, duration): &(&str, fn(u64) -> Duration)| {
        text.strip_suffix(unit)
            .and_then(|number| number.parse().ok())
            .map(duration)
    };
    units
        .iter()
        .find_map(read)
        .ok_or_else(|| "write it as `5s` or `200ms`".to_owned())
}

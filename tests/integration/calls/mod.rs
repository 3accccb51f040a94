//! Calls of services: what callers and services can rely on.

mod blocking;
mod cancellation;
#[cfg(target_os = "linux")]
mod descriptors;
mod end_to_end;
mod lazy;
mod limits;
mod memory;
mod nowait;
mod pool;

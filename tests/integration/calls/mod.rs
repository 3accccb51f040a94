//! Calls of services: the guarantees for callers and services.

mod blocking;
mod cancellation;
#[cfg(target_os = "linux")]
mod descriptors;
mod end_to_end;
mod floods;
mod inherited;
mod jobs;
mod key_pairs;
mod layers;
mod lazy;
mod limits;
mod liveness;
mod nowait;
mod pool;
mod requests;
mod runtimes;
mod secrets;
mod service_names;
mod test_site;

//! Start, stop and signals of real processes.

mod detached_calls;
mod drain_limit;
mod inherited;
mod kept_connections;
mod names;
mod process;
mod settings;
mod signals;
mod successors;

//! Start, stop and signals of real processes.

mod drain_limit;
mod inherited;
mod names;
mod process;
mod settings;
mod signals;
mod successors;

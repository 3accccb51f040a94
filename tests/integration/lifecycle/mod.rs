//! Start, stop and signals of real processes.

mod names;
mod settings;
mod signals;

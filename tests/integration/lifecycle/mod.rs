//! Start, stop and signals of real processes.

mod settings;
mod signals;

//! Start, stop and signals of real processes.

mod signals;

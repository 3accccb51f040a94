//! Describes the machine of a measurement.

use std::fs;
use std::thread::available_parallelism;

/// Returns a description such as `2 cores of AMD EPYC, Linux 6.18`.
pub fn description() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown CPU", |(_, model)| model);
    let release = read("/proc/sys/kernel/osrelease");
    let release: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
    let cores = available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {model}, Linux {}", release.join("."))
}

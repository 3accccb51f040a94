//! CPU time and memory of processes.

use crate::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

/// The ticks per second of `/proc/<pid>/stat`, 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The CPU time and memory of several processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// The CPU time (user and system) since their start, in seconds.
    pub cpu: f64,
    /// The sum of the peaks of their resident memory, in bytes.
    pub peak_memory: u64,
    /// Their resident memory, in bytes.
    pub memory: u64,
}

impl Usage {
    /// Reads the usage of processes.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them has exited.
    pub fn of(pids: &[u32]) -> Result<Usage> {
        let mut all = Usage::default();
        for pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            all.cpu += cpu(*pid)?;
            all.peak_memory += kilobytes(&status, "VmHWM:") * 1024;
            all.memory += kilobytes(&status, "VmRSS:") * 1024;
        }
        Ok(all)
    }

    /// Returns the CPU time since `before`, and the memory of this usage.
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            cpu: self.cpu - before.cpu,
            ..self
        }
    }
}

/// Returns the CPU time in seconds: from `schedstat` in nanoseconds if the kernel has it, and from `stat` in ticks otherwise.
/// Only the latter includes threads that have ended.
fn cpu(pid: u32) -> Result<f64> {
    let threads: Option<Vec<f64>> = fs::read_dir(format!("/proc/{pid}/task"))?
        .map(|task| {
            let times = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            times.split_whitespace().next()?.parse::<f64>().ok()
        })
        .collect();
    if let Some(threads) = threads.filter(|threads| threads.iter().sum::<f64>() > 0.0) {
        return Ok(threads.iter().sum::<f64>() / 1e9);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may contain anything. The two times are the 12th and 13th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    Ok(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND)
}

fn kilobytes(status: &str, key: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Raises the limit of open files to the maximum, for this process and its children. Returns the limit that applies afterwards.
pub fn raise_open_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_this_process_is_read() {
        let mut used = Usage::default();
        while used.cpu == 0.0 {
            used = Usage::of(&[std::process::id()]).unwrap();
        }
        assert!(used.peak_memory >= used.memory && used.memory > 0, "{used:?}");
    }
}

//! What processes have used, as the system counts it.

use crate::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

/// Ticks in a second of `/proc/<pid>/stat`; it is 100 on every Linux.
const TICKS: f64 = 100.0;

/// What some processes have used together since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of processor time, in the program and in the system for it.
    pub cpu: f64,
    /// The most memory they held, in bytes.
    pub peak: u64,
    /// The memory they hold, in bytes.
    pub now: u64,
}

impl Usage {
    /// What these processes have used.
    ///
    /// # Errors
    ///
    /// One of them has ended.
    pub fn of(pids: &[u32]) -> Result<Usage> {
        let mut all = Usage::default();
        for pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            all.cpu += cpu(*pid)?;
            all.peak += kilobytes(&status, "VmHWM:") * 1024;
            all.now += kilobytes(&status, "VmRSS:") * 1024;
        }
        Ok(all)
    }

    /// The processor time since then, and the memory as it is now.
    pub fn since(self, then: Usage) -> Usage {
        Usage {
            cpu: self.cpu - then.cpu,
            ..self
        }
    }
}

/// To the nanosecond where the kernel tells, else in ticks.
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
    // The name, in brackets, may hold anything; the two times are the 12th and 13th field behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    Ok(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS)
}

fn kilobytes(status: &str, key: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Lets this process, and those it starts from now on, open as many files as the system allows; tells how many that are.
pub fn most_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, most) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let mut used = Usage::default();
        while used.cpu == 0.0 {
            used = Usage::of(&[std::process::id()]).unwrap();
        }
        assert!(used.peak >= used.now && used.now > 0, "{used:?}");
    }
}

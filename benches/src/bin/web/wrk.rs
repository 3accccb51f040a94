//! `wrk`, which asks for a page as fast as it is answered.

use brubeck_benches::Result;
use tokio::process::Command;

/// What it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    /// Half of the answers came within so many microseconds.
    pub(crate) p50: f64,
    /// All but a hundredth of them.
    pub(crate) p99: f64,
}

/// Asks for this page over so many connections.
///
/// # Errors
///
/// It is not installed, or an answer was not 200, late or none.
pub(crate) async fn ask(url: &str, clients: usize, seconds: u32) -> Result<Seen> {
    let output = Command::new("wrk")
        .args(["--latency", "-t", &clients.min(2).to_string()])
        .args(["-c", &clients.to_string(), "-d", &format!("{seconds}s"), url])
        .output()
        .await
        .map_err(|error| format!("wrk: {error}; install it with: apt-get install wrk"))?;
    read(&String::from_utf8_lossy(&output.stdout))
}

fn read(text: &str) -> Result<Seen> {
    let bad = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
    if let Some(bad) = text.lines().find(bad) {
        return Err(bad.trim().into());
    }
    let mut seen = Seen::default();
    for line in text.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["50%", time] => seen.p50 = microseconds(time)?,
            ["99%", time] => seen.p99 = microseconds(time)?,
            [count, "requests", "in", ..] => seen.requests = count.parse()?,
            ["Requests/sec:", rate] => seen.per_second = rate.parse()?,
            _ => {}
        }
    }
    match seen.requests > 0.0 && seen.per_second > 0.0 {
        true => Ok(seen),
        false => Err(format!("wrk was answered nothing: {text}").into()),
    }
}

fn microseconds(time: &str) -> Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let found = units
        .iter()
        .find_map(|(unit, each)| Some((time.strip_suffix(unit)?, each)));
    let (number, each) = found.ok_or_else(|| format!("wrk says {time}"))?;
    Ok(number.parse::<f64>()? * each)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 3s test @ http://127.0.0.1:1/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   1.02ms  330.15us   7.18ms   88.95%
  Latency Distribution
     50%    0.94ms
     75%    1.10ms
     90%    1.28ms
     99%    2.55ms
  187284 requests in 3.01s, 21.61MB read
Requests/sec:  62221.93
";

    #[test]
    fn what_it_says_is_read() {
        let seen = Seen {
            requests: 187_284.0,
            per_second: 62_221.93,
            p50: 940.0,
            p99: 2550.0,
        };
        assert_eq!(read(TEXT).unwrap(), seen);
    }

    #[test]
    fn a_bad_answer_is_an_error() {
        assert!(read(&format!("{TEXT}  Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(read("").is_err());
    }
}

//! The load generator `wrk`.

use brubeck_benches::Result;
use tokio::process::Command;

/// The results of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WrkResults {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    /// The median latency, in microseconds.
    pub(crate) p50: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub(crate) p99: f64,
}

/// Requests a page over `clients` connections for `seconds`.
///
/// # Errors
///
/// Returns an error if `wrk` is not installed or receives no responses, or if a request failed, timed out, or got a status other than 2xx
/// and 3xx.
pub(crate) async fn run(url: &str, clients: usize, seconds: u32) -> Result<WrkResults> {
    let output = Command::new("wrk")
        .args(["--latency", "-t", &clients.min(2).to_string()])
        .args(["-c", &clients.to_string(), "-d", &format!("{seconds}s"), url])
        .output()
        .await
        .map_err(|error| format!("wrk: {error}; install it with: apt-get install wrk"))?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Result<WrkResults> {
    let is_failure = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
    if let Some(failure) = text.lines().find(is_failure) {
        return Err(failure.trim().into());
    }
    let mut results = WrkResults::default();
    for line in text.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["50%", time] => results.p50 = microseconds(time)?,
            ["99%", time] => results.p99 = microseconds(time)?,
            [count, "requests", "in", ..] => results.requests = count.parse()?,
            ["Requests/sec:", rate] => results.per_second = rate.parse()?,
            _ => {}
        }
    }
    if results.requests > 0.0 && results.per_second > 0.0 {
        Ok(results)
    } else {
        Err(format!("wrk received no responses: {text}").into())
    }
}

fn microseconds(time: &str) -> Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let found = units
        .iter()
        .find_map(|(unit, each)| Some((time.strip_suffix(unit)?, each)));
    let (number, each) = found.ok_or_else(|| format!("cannot parse the time of wrk: {time}"))?;
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
    fn output_is_parsed() {
        let results = WrkResults {
            requests: 187_284.0,
            per_second: 62_221.93,
            p50: 940.0,
            p99: 2550.0,
        };
        assert_eq!(parse(TEXT).unwrap(), results);
    }

    #[test]
    fn failed_requests_are_an_error() {
        assert!(parse(&format!("{TEXT}  Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(parse("").is_err());
    }
}

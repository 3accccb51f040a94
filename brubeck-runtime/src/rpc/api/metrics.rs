//! What the feature `metrics` counts and times, for whatever recorder the program has installed.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `brubeck_calls_total` | counter | `service`, `outcome` |
//! | `brubeck_call_seconds` | histogram | `service` |
//! | `brubeck_requests_total` | counter | `status` |
//! | `brubeck_request_seconds` | histogram | |
//!
//! No label has a value that a stranger can choose, so their number is bounded.

use super::{CallError, ServiceResponse};
use bytes::Bytes;
use std::time::Instant;

/// Counts and times one call of this service.
pub(crate) async fn call(
    service: String,
    call: impl Future<Output = Result<ServiceResponse<Bytes>, CallError>>,
) -> Result<ServiceResponse<Bytes>, CallError> {
    let mut ending = Ending {
        service,
        began: Instant::now(),
        outcome: "given_up",
    };
    let outcome = call.await;
    ending.outcome = name(&outcome);
    outcome
}

/// Counts a call when it ends, in whatever way.
struct Ending {
    service: String,
    began: Instant,
    outcome: &'static str,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let service = std::mem::take(&mut self.service);
        metrics::histogram!("brubeck_call_seconds", "service" => service.clone())
            .record(self.began.elapsed());
        metrics::counter!("brubeck_calls_total", "service" => service, "outcome" => self.outcome)
            .increment(1);
    }
}

/// Counts and times one request that was answered with this status code.
pub(crate) fn request(code: i32, began: Instant) {
    let status = match code {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "other",
    };
    metrics::histogram!("brubeck_request_seconds").record(began.elapsed());
    metrics::counter!("brubeck_requests_total", "status" => status).increment(1);
}

fn name(outcome: &Result<ServiceResponse<Bytes>, CallError>) -> &'static str {
    match outcome {
        Ok(answer) if answer.status.is_success() => "answered",
        Ok(_) | Err(CallError::Fault { .. }) => "failed",
        Err(CallError::NoWorkers) => "no_workers",
        Err(CallError::Busy { .. }) => "busy",
        Err(CallError::Deadline { .. }) => "deadline",
        Err(CallError::Lost { .. }) => "lost",
        Err(CallError::Refused(_)) => "refused",
        Err(CallError::BadReply(_)) => "bad_reply",
        Err(CallError::TooLarge) => "too_large",
        Err(CallError::Cancelled) => "cancelled",
        Err(CallError::ShuttingDown) => "shutting_down",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use futures_util::FutureExt;
    use metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
        with_local_recorder,
    };
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

    struct Counting(Counts);

    struct Count(Counts, String);

    impl CounterFn for Count {
        fn increment(&self, by: u64) {
            *self.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
        }

        fn absolute(&self, _: u64) {}
    }

    impl Recorder for Counting {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
            Counter::from_arc(Arc::new(Count(
                self.0.clone(),
                format!("{} {}", key.name(), labels.join(" ")),
            )))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn every_end_of_a_call_is_counted_once() {
        let counts = Counts::default();
        with_local_recorder(&Counting(counts.clone()), || {
            let measured = |outcome| call("s".into(), std::future::ready(outcome)).now_or_never();
            let answer = |code: i32| Ok(ServiceResponse::new(Status::new(code), Bytes::new()));
            for outcome in [
                answer(200),
                answer(404),
                Err(CallError::NoWorkers),
                Err(CallError::NoWorkers),
            ] {
                assert!(measured(outcome).is_some());
            }
            assert!(call("s".into(), std::future::pending()).now_or_never().is_none());
            request(200, Instant::now());
            request(503, Instant::now());
        });
        let expected = [
            ("brubeck_calls_total s answered", 1),
            ("brubeck_calls_total s failed", 1),
            ("brubeck_calls_total s given_up", 1),
            ("brubeck_calls_total s no_workers", 2),
            ("brubeck_requests_total 2xx", 1),
            ("brubeck_requests_total 5xx", 1),
        ];
        let counts = counts.lock().unwrap();
        assert_eq!(
            counts
                .iter()
                .map(|(name, count)| (name.as_str(), *count))
                .collect::<Vec<_>>(),
            expected
        );
    }
}

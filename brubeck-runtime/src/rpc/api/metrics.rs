//! The metrics of the feature `metrics`, which are recorded with the recorder that the program has installed.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `brubeck_calls_total` | counter | `service`, `outcome` |
//! | `brubeck_call_seconds` | histogram | `service` |
//! | `brubeck_requests_total` | counter | `status` |
//! | `brubeck_request_seconds` | histogram | |
//!
//! No label value comes from a peer, so the number of time series is bounded.

use super::{CallError, ServiceResponse};
use bytes::Bytes;
use std::time::Instant;

type CallResult = Result<ServiceResponse<Bytes>, CallError>;

/// Records one call of `service` when it ends or is dropped.
pub(crate) async fn record_call(service: String, call: impl Future<Output = CallResult>) -> CallResult {
    let mut recorder = CallRecorder::new(service);
    let result = call.await;
    recorder.outcome = match &result {
        Ok(response) if response.status.is_success() => "answered",
        Ok(_) => "failed",
        Err(error) => error_outcome(error),
    };
    result
}

/// Records a call of `service` that has failed.
pub(super) fn record_failed_call(service: String, error: &CallError) {
    let mut recorder = CallRecorder::new(service);
    recorder.outcome = error_outcome(error);
}

/// Records a call when it is dropped, so that calls whose future is dropped are counted too.
struct CallRecorder {
    service: String,
    started: Instant,
    outcome: &'static str,
}

impl CallRecorder {
    fn new(service: String) -> CallRecorder {
        CallRecorder {
            service,
            started: Instant::now(),
            outcome: "given_up",
        }
    }
}

impl Drop for CallRecorder {
    fn drop(&mut self) {
        let service = std::mem::take(&mut self.service);
        metrics::histogram!("brubeck_call_seconds", "service" => service.clone())
            .record(self.started.elapsed());
        metrics::counter!("brubeck_calls_total", "service" => service, "outcome" => self.outcome)
            .increment(1);
    }
}

fn error_outcome(error: &CallError) -> &'static str {
    match error {
        CallError::Fault { .. } => "failed",
        CallError::NoWorkers => "no_workers",
        CallError::Busy { .. } => "busy",
        CallError::Deadline { .. } => "deadline",
        CallError::Lost { .. } => "lost",
        CallError::Refused(_) => "refused",
        CallError::BadReply(_) => "bad_reply",
        CallError::TooLarge => "too_large",
        CallError::Cancelled => "cancelled",
        CallError::ShuttingDown => "shutting_down",
    }
}

/// Records one request whose response has the status `code`.
pub(crate) fn record_request(code: i32, started: Instant) {
    let status = match code {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "other",
    };
    metrics::histogram!("brubeck_request_seconds").record(started.elapsed());
    metrics::counter!("brubeck_requests_total", "status" => status).increment(1);
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

    struct TestRecorder(Counts);

    struct TestCounter(Counts, String);

    impl CounterFn for TestCounter {
        fn increment(&self, by: u64) {
            *self.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
        }

        fn absolute(&self, _: u64) {}
    }

    impl Recorder for TestRecorder {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
            Counter::from_arc(Arc::new(TestCounter(
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
    fn counts_each_call_once_by_outcome() {
        let counts = Counts::default();
        with_local_recorder(&TestRecorder(counts.clone()), || {
            let record = |result| record_call("s".into(), std::future::ready(result)).now_or_never();
            let response = |code: i32| Ok(ServiceResponse::new(Status::new(code), Bytes::new()));
            for result in [
                response(200),
                response(404),
                Err(CallError::NoWorkers),
                Err(CallError::NoWorkers),
            ] {
                assert!(record(result).is_some());
            }
            assert!(
                record_call("s".into(), std::future::pending())
                    .now_or_never()
                    .is_none()
            );
            record_request(200, Instant::now());
            record_request(503, Instant::now());
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

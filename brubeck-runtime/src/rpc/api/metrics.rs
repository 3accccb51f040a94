//! The metrics of the feature `metrics`. They go to the global recorder that the program has installed.
//!
//! | name | kind | labels | recorded for |
//! |---|---|---|---|
//! | `brubeck_calls_total` | counter | `service`, `outcome` | each call that this process makes, when it ends |
//! | `brubeck_call_seconds` | histogram | `service` | the same calls |
//! | `brubeck_call_retries_total` | counter | `service` | each time that an idempotent call is sent again because its first attempt was lost and may have run |
//! | `brubeck_requests_total` | counter | `status` | each call that this process serves, except those of reserved paths, when its response is ready |
//! | `brubeck_request_seconds` | histogram | | the same calls |
//!
//! Calls that are refused before they reach their link, such as those with an invalid request, are not recorded. No label
//! value comes from a peer, so the number of time series is bounded: `service` is the address that the application passed,
//! `outcome` is `answered` (status 2xx), `failed` (any other status), `given_up` (the future was dropped) or the variant of
//! the error, and `status` is the class of the status code.

use super::{CallError, ResponseBody, ServiceResponse};
use std::time::Instant;

type RecordedResult = Result<ServiceResponse<ResponseBody>, CallError>;

/// Awaits a call of `service` that started at `started`, and records it when it ends or is dropped.
pub(super) async fn record_call(
    service: String,
    started: Instant,
    call: impl Future<Output = RecordedResult>,
) -> RecordedResult {
    let mut recorder = CallRecorder::new(service, started);
    let result = call.await;
    recorder.outcome = match &result {
        Ok(response) if response.status.is_success() => "answered",
        Ok(_) => "failed",
        Err(error) => error_outcome(error),
    };
    result
}

/// Records a call of `service` that started at `started` and has failed.
pub(super) fn record_failed_call(service: String, started: Instant, error: &CallError) {
    let mut recorder = CallRecorder::new(service, started);
    recorder.outcome = error_outcome(error);
}

/// Records a call when it is dropped, so that calls whose future is dropped are counted too.
struct CallRecorder {
    service: String,
    started: Instant,
    outcome: &'static str,
}

impl CallRecorder {
    fn new(service: String, started: Instant) -> CallRecorder {
        CallRecorder {
            service,
            started,
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

/// Records idempotent calls of `service` that are sent again.
pub(crate) fn record_retries(service: &str, count: u64) {
    metrics::counter!("brubeck_call_retries_total", "service" => service.to_owned()).increment(count);
}

fn error_outcome(error: &CallError) -> &'static str {
    match error {
        CallError::Failure { .. } => "failed",
        CallError::NoWorkers(_) => "no_workers",
        CallError::Busy { .. } => "busy",
        CallError::Deadline { .. } => "deadline",
        CallError::Lost { .. } => "lost",
        CallError::Refused(_) => "refused",
        CallError::Panicked(_) => "panicked",
        CallError::BadReply(_) => "bad_reply",
        CallError::TooLarge(_) => "too_large",
        CallError::Cancelled(_) => "cancelled",
        CallError::ShuttingDown(_) => "shutting_down",
    }
}

/// Records a served call that was answered with the status `code`. `started` is the time at which its handler started.
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
        Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit, with_local_recorder,
    };
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

    #[derive(Default)]
    struct TestRecorder {
        counts: Counts,
        /// The values of all histograms.
        seconds: Arc<Mutex<Vec<f64>>>,
    }

    struct TestHistogram(Arc<Mutex<Vec<f64>>>);

    impl HistogramFn for TestHistogram {
        fn record(&self, value: f64) {
            self.0.lock().unwrap().push(value);
        }
    }

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
                self.counts.clone(),
                format!("{} {}", key.name(), labels.join(" ")),
            )))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Arc::new(TestHistogram(self.seconds.clone())))
        }
    }

    #[test]
    fn counts_calls_by_outcome_and_requests_by_status() {
        let recorder = TestRecorder::default();
        with_local_recorder(&recorder, || {
            let now = Instant::now();
            let record = |result| record_call("s".into(), now, std::future::ready(result)).now_or_never();
            let response = |code: i32| Ok(ServiceResponse::new(Status::new(code), ResponseBody::default()));
            for result in [
                response(200),
                response(404),
                Err(CallError::NoWorkers("".into())),
                Err(CallError::NoWorkers("".into())),
            ] {
                assert!(record(result).is_some());
            }
            assert!(
                record_call("s".into(), now, std::future::pending())
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
        let counts = recorder.counts.lock().unwrap();
        assert_eq!(
            counts
                .iter()
                .map(|(name, count)| (name.as_str(), *count))
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn records_time_since_start_of_failed_call() {
        let recorder = TestRecorder::default();
        let started = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
        with_local_recorder(&recorder, || {
            record_failed_call("s".into(), started, &CallError::NoWorkers("".into()));
        });
        let seconds = recorder.seconds.lock().unwrap();
        assert!(
            matches!(seconds.as_slice(), [seconds] if *seconds >= 0.005),
            "{seconds:?}"
        );
    }
}

//! The reserved paths of a service, `/.brubeck/..`, and the statistics that `/.brubeck/stats` reports.

use super::KeyAccess;
use crate::handler::{Application, CallFuture, LatencyTracker};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::response::{IntoReply, Response};
use crate::rpc::api::KeyPin;
use crate::rpc::codec::{OperationDeclaration, ServedOperations};
use crate::spec::Spec;
use crate::status::Status;
use futures_util::FutureExt;
use futures_util::future::Either;
use serde_json::{Map, Value, json};
use std::future::ready;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// The prefix of the paths that every service answers itself.
const RESERVED_PREFIX: &str = "/.brubeck/";

const INFO: &str = "info";

/// An application that answers the reserved paths and records statistics of all other calls.
pub(crate) struct InstrumentedApplication {
    application: Arc<dyn Application>,
    stats: ServiceStats,
    /// `None` if every key is served.
    access: Option<KeyAccess>,
}

impl InstrumentedApplication {
    pub(crate) fn new(application: Arc<dyn Application>) -> InstrumentedApplication {
        let stats = ServiceStats::new(service_specs(&*application));
        InstrumentedApplication {
            application,
            stats,
            access: None,
        }
    }

    /// Limits the callers by their keys.
    pub(crate) fn with_access(self, access: Option<KeyAccess>) -> InstrumentedApplication {
        InstrumentedApplication { access, ..self }
    }

    /// Returns the reason why a call is refused before its handler is started. Reads nothing but its target.
    pub(super) fn refusal(&self, message: &Message, key: Option<KeyPin>) -> Option<String> {
        let access = self.access.as_ref()?;
        let route = if message.path().starts_with(RESERVED_PREFIX) {
            None
        } else {
            self.application.route_of_call(message)
        };
        access.refusal(key, route)
    }

    /// Returns the future of a call. If the call is not for a reserved path, it goes to the application and is counted as
    /// started.
    pub(crate) fn call(self: &Arc<Self>, message: Message) -> InstrumentedCall {
        if let Some(name) = message.path().strip_prefix(RESERVED_PREFIX) {
            let method = message.method();
            let response = if name == INFO {
                describe(self.clone(), method).boxed()
            } else {
                ready(self.introspect(method, name)).boxed()
            };
            return InstrumentedCall {
                stats: None,
                started: None,
                call: CallFuture(Either::Right(response)),
            };
        }
        let (route, call) = self.application.clone().call(message);
        InstrumentedCall {
            stats: Some(self.stats.start_call(route)),
            started: None,
            call,
        }
    }

    fn introspect(&self, method: Method, name: &str) -> Response {
        let value = match name {
            "ping" => json!({"pong": true}),
            INFO => self.info(),
            "stats" => self.stats.to_json(service_specs(&*self.application)),
            _ => return Status::NOT_FOUND.into_reply(),
        };
        match method {
            Method::Request | Method::Get => Response::json(Status::OK, &value),
            _ => Status::METHOD_NOT_ALLOWED.into_reply(),
        }
    }

    fn info(&self) -> Value {
        json!({
            "brubeck": env!("CARGO_PKG_VERSION"),
            "operations": service_specs(&*self.application).map(operation_info).collect::<Vec<_>>(),
        })
    }
}

/// Responds to `info` on a blocking thread, because the user's types generate the JSON schemas, and their code may be slow.
/// If it panics, the response is a 500.
async fn describe(application: Arc<InstrumentedApplication>, method: Method) -> Response {
    let task = tokio::task::spawn_blocking(move || application.introspect(method, INFO));
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot generate the schemas of the operations");
        Status::INTERNAL_SERVER_ERROR.into_reply()
    })
}

/// Returns the operations in the order of the route list.
pub(crate) fn service_specs(application: &dyn Application) -> impl Iterator<Item = &'static Spec> + use<> {
    let specs = application.specs().into_iter();
    specs.filter(|spec| spec.kind == Kind::Service)
}

/// Returns the declarations of the operations of contracts, which callers compare with theirs.
pub(crate) fn served_operations(application: &dyn Application) -> ServedOperations {
    let specs = service_specs(application).filter(|spec| !spec.operation.is_empty());
    ServedOperations::new(
        specs.map(|spec| OperationDeclaration::parse(spec.operation, spec.contract, spec.declaration)),
    )
}

fn operation_info(spec: &Spec) -> Value {
    let mut operation = json!({
        "name": spec.name,
        "method": spec.method.as_str(),
        "path": spec.pattern,
        "captures": spec.captures,
        "example": spec.example,
        "blocking": spec.blocking,
        "concurrency": spec.concurrency,
    });
    if let (Some(schemas), Value::Object(operation)) = (spec.schema, &mut operation) {
        operation.extend(schemas());
    }
    operation
}

/// The future of a call that records its statistics.
pub(crate) struct InstrumentedCall {
    /// `None` for reserved paths, and once the call has ended.
    stats: Option<CallStatsGuard>,
    /// The time of the first poll, or the one that `set_started` has set.
    started: Option<Instant>,
    call: CallFuture,
}

impl InstrumentedCall {
    /// Returns `true` if the handler should be polled inline, because its operation has been fast or because the path is
    /// reserved.
    pub(super) fn should_poll_inline(&self) -> bool {
        self.stats.as_ref().is_none_or(CallStatsGuard::should_poll_inline)
    }

    /// Sets the start time, which saves a clock read at the first poll.
    pub(super) fn set_started(&mut self, now: Instant) {
        self.started = Some(now);
    }
}

impl Future for InstrumentedCall {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let started = *self.started.get_or_insert_with(Instant::now);
        let response = ready!(self.call.poll_unpin(cx));
        if let Some(stats) = self.stats.take() {
            stats.finish(response.status().is_success(), started.elapsed());
            #[cfg(feature = "metrics")]
            crate::rpc::api::metrics::record_request(response.status().code(), started.into_std());
        }
        Poll::Ready(response)
    }
}

/// The number of latency buckets, see [`bucket_index`]. They cover 25 days; the last one also holds all longer latencies.
const BUCKETS: usize = 312;

/// Counts the calls of each operation and measures their latency.
struct ServiceStats {
    since: Instant,
    /// Sorted by the address of the spec, so that an operation is found without comparing paths.
    operations: Box<[(&'static Spec, Arc<OperationStats>)]>,
    /// Calls that matched no operation.
    unmatched: Arc<OperationStats>,
}

impl ServiceStats {
    fn new(operations: impl IntoIterator<Item = &'static Spec>) -> ServiceStats {
        let mut operations: Vec<_> = operations
            .into_iter()
            .map(|spec| (spec, Arc::new(OperationStats::new())))
            .collect();
        operations.sort_by_key(|(spec, _)| ptr::from_ref(*spec));
        ServiceStats {
            since: Instant::now(),
            operations: operations.into(),
            unmatched: Arc::new(OperationStats::new()),
        }
    }

    /// Counts the start of a call. The returned guard counts its end.
    fn start_call(&self, route: Option<&'static Spec>) -> CallStatsGuard {
        let stats = route
            .and_then(|route| {
                let wanted = ptr::from_ref(route);
                let index = self
                    .operations
                    .binary_search_by_key(&wanted, |(spec, _)| ptr::from_ref(*spec));
                self.operations.get(index.ok()?)
            })
            .map_or(&self.unmatched, |(_, stats)| stats);
        stats.requests.fetch_add(1, Relaxed);
        CallStatsGuard(Some(stats.clone()))
    }

    /// Returns the statistics as JSON: those of all calls, and those of each operation in the given order.
    fn to_json(&self, order: impl IntoIterator<Item = &'static Spec>) -> Value {
        let mut total = self.unmatched.snapshot();
        let snapshots: Vec<(&Spec, StatsSnapshot)> = self
            .operations
            .iter()
            .map(|(spec, stats)| (*spec, stats.snapshot()))
            .collect();
        for (_, snapshot) in &snapshots {
            total.add(snapshot);
        }
        let operations: Vec<Value> = order
            .into_iter()
            .filter_map(|wanted| snapshots.iter().find(|(spec, _)| ptr::eq(*spec, wanted)))
            .map(|(spec, snapshot)| {
                let mut fields = snapshot.fields();
                fields.insert("name".to_owned(), spec.name.into());
                fields.insert("method".to_owned(), spec.method.as_str().into());
                fields.insert("path".to_owned(), spec.pattern.into());
                Value::Object(fields)
            })
            .collect();
        let uptime = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut fields = total.fields();
        fields.insert("uptime_ms".to_owned(), uptime.into());
        fields.insert("operations".to_owned(), operations.into());
        Value::Object(fields)
    }
}

/// The counters of one operation.
struct OperationStats {
    requests: AtomicU64,
    answered: AtomicU64,
    errors: AtomicU64,
    cancelled: AtomicU64,
    latency: LatencyTracker,
    /// The number of calls in each latency bucket.
    histogram: [AtomicU64; BUCKETS],
}

impl OperationStats {
    fn new() -> OperationStats {
        OperationStats {
            requests: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            latency: LatencyTracker::new(),
            histogram: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    fn snapshot(&self) -> StatsSnapshot {
        // Ends are read before starts, so that a call that ends between the two reads counts as in flight. The order of
        // relaxed reads is not guaranteed; hence the saturating subtraction.
        let ended = self.answered.load(Relaxed) + self.cancelled.load(Relaxed);
        let requests = self.requests.load(Relaxed);
        StatsSnapshot {
            requests,
            errors: self.errors.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            in_flight: requests.saturating_sub(ended),
            histogram: self.histogram.iter().map(|bucket| bucket.load(Relaxed)).collect(),
        }
    }
}

/// The values of an [`OperationStats`] at one time, or a sum of several.
struct StatsSnapshot {
    requests: u64,
    errors: u64,
    cancelled: u64,
    in_flight: u64,
    histogram: Vec<u64>,
}

impl StatsSnapshot {
    fn add(&mut self, other: &StatsSnapshot) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.in_flight += other.in_flight;
        for (sum, count) in self.histogram.iter_mut().zip(&other.histogram) {
            *sum += count;
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let numbers = [
            ("requests", self.requests),
            ("errors", self.errors),
            ("cancelled", self.cancelled),
            ("in_flight", self.in_flight),
            ("p50_us", quantile(&self.histogram, 50)),
            ("p99_us", quantile(&self.histogram, 99)),
        ];
        numbers
            .into_iter()
            .map(|(name, number)| (name.to_owned(), number.into()))
            .collect()
    }
}

/// Counts the end of one call. If the guard is dropped before `finish`, the call counts as cancelled.
struct CallStatsGuard(Option<Arc<OperationStats>>);

impl CallStatsGuard {
    fn should_poll_inline(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|stats| stats.latency.should_poll_inline())
    }

    fn finish(mut self, success: bool, took: Duration) {
        let Some(stats) = self.0.take() else { return };
        stats.answered.fetch_add(1, Relaxed);
        stats.errors.fetch_add(u64::from(!success), Relaxed);
        stats.latency.record(Some(took));
        if let Some(bucket) = stats.histogram.get(bucket_index(took)) {
            bucket.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for CallStatsGuard {
    fn drop(&mut self) {
        if let Some(stats) = &self.0 {
            stats.cancelled.fetch_add(1, Relaxed);
            stats.latency.record(None);
        }
    }
}

/// Returns the bucket of a latency.
///
/// The first 16 buckets hold one microsecond each. From 16 on, every power of two is divided into eight buckets, which
/// limits the error of a quantile to an eighth.
fn bucket_index(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let bucket = match micros.checked_ilog2() {
        None | Some(0..=3) => micros,
        Some(power) => {
            // The three bits after the highest one.
            let eighth = (micros >> (power - 3)) & 7;
            16 + u64::from(power - 4) * 8 + eighth
        }
    };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Returns the largest number of microseconds that falls into a bucket. The last bucket also holds longer latencies, which the
/// result ignores.
fn bucket_upper_bound(bucket: usize) -> u64 {
    match bucket as u64 {
        exact @ 0..16 => exact,
        bucket => {
            let (power, eighth) = ((bucket - 16) / 8 + 4, (bucket - 16) % 8);
            ((9 + eighth) << (power - 3)) - 1
        }
    }
}

/// Returns an upper bound of the latency of the fastest `percent` of the calls, in microseconds.
///
/// The bound is too high by at most an eighth. It is 0 if there were no calls. Fractions of a microsecond are cut off.
fn quantile(histogram: &[u64], percent: u64) -> u64 {
    let total: u64 = histogram.iter().sum();
    let wanted = (total * percent).div_ceil(100);
    let mut seen = 0;
    let reached = histogram.iter().position(|count| {
        seen += count;
        seen >= wanted && wanted > 0
    });
    reached.map_or(0, bucket_upper_bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_bounds_contain_their_latencies() {
        for micros in (0..5_000_u64).chain((1..40).map(|power| 1 << power)) {
            let bucket = bucket_index(Duration::from_micros(micros));
            assert!(bucket_upper_bound(bucket) >= micros, "{micros} us in {bucket}");
            assert!(
                bucket == 0 || bucket_upper_bound(bucket - 1) < micros,
                "{micros} us in {bucket}"
            );
        }
        assert_eq!(bucket_index(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut histogram = vec![0; BUCKETS];
        assert_eq!(quantile(&histogram, 99), 0);
        histogram[bucket_index(Duration::from_micros(5))] = 98;
        histogram[bucket_index(Duration::from_micros(1000))] = 2;
        assert_eq!((quantile(&histogram, 50), quantile(&histogram, 98)), (5, 5));
        assert!((1000..=1125).contains(&quantile(&histogram, 99)));
    }

    #[test]
    fn counts_calls_per_operation_and_dropped_calls_as_cancelled() {
        use crate::method::{Kind, Method};
        static ECHO: Spec = Spec::new("echo", "^/echo", Method::Request, Kind::Service);
        static USER: Spec = Spec::new("user", "^/user", Method::Get, Kind::Service);
        static ANOTHER: Spec = Spec::new("another", "^/another", Method::Get, Kind::Service);
        let stats = ServiceStats::new([&ECHO, &USER]);
        stats.start_call(Some(&ECHO)).finish(true, Duration::ZERO);
        stats.start_call(Some(&ECHO)).finish(false, Duration::ZERO);
        drop(stats.start_call(Some(&USER)));
        let _running = stats.start_call(Some(&USER));
        stats.start_call(None).finish(false, Duration::ZERO);
        stats.start_call(Some(&ANOTHER)).finish(false, Duration::ZERO);
        let json = stats.to_json([&ECHO, &USER]);
        let counts = |json: &Value| {
            ["requests", "errors", "cancelled", "in_flight"].map(|name| json[name].as_u64().unwrap())
        };
        assert_eq!(counts(&json), [6, 3, 1, 1]);
        let [echo, user] = json["operations"].as_array().unwrap().as_slice() else {
            panic!("{json}");
        };
        assert_eq!((&echo["name"], &echo["path"]), (&"echo".into(), &"^/echo".into()));
        assert_eq!((&user["name"], &user["method"]), (&"user".into(), &"get".into()));
        assert_eq!((counts(echo), counts(user)), ([2, 1, 0, 0], [2, 0, 1, 1]));
    }
}

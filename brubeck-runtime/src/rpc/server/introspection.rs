//! What every service tells about itself, and what it counts for that.

use crate::handler::{Application, CallFuture, LatencyTracker};
use crate::message::Message;
use crate::method::{Kind, Method};
use crate::response::{IntoReply, Response};
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

/// Where the paths begin that no application serves itself.
const RESERVED: &str = "/.brubeck/";

const INFO: &str = "info";

/// An application that is asked how it does, and counts what it does.
pub(crate) struct InstrumentedApplication {
    application: Arc<dyn Application>,
    stats: ServiceStats,
}

impl InstrumentedApplication {
    pub(crate) fn new(application: Arc<dyn Application>) -> InstrumentedApplication {
        let stats = ServiceStats::new(served(&*application));
        InstrumentedApplication { application, stats }
    }

    fn says(&self, method: Method, what: &str) -> Response {
        let value = match what {
            "ping" => json!({"pong": true}),
            INFO => self.info(),
            "stats" => self.stats.json(served(&*self.application)),
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
            "operations": served(&*self.application).map(operation).collect::<Vec<_>>(),
        })
    }
}

/// Types say themselves what they are: that takes its time, and may panic.
async fn info(service: Arc<InstrumentedApplication>, method: Method) -> Response {
    let said = tokio::task::spawn_blocking(move || service.says(method, INFO)).await;
    said.unwrap_or_else(|error| {
        tracing::error!(%error, "the types of the operations could not be described");
        Status::INTERNAL_SERVER_ERROR.into_reply()
    })
}

/// The operations, in the order of the list.
fn served(application: &dyn Application) -> impl Iterator<Item = &'static Spec> + use<> {
    let specs = application.specs().into_iter();
    specs.filter(|spec| spec.kind == Kind::Service)
}

fn operation(spec: &Spec) -> Value {
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

impl InstrumentedApplication {
    /// Has a call answered.
    pub(crate) fn call(self: &Arc<Self>, message: Message) -> InstrumentedCall {
        if let Some(what) = message.path().strip_prefix(RESERVED) {
            let method = message.method();
            let said = match what {
                INFO => info(self.clone(), method).boxed(),
                _ => ready(self.says(method, what)).boxed(),
            };
            return InstrumentedCall {
                counted: None,
                began: None,
                called: CallFuture(Either::Right(said)),
            };
        }
        let (route, called) = self.application.clone().call(message);
        InstrumentedCall {
            counted: Some(self.stats.begin(route)),
            began: None,
            called,
        }
    }
}

/// A call that is being answered, and counted. Its time runs from the first poll, or from when it is said to begin.
pub(crate) struct InstrumentedCall {
    counted: Option<RequestStats>,
    began: Option<Instant>,
    called: CallFuture,
}

impl InstrumentedCall {
    /// Whether its handler has always been quick of late.
    pub(super) fn should_poll_inline(&self) -> bool {
        self.counted.as_ref().is_none_or(RequestStats::should_poll_inline)
    }

    /// It begins now; whoever knows the time saves a look at the clock.
    pub(super) fn begins(&mut self, now: Instant) {
        self.began = Some(now);
    }
}

impl Future for InstrumentedCall {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let response = ready!(self.called.poll_unpin(cx));
        if let Some(counted) = self.counted.take() {
            counted.answered(response.status().is_success(), began.elapsed());
            #[cfg(feature = "metrics")]
            crate::rpc::api::metrics::record_request(response.status().code(), began.into_std());
        }
        Poll::Ready(response)
    }
}

/// Buckets of an eighth of a power of two: 312 of them reach 12 days in microseconds.
const BUCKETS: usize = 312;

/// OperationStats the requests of each operation, and how long they take.
struct ServiceStats {
    since: Instant,
    /// By the address of the route, so that one is found without comparing paths.
    operations: Box<[(&'static Spec, Arc<OperationStats>)]>,
    /// What reached no handler.
    others: Arc<OperationStats>,
}

impl ServiceStats {
    pub(super) fn new(operations: impl IntoIterator<Item = &'static Spec>) -> ServiceStats {
        let mut operations: Vec<_> = operations
            .into_iter()
            .map(|spec| (spec, Arc::new(OperationStats::new())))
            .collect();
        operations.sort_by_key(|(spec, _)| ptr::from_ref(*spec));
        ServiceStats {
            since: Instant::now(),
            operations: operations.into(),
            others: Arc::new(OperationStats::new()),
        }
    }

    /// A request came for this route; what is returned is to be told of its answer, and takes it for cancelled when
    /// dropped before.
    pub(super) fn begin(&self, route: Option<&'static Spec>) -> RequestStats {
        let counts = route
            .and_then(|route| {
                let wanted = ptr::from_ref(route);
                let found = self
                    .operations
                    .binary_search_by_key(&wanted, |(spec, _)| ptr::from_ref(*spec));
                self.operations.get(found.ok()?)
            })
            .map_or(&self.others, |(_, counts)| counts);
        counts.requests.fetch_add(1, Relaxed);
        RequestStats(Some(counts.clone()))
    }

    /// How things stand, as JSON: all requests, and those of each operation in the order of the list.
    pub(super) fn json(&self, order: impl IntoIterator<Item = &'static Spec>) -> Value {
        let mut sum = self.others.read();
        let read: Vec<(&Spec, StatsSnapshot)> = self
            .operations
            .iter()
            .map(|(spec, counts)| (*spec, counts.read()))
            .collect();
        for (_, tally) in &read {
            sum.add(tally);
        }
        let operations: Vec<Value> = order
            .into_iter()
            .filter_map(|wanted| read.iter().find(|(spec, _)| ptr::eq(*spec, wanted)))
            .map(|(spec, tally)| {
                let mut fields = tally.fields();
                fields.insert("name".to_owned(), spec.name.into());
                fields.insert("method".to_owned(), spec.method.as_str().into());
                fields.insert("path".to_owned(), spec.pattern.into());
                Value::Object(fields)
            })
            .collect();
        let uptime = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut fields = sum.fields();
        fields.insert("uptime_ms".to_owned(), uptime.into());
        fields.insert("operations".to_owned(), operations.into());
        Value::Object(fields)
    }
}

/// What is counted of one operation.
struct OperationStats {
    requests: AtomicU64,
    answered: AtomicU64,
    errors: AtomicU64,
    cancelled: AtomicU64,
    quickness: LatencyTracker,
    took: [AtomicU64; BUCKETS],
}

impl OperationStats {
    fn new() -> OperationStats {
        OperationStats {
            requests: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            quickness: LatencyTracker::new(),
            took: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    fn read(&self) -> StatsSnapshot {
        // Those that ended before those that came, so that none seems to have ended before it came.
        let ended = self.answered.load(Relaxed) + self.cancelled.load(Relaxed);
        let requests = self.requests.load(Relaxed);
        StatsSnapshot {
            requests,
            errors: self.errors.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            in_flight: requests.saturating_sub(ended),
            took: self.took.iter().map(|bucket| bucket.load(Relaxed)).collect(),
        }
    }
}

/// What was counted until now.
struct StatsSnapshot {
    requests: u64,
    errors: u64,
    cancelled: u64,
    in_flight: u64,
    took: Vec<u64>,
}

impl StatsSnapshot {
    fn add(&mut self, other: &StatsSnapshot) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.in_flight += other.in_flight;
        for (sum, count) in self.took.iter_mut().zip(&other.took) {
            *sum += count;
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let numbers = [
            ("requests", self.requests),
            ("errors", self.errors),
            ("cancelled", self.cancelled),
            ("in_flight", self.in_flight),
            ("p50_us", quantile(&self.took, 50)),
            ("p99_us", quantile(&self.took, 99)),
        ];
        numbers
            .into_iter()
            .map(|(name, number)| (name.to_owned(), number.into()))
            .collect()
    }
}

/// A request that is being answered; empty once it is.
struct RequestStats(Option<Arc<OperationStats>>);

impl RequestStats {
    /// Whether it will be answered quickly, as far as can be told.
    pub(super) fn should_poll_inline(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|counts| counts.quickness.should_poll_inline())
    }

    pub(super) fn answered(mut self, success: bool, took: Duration) {
        let Some(counts) = self.0.take() else { return };
        counts.answered.fetch_add(1, Relaxed);
        counts.errors.fetch_add(u64::from(!success), Relaxed);
        counts.quickness.record(Some(took));
        if let Some(bucket) = counts.took.get(bucket(took)) {
            bucket.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for RequestStats {
    fn drop(&mut self) {
        if let Some(counts) = &self.0 {
            counts.cancelled.fetch_add(1, Relaxed);
            counts.quickness.record(None);
        }
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let bucket = match micros.checked_ilog2() {
        None | Some(0..=3) => micros,
        Some(power) => {
            let eighth = (micros >> (power - 3)) & 7;
            16 + u64::from(power - 4) * 8 + eighth
        }
    };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest number of microseconds that falls into a bucket.
fn upper(bucket: usize) -> u64 {
    match bucket as u64 {
        exact @ 0..16 => exact,
        bucket => {
            let (power, eighth) = ((bucket - 16) / 8 + 4, (bucket - 16) % 8);
            ((9 + eighth) << (power - 3)) - 1
        }
    }
}

/// Below or at which this percentage of the requests was answered; 0 without any. At most an eighth too much.
fn quantile(took: &[u64], percent: u64) -> u64 {
    let all: u64 = took.iter().sum();
    let wanted = (all * percent).div_ceil(100);
    let mut seen = 0;
    let reached = took.iter().position(|count| {
        seen += count;
        seen >= wanted && wanted > 0
    });
    reached.map_or(0, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_its_bounds_say() {
        for micros in (0..5_000_u64).chain((1..40).map(|power| 1 << power)) {
            let bucket = bucket(Duration::from_micros(micros));
            assert!(upper(bucket) >= micros, "{micros} us in {bucket}");
            assert!(
                bucket == 0 || upper(bucket - 1) < micros,
                "{micros} us in {bucket}"
            );
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_found_from_below() {
        let mut took = vec![0; BUCKETS];
        assert_eq!(quantile(&took, 99), 0);
        took[bucket(Duration::from_micros(5))] = 98;
        took[bucket(Duration::from_micros(1000))] = 2;
        assert_eq!((quantile(&took, 50), quantile(&took, 98)), (5, 5));
        assert!((1000..=1125).contains(&quantile(&took, 99)));
    }

    #[test]
    fn each_operation_is_counted_for_itself_and_what_is_dropped_was_cancelled() {
        use crate::method::{Kind, Method};
        static ECHO: Spec = Spec::new("echo", "^/echo", Method::Request, Kind::Service);
        static USER: Spec = Spec::new("user", "^/user", Method::Get, Kind::Service);
        static ANOTHER: Spec = Spec::new("another", "^/another", Method::Get, Kind::Service);
        let stats = ServiceStats::new([&ECHO, &USER]);
        stats.begin(Some(&ECHO)).answered(true, Duration::ZERO);
        stats.begin(Some(&ECHO)).answered(false, Duration::ZERO);
        drop(stats.begin(Some(&USER)));
        let _running = stats.begin(Some(&USER));
        stats.begin(None).answered(false, Duration::ZERO);
        stats.begin(Some(&ANOTHER)).answered(false, Duration::ZERO);
        let json = stats.json([&ECHO, &USER]);
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
